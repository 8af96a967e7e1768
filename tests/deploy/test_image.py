"""The Dockerfile and its context: what the build reads is sent, and nothing else."""

import re
import shutil
import subprocess
import tempfile
import tomllib
import unittest
from pathlib import Path

from deploy.chart import ROOT

DOCKERFILE = (ROOT / "Dockerfile").read_text()
SETUP = (ROOT / "scripts/setup.sh").read_text()


def copied() -> list[str]:
    """What the build stage takes from the context."""
    lines = re.findall(r"^COPY (?!--from)(.*)$", DOCKERFILE, re.M)
    return [source.rstrip("/") for line in lines for source in line.split()[:-1]]


class Image(unittest.TestCase):
    def test_the_context_is_what_is_copied(self):
        ignored = (ROOT / ".dockerignore").read_text().splitlines()
        rules = [line for line in ignored if line and not line.startswith("#")]
        self.assertEqual(rules[0], "*")
        self.assertEqual(sorted(rule.removeprefix("!") for rule in rules[1:]), sorted(copied()))

    def test_what_the_sources_include_is_copied(self):
        included = 0
        for source in sorted((ROOT / "src").rglob("*.rs")):
            for name in re.findall(r'include_(?:str|bytes)!\("([^"]+)"\)', source.read_text()):
                path = (source.parent / name).resolve().relative_to(ROOT)
                self.assertIn(path.parts[0], copied(), f"{source.name} includes {path}")
                included += 1
        self.assertGreater(included, 5)

    def test_cargo_takes_what_is_copied_for_the_package(self):
        with tempfile.TemporaryDirectory() as folder:
            for name in copied():
                source, target = ROOT / name, Path(folder) / name
                (shutil.copytree if source.is_dir() else shutil.copy)(source, target)
            read = subprocess.run(["cargo", "metadata", "--no-deps", "--offline", "--locked", "--format-version=1"],
                                  cwd=folder, capture_output=True, text=True)
        self.assertEqual(read.returncode, 0, read.stderr)
        self.assertIn('"name":"indelible"', read.stdout)

    def test_it_runs_in_the_environment_that_the_tests_run_in(self):
        config = tomllib.loads((ROOT / ".cargo/config.toml").read_text())
        self.assertEqual(config["env"], dict(re.findall(r"^ENV (MIMALLOC_\w+)=(\S+)$", DOCKERFILE, re.M)))

    def test_the_toolchain_is_new_enough_and_every_tag_says_which(self):
        needed = re.search(r'^rust-version = "(.*)"', (ROOT / "Cargo.toml").read_text(), re.M)[1]
        given = re.search(r"^ARG RUST_IMAGE=rust:(\d+)\.(\d+)\.\d+-bookworm$", DOCKERFILE, re.M)
        self.assertGreaterEqual(tuple(map(int, given.groups())), tuple(map(int, needed.split("."))))
        self.assertRegex(DOCKERFILE, r"(?m)^ARG RUNTIME_IMAGE=\S+debian12:nonroot$", "of the same Debian")

    def test_the_packages_are_those_that_a_build_needs(self):
        (line,) = re.findall(r"apt-get install -y --no-install-recommends (.*) \\", DOCKERFILE)
        # What `setup.sh demo` asks for, but the compiler, which the base has.
        asked = re.search(r"if has pkg-config; then.*?\n    fi", SETUP, re.S)[0]
        needed = {"cmake"} | set(re.findall(r"\b(pkg-config|[a-z0-9-]+-dev)\b", asked))
        self.assertEqual(set(line.split()), needed)

    def test_it_runs_as_nobody_and_says_how_it_is(self):
        stage = DOCKERFILE.split("FROM ${RUNTIME_IMAGE}")[1]
        self.assertRegex(stage, r"(?m)^USER [1-9]\d+:[1-9]\d+$")
        self.assertIn('CMD ["/usr/local/bin/indelible", "healthcheck"]', stage)
        self.assertIn('RUN ["/usr/local/bin/indelible", "--version"]', stage)
        self.assertIn('ENTRYPOINT ["/usr/local/bin/indelible"]', stage)
        version = re.search(r'^version = "(.*)"', (ROOT / "Cargo.toml").read_text(), re.M)[1]
        self.assertIn(f"ARG VERSION={version}\n", stage)
        self.assertIn(f'appVersion: "{version}"\n', (ROOT / "helm/indelible/Chart.yaml").read_text())
