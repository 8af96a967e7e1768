"""Plants the mistakes of tests/mutants/mutants.toml, one at a time, and reports which tests catch each.

Works on a copy of the tree in target/mutants, with a target folder of its own: the mistakes never touch the tree, nor
the program that lies in its target folder. Python's standard library alone; scripts/mutants.sh calls it.
"""

import argparse
import filecmp
import os
import re
import shutil
import signal
import subprocess
import sys
import time
import tomllib
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
TREE = ROOT / "target/mutants/tree"
LOGS = ROOT / "target/mutants/logs"
LIMIT_S = 1800
CARGO_TEST = ["cargo", "test", "--locked", "--features", "crash-points"]


class Wrong(Exception):
    """The command itself can't go on: neither caught nor survived."""


def say(text):
    print(f"==> {text}", file=sys.stderr, flush=True)


def load(only):
    mutants = tomllib.loads((ROOT / "tests/mutants/mutants.toml").read_text())["mutant"]
    chosen = [mutant for mutant in mutants if only in mutant["name"]]
    if not chosen:
        raise Wrong(f"no mutant has {only!r} in its name")
    for mutant in chosen:
        for edit in mutant["edit"]:
            planted(edit, (ROOT / edit["file"]).read_text(), mutant["name"])
    return chosen


def planted(edit, text, name):
    """The text with the mistake in it."""
    found = text.count(edit["old"])
    if found != 1:
        raise Wrong(f"{name}: its text stands {found} times in {edit['file']} instead of once; cut it again")
    return text.replace(edit["old"], edit["new"])


def copy_tree():
    """Brings the copy up to date; what is the same is left alone, so that cargo builds no more than it must."""
    listed = subprocess.run(
        ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"],
        cwd=ROOT, check=True, capture_output=True, text=True,
    )
    files = {name for name in listed.stdout.split("\0") if name and (ROOT / name).is_file()}
    (TREE / "target").mkdir(parents=True, exist_ok=True)
    kafka = TREE / "target/kafka"
    if not kafka.is_symlink():
        kafka.symlink_to(ROOT / "target/kafka")
    for folder, folders, names in os.walk(TREE):
        if Path(folder) == TREE:
            folders.remove("target")
        for name in names:
            if str((Path(folder) / name).relative_to(TREE)) not in files:
                (Path(folder) / name).unlink()
    for name in files:
        source, copy = ROOT / name, TREE / name
        copy.parent.mkdir(parents=True, exist_ok=True)
        if not copy.is_file() or not filecmp.cmp(source, copy, shallow=False):
            # Without the source's time: a change must be newer than what was built.
            shutil.copyfile(source, copy)
            shutil.copymode(source, copy)


def cargo(arguments, log):
    """Runs cargo test on the copy; returns its exit code and what it printed."""
    environment = os.environ | {"CARGO_TARGET_DIR": str(ROOT / "target/mutants/target")}
    with open(LOGS / f"{log}.log", "w") as output:
        run = subprocess.Popen(
            CARGO_TEST + arguments,
            cwd=TREE, env=environment, stdout=output, stderr=subprocess.STDOUT, start_new_session=True,
        )
        try:
            code = run.wait(LIMIT_S)
        finally:
            # Of a run that hangs or is interrupted: cargo alone would leave its tests behind.
            if run.poll() is None:
                os.killpg(run.pid, signal.SIGKILL)
    return code, (LOGS / f"{log}.log").read_text(errors="replace")


def build(log):
    code, _ = cargo(["--no-run"] + ([] if args.all else ["--test", "it"]), log)
    if code != 0:
        raise Wrong(f"it does not compile; see target/mutants/logs/{log}.log")


def failing(tests, log):
    """The tests that fail; those named, or with --all the whole suite's."""
    named = ["--no-fail-fast"] if args.all else ["--test", "it", "--", "--exact", *tests]
    code, output = cargo(named, log)
    ran = set(re.findall(r"^test (\S+) \.\.\. (?:ok|FAILED)", output, re.M))
    missing = set(tests) - ran
    if missing:
        raise Wrong(f"no such test: {', '.join(sorted(missing))}; see target/mutants/logs/{log}.log")
    failed = sorted(set(re.findall(r"^test (\S+) \.\.\. FAILED", output, re.M)))
    if (code != 0) != bool(failed):
        raise Wrong(f"cargo ended with {code}; see target/mutants/logs/{log}.log")
    return failed


def try_out(number, mutant):
    """Plants, builds and tests one mutant; the copy is as it was afterwards."""
    originals = {edit["file"]: (ROOT / edit["file"]).read_text() for edit in mutant["edit"]}
    try:
        for edit in mutant["edit"]:
            path = TREE / edit["file"]
            path.write_text(planted(edit, path.read_text(), mutant["name"]))
        build(f"{number}-build")
        return failing(mutant["caught_by"], f"{number}-tests")
    finally:
        for name, text in originals.items():
            (TREE / name).write_text(text)


def main():
    mutants = load(args.only)
    if args.check:
        return 0
    LOGS.mkdir(parents=True, exist_ok=True)
    copy_tree()
    say("building the tree without a mistake")
    build("0-build")
    say("the tests that must catch them, without a mistake")
    failed = failing(sorted({test for mutant in mutants for test in mutant["caught_by"]}), "0-tests")
    if failed:
        raise Wrong(f"without a mistake these fail: {', '.join(failed)}; see target/mutants/logs/0-tests.log")
    rows, survived = [], 0
    for number, mutant in enumerate(mutants, 1):
        say(f"{number} of {len(mutants)}: {mutant['name']}")
        begun = time.monotonic()
        caught_by = try_out(number, mutant)
        survived += not caught_by
        rows.append((mutant["name"], time.monotonic() - begun, caught_by))
    width = max(len(name) for name, _, _ in rows)
    for name, seconds, caught_by in rows:
        verdict = "caught by " + ", ".join(caught_by) if caught_by else "SURVIVED"
        print(f"{name:{width}}  {seconds:4.0f} s  {verdict}")
    return 1 if survived else 0


if __name__ == "__main__":
    parser = argparse.ArgumentParser(prog="scripts/mutants.sh", description="Plants mistakes and runs the tests.")
    parser.add_argument("--all", action="store_true", help="run the whole suite on each, not only the named tests")
    parser.add_argument("--check", action="store_true", help="only see whether each mistake can still be planted")
    parser.add_argument("--only", default="", metavar="TEXT", help="only mutants with this text in their name")
    args = parser.parse_args()
    # As Ctrl-C: the copy is put right, and no test is left behind.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    try:
        sys.exit(main())
    except (Wrong, subprocess.TimeoutExpired) as wrong:
        print(f"error: {wrong}", file=sys.stderr)
        sys.exit(2)
