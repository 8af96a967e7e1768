"""The log as a whole: repeats, conflicts, outputs in any order, limits."""

import itertools
import unittest

from .. import redis_side
from ..compare import _choose
from ..decode import Bounds
from ..fold import Fold
from ..prices import Prices
from .made import DAY, NOON, bare, output, record

BOUNDS = Bounds(max_age_ms=35 * DAY, max_future_ms=300_000)


def fold(*records: object) -> Fold:
    """Of records; of values that are records of partition 0 one after the other."""
    made = [value if isinstance(value, tuple) else record(value, at=(0, at)) for at, value in enumerate(records)]
    return Fold.of(made, BOUNDS, DAY, Prices.from_file(None))


def tokens(counted: Fold, tenant: str = "acme") -> int:
    """Of all months."""
    return sum(month.total()["in"] for month in counted.tenants[tenant].total.months.values())


class Folding(unittest.TestCase):
    """What README and docs/events.md say of repeats, outputs and sums."""

    def test_a_name_is_counted_once_and_the_first_content_counts(self) -> None:
        counted = fold(bare(), bare(), bare(tokensIn=99), bare(tenantId="other"), bare(requestId="r2"))
        self.assertEqual((tokens(counted), tokens(counted, "other")), (20, 10))
        self.assertEqual(
            counted.outcomes, {"counted": 3, "repeated": 1, "conflict": 1, "rejected": 0, "beyond_window": 0}
        )
        self.assertEqual(counted.open, {})

    def test_a_name_after_the_window_is_new(self) -> None:
        late = bare(createdAt="2026-11-25T18:32:00.001Z")
        at_window = record(bare(createdAt="2026-11-25T18:32:00Z"), timestamp=NOON + DAY, at=(0, 1))
        after = record(late, timestamp=NOON + DAY + 1, at=(0, 2))
        self.assertEqual(tokens(fold(bare(), at_window)), 10)
        self.assertEqual(tokens(fold(bare(), after)), 20)

    def test_the_same_content_on_two_partitions_is_one(self) -> None:
        counted = fold(record(bare(), at=(0, 0)), record(bare(), at=(1, 0)))
        self.assertEqual((tokens(counted), counted.open), (10, {}))

    def test_other_content_on_another_partition_is_left_open(self) -> None:
        here, there = record(bare(), at=(0, 0)), record(bare(tokensIn=99), at=(1, 0))
        repeat = record(bare(tokensIn=5), at=(1, 1))
        counted = fold(here, record(bare(requestId="r2"), at=(0, 1)), there, repeat)
        self.assertEqual(tokens(counted), 10, "r2 alone is certain")
        choices = [event.usage.tokens_in for event in counted.open["acme"][0]]
        self.assertEqual(choices, [10, 99], "the first of each partition")
        counted.tenants["acme"].add(counted.open["acme"][0][1])
        held = redis_side.Snapshot({"33h": redis_side.expected_of("acme", counted.tenants["acme"])})
        again = fold(here, record(bare(requestId="r2"), at=(0, 1)), there, repeat)
        self.assertEqual(_choose(again, _stored(held)), {"acme": 2})
        self.assertEqual(tokens(again), 109)

    def test_outputs_need_no_order(self) -> None:
        events = [
            output("created", "o1", "e1", "2026-11-03T00:00:00Z"),
            output("created", "o1", "e2", "2026-10-31T23:59:59.999Z"),
            output("created", "o2", "e3"),
            output("deleted", "o2", "e4"),
            output("deleted", "o2", "e5"),
            output("deleted", "o3", "e6"),
        ]
        found = set()
        for order in itertools.permutations(events):
            counted = fold(*order).tenants["acme"]
            found.add(str(sorted(redis_side.saved_counts(counted.total).items())))
            self.assertEqual([saved.output.id for saved in counted.users["alice"].saved()], ["o1"])
        expected = {"kinds": "1", "website:2026-10": "1", "website:created": "2", "website:deleted": "2"}
        self.assertEqual(found, {str(sorted(expected.items()))})

    def test_a_sum_beyond_the_limit_rejects_the_one_event(self) -> None:
        dear = [bare(requestId=f"r{n}", costCents="900000000000") for n in range(2)]
        counted = fold(dear[0], dear[1], bare(requestId="r9"), dear[1])
        self.assertEqual(tokens(counted), 20)
        self.assertEqual(counted.reasons, {"counter_overflow": 2})
        self.assertEqual([rejected.record.offset for rejected in counted.rejected], [1, 3])

    def test_months_and_days_are_those_of_the_time_in_utc(self) -> None:
        month = fold(bare(createdAt="2026-11-01T00:30:00+01:00")).tenants["acme"].total.months["2026-10"]
        self.assertEqual(month.days, {31: {"requests": 1, "tokens": 15, "nanousd": 0, "charge": 0}})


def _stored(snapshot: redis_side.Snapshot) -> redis_side.Snapshot:
    """As Redis holds it: a user's month is a text."""

    def texts(key: str, content: redis_side.Content) -> redis_side.Content:
        if not key.startswith("users:"):
            return content
        return {user: "\n".join(f"{name} {sums}" for name, sums in cells.items()) for user, cells in content.items()}

    buckets = snapshot.buckets.items()
    return redis_side.Snapshot({tag: {key: texts(key, keys[key]) for key in keys} for tag, keys in buckets})
