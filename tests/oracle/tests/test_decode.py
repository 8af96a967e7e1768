"""Records: the three forms, their faults, and every example of the schemas."""

import json
import pathlib
import unittest

from ..decode import Bounds, Event, Refusal, decode
from .made import DAY, NOON, bare, output, record

BOUNDS = Bounds(max_age_ms=35 * DAY, max_future_ms=300_000)
ANY_TIME = Bounds(max_age_ms=10**18, max_future_ms=10**18)
EXAMPLES = pathlib.Path(__file__).parents[3] / "schemas" / "examples"
BINARY = [
    ("ce_specversion", b"1.0"),
    ("ce_id", b"e1"),
    ("ce_source", b"s"),
    ("ce_type", b"ai.usage.recorded.v1"),
    ("ce_time", b"2026-11-24T18:32:00Z"),
]
DATA = {name: value for name, value in bare().items() if name not in ("requestId", "createdAt")}


def quota(**data: object) -> dict[str, object]:
    """A quota of acme, at noon."""
    envelope = {"specversion": "1.0", "id": "e1", "source": "s", "type": "ai.quota.assigned.v1"}
    return {**envelope, "time": bare()["createdAt"], "data": {"tenantId": "acme", **data}}


class Decode(unittest.TestCase):
    """What docs/events.md says."""

    def accepted(self, *given: object, **named: object) -> Event:
        """The event of a record."""
        event = decode(record(*given, **named), BOUNDS)
        self.assertIsInstance(event, Event)
        return event

    def refused(self, reason: str, *given: object, **named: object) -> None:
        """Refused, and this may be said to be why."""
        found = decode(record(*given, **named), BOUNDS)
        self.assertIsInstance(found, Refusal, given)
        self.assertIn(reason, found.reasons)

    def test_every_valid_example_is_accepted(self) -> None:
        paths = sorted((EXAMPLES / "valid").glob("*.json"))
        self.assertGreater(len(paths), 20)
        for path in paths:
            found = decode(record(path.read_bytes()), ANY_TIME)
            self.assertIsInstance(found, Event, f"{path.name}: {found}")

    def test_every_invalid_example_is_refused_for_the_reason_in_its_name(self) -> None:
        paths = sorted((EXAMPLES / "invalid").glob("*.json"))
        self.assertGreater(len(paths), 40)
        for path in paths:
            found = decode(record(path.read_bytes()), ANY_TIME)
            self.assertEqual(found, Refusal(frozenset([path.name.split("--")[0]])), path.name)

    def test_a_quota_is_a_plan_limits_or_neither(self) -> None:
        def assigned(**data: object) -> Event:
            return self.accepted(quota(**data))

        self.assertEqual(assigned(plan="pro").user, "")
        self.assertEqual(assigned(userId="u", plan="pro", inherit=False).assigned, ("pro", None, NOON))
        self.assertEqual(assigned(inherit=True, effectiveFrom="1970-01-01T00:00:01.0019Z").assigned[2], 1001)
        limits = {"tokens": {"soft": 1, "hard": 2}, "costCents": {"hard": "0.0000001"}, "thresholds": [9, 1, 9]}
        found = assigned(limits=limits | {"graceSeconds": 60}).assigned
        self.assertEqual(found.limits, ((1, 2), (None, 1), 60, (1, 9)))
        self.assertEqual(assigned(limits={"tokens": {"hard": 1}}).assigned.limits.thresholds, (50, 80, 90, 100))

    def test_a_quota_is_refused_with_its_faults(self) -> None:
        for limits in ({"tokens": {"soft": 2, "hard": 1}}, {"costCents": {"hard": "0.00000005"}}, {"tokens": 1}):
            self.refused("invalid_field", quota(limits=limits))
        self.refused("missing_field", quota(limits={"tokens": {"soft": None}}))
        self.refused("missing_field", quota(inherit=False))
        self.refused("invalid_field", quota(plan="a", inherit=True))
        self.refused("invalid_id", quota(plan="", inherit=True))

    def test_a_bare_record_is_usage_of_the_source_usage_logs(self) -> None:
        event = self.accepted(bare())
        self.assertEqual((event.source, event.id, event.usage.tokens_in), ("usage_logs", "r1", 10))
        announced = [("content-type", b"application/cloudevents+json")]
        self.assertEqual(self.accepted(bare(specversion=None), announced), event)

    def test_binary_mode_has_its_attributes_in_headers(self) -> None:
        event = self.accepted(DATA, BINARY + [("content-type", b"application/json; charset=utf-8"), ("x", None)])
        structured = {"specversion": "1.0", "id": "e1", "source": "s", "type": "ai.usage.recorded.v1"}
        structured |= {"time": "2026-11-24T18:32:00Z", "data": DATA}
        self.assertEqual(event, self.accepted(structured))
        self.assertEqual(event, self.accepted(structured, [("content-type", b"Application/CloudEvents; x=1")]))
        self.refused("missing_field", DATA, BINARY[1:])
        self.refused("invalid_field", DATA, BINARY + BINARY[:1])
        self.refused("invalid_field", DATA, BINARY + [("content-type", b"application/avro")])
        self.refused("invalid_field", DATA, [("content-type", b"application/cloudevents-batch+json")])
        self.refused("not_utf8", DATA, BINARY[1:] + [("ce_specversion", b"\xff")])
        self.refused("unknown_type", b"\xff", BINARY[:3] + [("ce_type", b"t")] + BINARY[4:])
        self.refused("missing_field", DATA, BINARY[:1] + [("ce_id", None)] + BINARY[2:])

    def test_the_value_as_a_whole_comes_first(self) -> None:
        self.refused("null_value", None)
        self.refused("too_large", b" " * (2**20 + 1))
        self.refused("not_utf8", b"\xff")
        for text in ["", "{", "{} {}", '{"a":NaN}', '{"a":01}', "\ufeff{}", '{"a":"\n"}']:
            self.refused("not_json", text.encode())
        self.refused("not_an_object", b"[]")
        deep = "[" * 63 + '"[{"' + "]" * 63
        self.accepted(json.dumps(bare())[:-1].encode() + b',"x":' + deep.encode() + b"}")
        self.refused("too_deep", json.dumps(bare())[:-1].encode() + b',"x":' + b"[" * 64 + b"]" * 64 + b"}")

    def test_a_field_of_ours_stands_once(self) -> None:
        text = json.dumps(bare())[:-1]
        self.accepted(f'{text},"x":1,"x":2}}'.encode())
        self.refused("invalid_field", f'{text},"model":"m"}}'.encode())
        self.refused("invalid_field", f'{text},"toolInvocations":{{"a":1,"a":1}}}}'.encode())

    def test_sums_must_agree(self) -> None:
        self.accepted(bare(totalTokens=15, cachedTokens=10, reasoningTokens=5))
        for wrong in [{"totalTokens": 16}, {"cachedTokens": 11}, {"reasoningTokens": 6}]:
            self.refused("totals_mismatch", bare(**wrong))

    def test_a_time_at_a_bound_is_within_it(self) -> None:
        self.accepted(bare(), timestamp=NOON + 35 * DAY)
        self.refused("too_late", bare(), timestamp=NOON + 35 * DAY + 1)
        self.accepted(bare(), timestamp=NOON - 300_000)
        self.refused("time_in_future", bare(), timestamp=NOON - 300_001)
        self.refused("no_timestamp", bare(), timestamp=None)

    def test_an_output_of_a_request_is_saved(self) -> None:
        event = self.accepted(bare(output={"id": "o", "kind": "website"}))
        self.assertEqual(event.created, event.usage.output)
        self.refused("missing_field", bare(output={"id": "o"}))
        self.assertIsNotNone(self.accepted(output("deleted", "o", "e")).deleted)
