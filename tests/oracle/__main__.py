"""`python -m oracle`: prints what differs between the log and what was counted, and ends with 0, 1 or 2."""

import json
import logging
import sys
import traceback

from .compare import Verdict, run
from .settings import Settings, parse
from .trouble import CannotTell

EQUAL, DIFFERENT, CANNOT_TELL = 0, 1, 2


def main(arguments: list[str]) -> int:
    """The exit code."""
    # The client's log: what matters of it comes as an error.
    logging.getLogger("kafka").setLevel(logging.CRITICAL)
    try:
        settings = parse(arguments)
        verdict = run(settings)
    except CannotTell as why:
        print(f"oracle: can't tell: {why}", file=sys.stderr)
        return CANNOT_TELL
    except Exception:
        # Python's own exit code for it would be 1, and say that something is different.
        traceback.print_exc()
        print(
            "oracle: can't tell: that was a fault of its own, or an answer of a form that it doesn't know",
            file=sys.stderr,
        )
        return CANNOT_TELL
    (_print_json if settings.json else _print_text)(verdict, settings)
    return DIFFERENT if verdict.differences.all else EQUAL


def _print_json(verdict: Verdict, settings: Settings) -> None:
    differences = verdict.differences.all
    shown = [difference._asdict() for difference in differences[: settings.most]]
    found = {"equal": not differences, "count": len(differences), "differences": shown, "summary": verdict.summary}
    print(json.dumps(found, indent=2, ensure_ascii=False))


def _print_text(verdict: Verdict, settings: Settings) -> None:
    summary, differences = verdict.summary, verdict.differences.all
    records = summary["records"]
    print(f"records     {sum(records.values()):,}: " + ", ".join(f"{at} {count:,}" for at, count in records.items()))
    print(
        f"events      {summary['counted']:,} counted, {summary['repeated']:,} repeated, "
        f"{summary['conflict']:,} again with other content ({summary['ambiguous']:,} of open order), "
        f"{summary['beyond_window']:,} after the window"
    )
    reasons = ", ".join(f"{reason} {count:,}" for reason, count in summary["reasons"].items())
    print(f"rejected    {summary['rejected']:,}" + (f": {reasons}" if reasons else ""))
    print(f"counted for {summary['tenants']:,} tenants, {summary['users']:,} users, {summary['months']:,} months")
    letters = "" if summary["dead_letters"] is None else f", {summary['dead_letters']:,} dead letters"
    letters += "" if summary["notices"] is None else f", {summary['notices']:,} notices sent"
    print(
        f"compared    {summary['facts_compared']:,} facts: {summary['keys']:,} keys of Redis, {summary['answers']:,} "
        f"answers of the API{letters}, in {summary['seconds']} s"
    )
    for difference in differences[: settings.most]:
        print(difference)
    if len(differences) > settings.most:
        print(f"and {len(differences) - settings.most:,} more (--most N)")
    print(f"different: {len(differences):,} differences" if differences else "equal")


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
