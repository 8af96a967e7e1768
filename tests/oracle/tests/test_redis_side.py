"""Faults in what Redis holds are named."""

import unittest

from .. import redis_side
from ..difference import Differences
from ..seen import different_ids, digest
from .made import DAY, NOON, bare
from .test_fold import _stored, fold

# Two ids.
ENTRIES = bytes(range(1, 13)) + bytes(range(12))
DIGEST = "7728805171641ab1"


class Users(unittest.TestCase):
    """The months of a tenant's users are one hash."""

    def test_a_fault_is_named_with_user_and_cell(self) -> None:
        counted = fold(bare(), bare(requestId="r2", userId="bob")).tenants["acme"]
        month = {"a|m": "1 10 5 0 0 0 0 0 0 1", "24": "1 15"}
        self.assertEqual(redis_side.expected_of("acme", counted)["users:acme:2026-11"], {"alice": month, "bob": month})
        for planted, named in [
            ({}, []),
            ({"alice": "a|m 1 10 5 0 0 0 0 0 0 1\n24 1 15\nnoticed tokens:80"}, []),
            ({"alice": "a|m 1 11 5\n24 1 15"}, ["alice a|m"]),
            ({"alice": "a|m 1 10 5 0 0 0 0 0 0 1"}, ["alice 24"]),
            ({"alice": "a|m 1 10 5 0 0 0 0 0 0 1\n24 1 15\n00 1"}, ["alice 00"]),
            ({"alice": ""}, ["alice a|m", "alice 24", "alice "]),
            ({"bob": None}, ["bob"]),
            ({"carol": "a|m 1"}, ["carol"]),
        ]:
            stored = _stored(redis_side.Snapshot({"33h": redis_side.expected_of("acme", counted)}))
            users = stored.buckets["33h"]["users:acme:2026-11"]
            users.update(planted)
            for gone in [name for name, text in users.items() if text is None]:
                del users[gone]
            found = Differences()
            redis_side.compare_tenant(stored, "acme", counted, found)
            label = "redis {33h}:users:acme:2026-11 "
            self.assertEqual([difference.what for difference in found.all], [label + what for what in named])


class Seen(unittest.TestCase):
    """Ids lie in logs, of which the state tells."""

    def test_a_digest_is_that_of_every_entry_after_those_before(self) -> None:
        # As xxhash 4.1.0 of PyPI has it.
        self.assertEqual([digest(ENTRIES[: 12 * ids]) for ids in range(3)], ["0" * 16, "46878d25c61dfc0f", DIGEST])
        self.assertEqual((different_ids(ENTRIES), different_ids(ENTRIES + ENTRIES[:12])), (2, 2))

    def test_a_fault_is_named(self) -> None:
        whole = bytes(49_140)
        told = {"seen": f"20781:2:{DIGEST}", "log:t/0": str(NOON)}
        chunk = "seen:20781:0"
        for planted, named in [
            ({chunk: ENTRIES}, []),
            ({chunk: ENTRIES[:23]}, [f"{chunk} bytes"]),
            ({chunk: ENTRIES + ENTRIES[:12]}, [f"{chunk} bytes"]),
            ({}, [f"{chunk} bytes"]),
            ({chunk: ENTRIES[:1] * 24}, ["seen:20781 different ids", "seen:20781 digest"]),
            ({chunk: ENTRIES, "seen:20781:1": ENTRIES}, ["seen:20781:1 bytes"]),
            ({chunk: ENTRIES, "seen:20780:0": ENTRIES}, ["seen:20780:0 bytes"]),
            ({chunk: {"1", "2"}}, [f"{chunk} bytes"]),
            ({chunk: ENTRIES, "state": told | {"seen": f"20781:2:{DIGEST} 7"}}, ["state seen"]),
            ({chunk: ENTRIES, "state": told | {"seen": ""}}, [f"{chunk} bytes", "state seen ids of all days"]),
            (
                {chunk: whole, "seen:20781:1": ENTRIES, "state": told | {"seen": f"20781:4096:{DIGEST}"}},
                ["seen:20781:1 bytes", "state seen ids of all days"],
            ),
        ]:
            found, counted = Differences(), fold(bare(), bare(requestId="r2"))
            memory = redis_side.Memory(DAY, DAY)
            redis_side._compare_seen("33h", {"state": told} | planted, 2, counted, memory, found)
            self.assertEqual([difference.what for difference in found.all], ["redis {33h}:" + what for what in named])

    def test_what_was_dropped_after_the_window_is_not_missed(self) -> None:
        for log_time, ids, differs in [(NOON + DAY - 1, "", True), (NOON + DAY, "", False), (NOON + DAY, "3", True)]:
            found, entries = Differences(), ENTRIES + bytes(12)
            told = {"log:t/0": str(log_time)} | ({"seen": f"20781:3:{digest(entries)}"} if ids else {})
            keys = {"state": told} | ({"seen:20781:0": entries} if ids else {})
            counted, memory = fold(bare(), bare(requestId="r2")), redis_side.Memory(DAY, DAY)
            redis_side._compare_seen("33h", keys, 2, counted, memory, found)
            self.assertEqual(bool(found.all), differs, (log_time, ids))
