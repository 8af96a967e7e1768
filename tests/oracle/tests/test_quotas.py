"""Plans, assignments, thresholds, and the marks and notices that they make."""

import json
import pathlib
import tempfile
import unittest

from ..decode import Bounds, Limit, decode
from ..difference import Differences
from ..ledger import Tenant
from ..notices import Notices, bounds, compare_marks
from ..prices import Prices
from ..quotas import DAY_MS, Assignments, Force, Plans, candidates, in_force, month_start_ms, reached, state
from ..redis_side import assigned_text
from .made import bare, record

PLANS = """
default = "free"
[plans.free.user]
tokens = { soft = 20, hard = 100 }
cost = { hard = "0.000000002" }
grace = "1d 12h"
[plans.big.tenant]
tokens = { soft = 1_000 }
thresholds = [90, 50]
"""
ANY_TIME = Bounds(max_age_ms=10**18, max_future_ms=10**18)


def plans() -> Plans:
    """Of a file, as a worker has it."""
    with tempfile.TemporaryDirectory() as folder:
        path = pathlib.Path(folder) / "plans.toml"
        path.write_text(PLANS)
        return Plans.from_file(str(path), 1_000_000)


def assign(name: str, at: str, **data: object) -> object:
    """An event."""
    event = {"specversion": "1.0", "id": name, "source": "s", "type": "ai.quota.assigned.v1", "time": at}
    event["data"] = {"tenantId": "acme"} | data
    return decode(record(event), ANY_TIME)


class Quotas(unittest.TestCase):
    """Who may use how much."""

    def test_a_plan_file_is_read(self) -> None:
        limits = plans().default.user
        self.assertEqual((limits.tokens, limits.cost), (Limit(20, 100), Limit(None, 2)))
        self.assertEqual((limits.grace_seconds, limits.thresholds), (36 * 3600, (50, 80, 90, 100)))
        self.assertEqual(plans().by_name["big"].tenant.thresholds, (50, 90))
        self.assertEqual(Plans.from_file(None, 7).default.user.tokens, Limit(7, None))

    def test_of_two_from_one_instant_the_later_one_holds_in_any_order(self) -> None:
        events = [
            assign("b", "2026-11-24T00:00:00Z", plan="free"),
            assign("a", "2026-11-25T00:00:00Z", inherit=True, effectiveFrom="2026-11-24T00:00:00Z"),
            assign("c", "2026-11-25T00:00:00Z", limits={"costCents": {"soft": "0.5"}, "graceSeconds": 3}),
        ]
        texts = set()
        for order in [(0, 1, 2), (2, 1, 0), (1, 0, 2, 0, 1)]:
            assigned = Assignments()
            for at in order:
                assigned.add(events[at])
            texts.add(assigned_text(assigned))
        lines = [
            "1795564800000 1795564800000 s c limits tokens=-/- cost=5000000/- grace=3000 at=50,80,90,100",
            "1795478400000 1795564800000 s a inherit",
        ]
        self.assertEqual(texts, {"\n".join(lines)})

    def test_a_threshold_is_reached_exactly_at_its_bound(self) -> None:
        limits = plans().default.user
        self.assertEqual([reached(limits, "tokens", used) for used in (9, 10, 17)], [set(), {"50"}, {"50", "80"}])
        self.assertEqual(reached(limits, "tokens", 100), {"50", "80", "90", "100", "hard"})
        self.assertEqual(reached(limits, "cost", 1), {"50"})

    def test_limits_of_a_tenant_are_not_those_of_a_user(self) -> None:
        tenant, user = Assignments(), Assignments()
        tenant.add(assign("a", "2026-11-01T00:00:00Z", limits={"tokens": {"hard": 5}}))
        held = candidates(plans(), tenant, user, 1 << 62)
        self.assertEqual([one.plan for one in held], ["free"])
        held = candidates(plans(), tenant, None, 1 << 62)
        self.assertEqual({one.plan for one in held}, {"free", None})
        user.add(assign("b", "2026-11-01T00:00:00Z", userId="alice", plan="gone"))
        self.assertIn(None, candidates(plans(), tenant, user, 1 << 62))
        # What is superseded for its instant may have been counted by before.
        user.add(assign("c", "2026-11-02T00:00:00Z", effectiveFrom="2026-11-01T00:00:00Z", plan="free"))
        self.assertIn(None, candidates(plans(), tenant, user, 1 << 62))


    def test_a_state_is_that_of_the_day_on_which_the_soft_limit_was_reached(self) -> None:
        start, end = month_start_ms("2026-11"), month_start_ms("2026-11", 1)
        force = Force(plans().default.user, None)

        def at(day: int, hour: int, *used: tuple[int, int], since: int | None = None) -> str:
            days = {number: (tokens, 0) for number, tokens in used}
            instant = start + ((day - 1) * 24 + hour) * 3_600_000
            return state(force._replace(since_ms=since), days, (start, end), instant)

        self.assertEqual([at(9, 0, (1, used)) for used in (17, 18)], ["within", "near"])
        # Reached on the 2nd, whose end is 0:00 of the 3rd; 36 hours later it is 12:00 of the 4th.
        self.assertEqual([at(4, hour, (1, 19), (2, 1)) for hour in (11, 12)], ["grace", "blocked"])
        self.assertEqual(at(4, 12, (2, 20), since=start + 3 * DAY_MS), "grace")
        self.assertEqual(at(30, 23, (30, 20)), "grace")
        self.assertEqual(at(2, 0, (2, 100)), "blocked")
        self.assertEqual(state(force, {1: (0, 2)}, (start, end), start), "blocked")

    def test_the_limits_in_force_are_those_of_the_instant(self) -> None:
        tenant, user = Assignments(), Assignments()
        tenant.add(assign("a", "2026-11-10T00:00:00Z", plan="big"))
        user.add(assign("b", "2026-11-20T00:00:00Z", userId="alice", plan="gone"))
        user.add(assign("c", "2026-11-25T00:00:00Z", userId="alice", inherit=True))
        start = month_start_ms("2026-11")
        found = [in_force(plans(), tenant, user, start + (day - 1) * DAY_MS) for day in (9, 10, 20, 25)]
        self.assertEqual([force and force.limits.tokens for force in found], [Limit(20, 100), None, None, None])
        since = [force and force.since_ms for force in found]
        self.assertEqual(since, [None, start + 9 * DAY_MS, None, start + 24 * DAY_MS])
        self.assertIsNone(found[2])


