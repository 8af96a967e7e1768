"""Dead letters."""

import unittest

from ..difference import Differences
from ..fold import Rejected
from ..letters import compare
from ..log import Record
from .made import record


def letter(of: Record, reason: str = "not_json", **changes: object) -> Record:
    """As the program writes it."""
    origin = {"topic": of.topic, "partition": str(of.partition), "offset": str(of.offset)}
    added = [(f"__connect.errors.{name}", text.encode()) for name, text in origin.items()]
    added += [("dlq.reason", reason.encode()), ("__connect.errors.exception.message", b"why")]
    return of._replace(topic="t.dlq", headers=of.headers + added)._replace(**changes)


class Letters(unittest.TestCase):
    """Each rejected record at least once, untouched, for the right reason."""

    bad = record(b"{", [("h", b"1"), ("n", None)], at=(1, 5))

    def found(self, *letters: Record) -> str:
        """All differences on one line each."""
        differences = Differences()
        compare([Rejected(self.bad, frozenset(["not_json"]))], list(letters), differences)
        return "\n".join(map(str, differences.all))

    def test_twice_is_as_good_as_once(self) -> None:
        self.assertEqual(self.found(letter(self.bad), letter(self.bad)), "")

    def test_each_fault_is_named(self) -> None:
        self.assertIn("dead letter of t/1 at 5: found nothing", self.found())
        self.assertIn("dlq.reason: found too_deep, the log says not_json", self.found(letter(self.bad, "too_deep")))
        self.assertIn("at 5 value", self.found(letter(self.bad, value=b"{ ")))
        self.assertIn("at 5 timestamp", self.found(letter(self.bad, timestamp=1)))
        self.assertIn("at 5 headers", self.found(letter(self.bad._replace(headers=[]))))
        other = letter(record(b"{", at=(0, 9)))
        self.assertIn("no such rejected record", self.found(letter(self.bad), other))
