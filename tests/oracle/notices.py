"""Marks of passed thresholds, and the notices that say so: those that wait in Redis, and those in their topic."""

import json
from decimal import Decimal
from typing import NamedTuple

from .difference import NOTHING, Differences
from .ledger import Account, Tenant, month_and_day
from .names import encode
from .quotas import METRICS, Assignments, Held, Plans, base, candidates, limit_of, month_start_ms, reached
from .values import Refused, time_ns

Scope = tuple[str, str | None]


class Bounds(NamedTuple):
    """Marks `metric:threshold` of a month: those that must be there, and those that may. And who has which limits."""

    least: frozenset[str]
    most: frozenset[str]
    held: set[Held | None]
    used: dict[str, int]


def bounds(plans: Plans, counted: Tenant, user: str | None, month: str, watched: bool) -> Bounds:
    """By the final sums: what any limits that may have been in force make of them, and what all of them do."""
    account = counted.total if user is None else counted.users[user]
    days = account.months[month].days.values()
    used = {"tokens": sum(day["tokens"] for day in days), "cost": sum(day["nanousd"] for day in days)}
    of_user = None if user is None else counted.assigned.get(user, Assignments())
    held = candidates(plans, counted.assigned.get("", Assignments()), of_user, month_start_ms(month, 1))

    def marks(one: Held | None) -> set[str]:
        if one is None:
            return set()
        return {f"{metric}:{at}" for metric in METRICS for at in reached(one.limits, metric, used[metric])}

    each = [marks(one) for one in held]
    least = frozenset.intersection(*map(frozenset, each)) if watched else frozenset()
    return Bounds(least, frozenset().union(*each), held, used)


def compare_marks(label: str, found: set[str], limits: Bounds, differences: Differences) -> None:
    """Each mark alone: one too many, one too few."""
    differences.compared += len(limits.most)
    for mark in sorted(found - limits.most):
        differences.add(f"{label} noticed", mark, "no such mark")
    for mark in sorted(limits.least - found):
        differences.add(f"{label} noticed", NOTHING, mark)


class Notices:
    """All that were found, held against the marks."""

    def __init__(
        self, plans: Plans, tenants: dict[str, Tenant], marks: dict[tuple[Scope, str], set[str]], went_back: bool
    ) -> None:
        self._plans, self._tenants, self._marks = plans, tenants, marks
        # Then Redis has forgotten what it had sent, and may come to it again in another order.
        self._went_back = went_back
        # By scope and month: each mark with the ids of the notices that speak of it.
        self._told: dict[tuple[Scope, str], dict[str, set[str]]] = {}

    def compare_one(self, label: str, name: str | None, text: str, differences: Differences) -> None:
        """`name`: the field under which it waits."""
        try:
            event = json.loads(text, parse_float=Decimal)
            data = event["data"]
            scope, month = (data["tenantId"], data.get("userId")), data["month"]
            metric, thresholds = data["metric"], [*data["alsoPassed"], data["threshold"]]
            limit, used = (_amount(data, what, metric) for what in ("limit", "used"))
            time_ms = time_ns(event["time"]) // 1_000_000
        except (ValueError, KeyError, TypeError, ArithmeticError, Refused) as error:
            differences.add(label, text, f"a notice ({error!r})")
            return
        marks = self._marks.get((scope, month))
        if marks is None:
            differences.add(label, f"a notice of {scope} in {month}", "nobody who used anything then")
            return
        expected = ":".join([*map(encode, (scope[0], scope[1] or "")), month, metric, data["threshold"]])
        differences.equal(f"{label} id", event["id"], expected)
        if name is not None:
            differences.equal(f"{label} field", name, expected)
        differences.equal(f"{label} type", event["type"], "ai.quota.notice.v1")
        differences.equal(f"{label} time", month_and_day(time_ms)[0], month)
        limits = bounds(self._plans, self._tenants[scope[0]], scope[1], month, True)
        if not 0 < used <= limits.used[metric]:
            differences.add(f"{label} used", used, f"at most {limits.used[metric]}")
        differences.equal(f"{label} percent", data["percent"], used * 100 // limit if limit else 0)
        of_plan = {
            one.plan: one.limits
            for one in sorted(filter(None, limits.held), key=repr)
            if base(limit_of(one.limits, metric)) == limit
            and set(thresholds) <= reached(one.limits, metric, used)
            and one.plan == data.get("plan")
        }
        if not of_plan:
            what = f"{thresholds} of {limit} by {data.get('plan')}, with {used} used"
            differences.add(f"{label} limits", what, "no such limits in force, or not reached")
        told = self._told.setdefault((scope, month), {})
        for threshold in thresholds:
            mark = f"{metric}:{threshold}"
            told.setdefault(mark, set()).add(event["id"])
            if mark not in marks and not self._went_back:
                differences.add(f"{label} mark", NOTHING, mark)

    def compare_all(self, differences: Differences) -> None:
        """Every mark has its one notice."""
        for (scope, month), marks in sorted(self._marks.items(), key=repr):
            told = self._told.get((scope, month), {})
            for mark in sorted(marks):
                ids = sorted(told.get(mark, ()))
                differences.compared += 1
                if not ids or (len(ids) > 1 and not self._went_back):
                    label = f"notices of {scope[0]}{'' if scope[1] is None else f' {scope[1]}'} in {month} {mark}"
                    differences.add(label, ids or NOTHING, "one")


def _amount(data: dict, what: str, metric: str) -> int:
    """In nano-dollars where it is of cost, of which it is a text of cents."""
    if metric == "tokens":
        return int(data[f"{what}Tokens"])
    return int(Decimal(data[f"{what}Cents"]).scaleb(7))


def accounts(tenants: dict[str, Tenant]) -> list[tuple[Scope, Account]]:
    """All tenants and users."""
    found: list[tuple[Scope, Account]] = []
    for tenant, counted in sorted(tenants.items()):
        found.append(((tenant, None), counted.total))
        found.extend(((tenant, user), account) for user, account in sorted(counted.users.items()))
    return found
