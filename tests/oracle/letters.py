"""Dead letters, as docs/events.md describes them: every rejected record at least once, its bytes untouched."""

from .difference import NOTHING, Differences
from .fold import Rejected
from .log import Record
from .trouble import CannotTell

ORIGIN = ("__connect.errors.topic", "__connect.errors.partition", "__connect.errors.offset")
REASON = "dlq.reason"
DETAIL = "__connect.errors.exception.message"

Origin = tuple[str, int, int]


def compare(rejected: list[Rejected], letters: list[Record], differences: Differences) -> None:
    """A letter may stand there more than once, and each must be right."""
    expected = {_place(entry.record): entry for entry in rejected}
    met: set[Origin] = set()
    for letter in letters:
        origin = _origin(letter)
        if origin in expected:
            met.add(origin)
            _compare_one(_label(origin), letter, expected[origin], differences)
        else:
            where = f"dead letter {letter.topic}/{letter.partition} at {letter.offset}"
            differences.add(where, f"the record {origin}", "no such rejected record")
    for origin, entry in expected.items():
        differences.compared += 1
        if origin not in met:
            differences.add(_label(origin), NOTHING, f"a dead letter, {_any_of(entry.reasons)}")


def _compare_one(label: str, letter: Record, expected: Rejected, differences: Differences) -> None:
    record = expected.record
    differences.equal(f"{label} key", letter.key, record.key)
    differences.equal(f"{label} value", letter.value, record.value)
    differences.equal(f"{label} timestamp", letter.timestamp, record.timestamp)
    differences.equal(f"{label} headers", letter.headers[: len(record.headers)], record.headers)
    added = dict(letter.headers[len(record.headers) :])
    reason = (added.get(REASON) or b"").decode(errors="replace")
    if reason not in expected.reasons:
        differences.add(f"{label} {REASON}", reason or NOTHING, _any_of(expected.reasons))
    differences.equal(f"{label} {DETAIL} is there", bool(added.get(DETAIL)), True)


def _place(record: Record) -> Origin:
    return record.topic, record.partition, record.offset


def _origin(letter: Record) -> Origin:
    # The last of a name: a record that was produced again from a dead letter bears older ones.
    headers = {name: (value or b"").decode(errors="replace") for name, value in letter.headers}
    topic, partition, offset = (headers.get(name, "") for name in ORIGIN)
    if not (partition.isdigit() and offset.isdigit()):
        where = f"{letter.topic}/{letter.partition} at {letter.offset}"
        raise CannotTell(
            f"the dead letter in {where} does not say where it came from; is {letter.topic} one of ours?"
        )
    return topic, int(partition), int(offset)


def _label(origin: Origin) -> str:
    return f"dead letter of {origin[0]}/{origin[1]} at {origin[2]}"


def _any_of(reasons: frozenset[str]) -> str:
    return " or ".join(sorted(reasons))