class Marks(unittest.TestCase):
    """What was noticed."""

    def setUp(self) -> None:
        self.tenant = Tenant(Prices.from_file(None))
        self.tenant.add(decode(record(bare()), ANY_TIME))

    def differ(self, found: set[str], watched: bool = True) -> list[str]:
        """What is said of marks of alice, who has used 15 of 20 tokens."""
        differences = Differences()
        compare_marks("m", found, bounds(plans(), self.tenant, "alice", "2026-11", watched), differences)
        return [f"{one.found} {one.expected}" for one in differences.all]

    def test_none_too_many_and_none_too_few(self) -> None:
        self.assertEqual(self.differ({"tokens:50"}), [])
        self.assertEqual(self.differ(set()), ["nothing tokens:50"])
        self.assertEqual(self.differ(set(), watched=False), [])
        self.assertEqual(self.differ({"tokens:50", "tokens:80"}), ["tokens:80 no such mark"])

    def test_with_limits_that_may_have_changed_either_is_right(self) -> None:
        limits = {"tokens": {"soft": 10**6}}
        self.tenant.add(assign("a", "2026-11-01T00:00:00Z", userId="alice", limits=limits))
        self.assertEqual(self.differ(set()), [])
        self.assertEqual(self.differ({"tokens:50"}), [])

    def notices(self, *changes: dict, went_back: bool = False) -> list[str]:
        """What is said of notices, each with some fields changed."""
        scope = (("acme", "alice"), "2026-11")
        marks, differences = {scope: {"tokens:50"}}, Differences()
        notices = Notices(plans(), {"acme": self.tenant}, marks, went_back)
        for change in changes:
            data = {"tenantId": "acme", "userId": "alice", "month": "2026-11", "metric": "tokens", "threshold": "50"}
            data |= {"alsoPassed": [], "limitTokens": 20, "usedTokens": 15, "percent": 75, "plan": "free"} | change
            event = {"id": f"acme:alice:2026-11:tokens:{data['threshold']}", "type": "ai.quota.notice.v1"}
            event |= {"time": "2026-11-24T18:32:00.000Z", "data": data}
            notices.compare_one("n", None, json.dumps(event), differences)
        notices.compare_all(differences)
        return [one.what for one in differences.all]

    def test_a_notice_says_what_is_so(self) -> None:
        self.assertEqual(self.notices({}), [])
        self.assertEqual(self.notices({}, {}), [], "the same one may come again")
        self.assertEqual(self.notices(), ["notices of acme alice in 2026-11 tokens:50"])
        self.assertEqual(self.notices(went_back=True), ["notices of acme alice in 2026-11 tokens:50"])
        self.assertIn("n used", self.notices({"usedTokens": 16, "percent": 80}))
        self.assertIn("n percent", self.notices({"percent": 76}))
        self.assertIn("n limits", self.notices({"usedTokens": 9, "percent": 45}))
        self.assertIn("n limits", self.notices({"limitTokens": 19, "percent": 78}))
        self.assertIn("n limits", self.notices({"plan": "big"}))
        self.assertIn("n mark", self.notices({"threshold": "80"}))
        self.assertIn("n", self.notices({"userId": "bob"}))
