"""Plans, who was given which, and which thresholds that makes: docs/events.md and README ("Quotas")."""

import re
import tomllib
from decimal import Decimal
from itertools import product
from typing import Iterable, NamedTuple

from .decode import THRESHOLDS, Assigned, Event, Limit, Limits
from .trouble import CannotTell
from .values import day_number

METRICS = ("tokens", "cost")
NO_LIMIT = Limit(None, None)
NO_LIMITS = Limits(None, None, None, THRESHOLDS)
# So many instants are kept of a user or tenant.
MOST_ASSIGNED = 100

_UNITS_S = {"s": 1, "m": 60, "h": 3600, "d": 86_400}


class Plan(NamedTuple):
    """What it gives the tenant as a whole, and each of its users."""

    name: str | None
    user: Limits
    tenant: Limits

    def limits(self, of_user: bool) -> Limits:
        """Those of a user or of the tenant."""
        return self.user if of_user else self.tenant


class Plans:
    """The plan file."""

    def __init__(self, document: dict, quota_tokens: int) -> None:
        self.by_name = {name: Plan(name, *_scopes(plan)) for name, plan in document.get("plans", {}).items()}
        fallback = Plan(None, NO_LIMITS._replace(tokens=Limit(quota_tokens, None)), NO_LIMITS)
        default = document.get("default")
        if default is not None and default not in self.by_name:
            raise CannotTell(f"the plan file's default {default!r} is none of its plans")
        self.default = fallback if default is None else self.by_name[default]

    @classmethod
    def from_file(cls, path: str | None, quota_tokens: int) -> "Plans":
        """Without a file, a user has a soft limit of tokens and nobody another one."""
        if not path:
            return cls({}, quota_tokens)
        try:
            with open(path, "rb") as file:
                return cls(tomllib.load(file, parse_float=Decimal), quota_tokens)
        except (OSError, ValueError, KeyError) as error:
            raise CannotTell(f"the plan file {path}: {error}") from error


def _scopes(plan: dict) -> tuple[Limits, Limits]:
    user, tenant = (_limits(plan[scope]) if scope in plan else NO_LIMITS for scope in ("user", "tenant"))
    return user, tenant


def _limits(given: dict) -> Limits:
    tokens, cost = given.get("tokens"), given.get("cost")
    return Limits(
        tokens=None if tokens is None else Limit(tokens.get("soft"), tokens.get("hard")),
        cost=None if cost is None else Limit(*(_nanos(cost.get(bound)) for bound in ("soft", "hard"))),
        grace_seconds=_seconds(given["grace"]) if "grace" in given else None,
        thresholds=tuple(sorted(set(given.get("thresholds", THRESHOLDS)))),
    )


def _nanos(dollars: str | int | None) -> int | None:
    return None if dollars is None else int(Decimal(dollars).scaleb(9))


def _seconds(duration: str) -> int:
    return sum(int(number) * _UNITS_S[unit] for number, unit in re.findall(r"([0-9]+)\s*([smhd])", duration))


# What was assigned


class Assignment(NamedTuple):
    """In the order in which one supersedes another of the same instant."""

    set_at_ms: int
    source: str
    id: str
    effective_ms: int
    assigned: Assigned


class Assignments:
    """To one user or tenant: for each instant the one that was sent last."""

    def __init__(self) -> None:
        self._by_instant: dict[int, Assignment] = {}
        # Those that were superseded, too: each may have been in force for a while.
        self.ever: set[Assignment] = set()

    def add(self, event: Event) -> None:
        """In any order, and as often as one likes."""
        assigned = event.assigned
        new = Assignment(event.time_ns // 1_000_000, event.source, event.id, assigned.effective_ms, assigned)
        self.ever.add(new)
        known = self._by_instant.get(assigned.effective_ms)
        if known is None or _order(new) > _order(known):
            self._by_instant[assigned.effective_ms] = new

    def all(self) -> list[Assignment]:
        """The latest instant first."""
        instants = sorted(self._by_instant, reverse=True)[:MOST_ASSIGNED]
        return [self._by_instant[instant] for instant in instants]


def _order(assignment: Assignment) -> tuple[int, bytes, bytes]:
    return assignment.set_at_ms, assignment.source.encode(), assignment.id.encode()


# Which limits


class Held(NamedTuple):
    """Limits and the plan that says so, if one does."""

    limits: Limits
    plan: str | None


def candidates(plans: Plans, tenant: Assignments, user: Assignments | None, end_ms: int) -> set[Held | None]:
    """Every limits that may have been in force for a request before `end_ms`; None for a plan that nobody knows.

    The log does not say which of its assignments were counted before which of its requests.
    """
    of_user = user is not None

    def begun(assignments: Assignments) -> Iterable[Assigned | None]:
        return [None, *(one.assigned for one in assignments.ever if one.effective_ms < end_ms)]

    def by_plan(name: str | None) -> Held | None:
        plan = plans.default if name is None else plans.by_name.get(name)
        return None if plan is None else Held(plan.limits(of_user), plan.name)

    found: set[Held | None] = set()
    for own, tenants in product(begun(user if of_user else tenant), begun(tenant) if of_user else [None]):
        if own is not None and own.limits is not None:
            found.add(Held(own.limits, None))
        elif own is not None and own.plan is not None:
            found.add(by_plan(own.plan))
        else:
            # Limits that a tenant was given one by one are not those of each user.
            found.add(by_plan(tenants.plan if tenants is not None else None))
    return found


class Force(NamedTuple):
    """Limits in force, and since when by an assignment."""

    limits: Limits
    since_ms: int | None


def in_force(plans: Plans, tenant: Assignments, user: Assignments, at_ms: int) -> Force | None:
    """A user's limits: their own, else those of the tenant's plan for each user. None if nobody knows the plan."""

    def latest(assignments: Assignments) -> Assignment | None:
        return next((one for one in assignments.all() if one.effective_ms <= at_ms), None)

    own, tenants = latest(user), latest(tenant)
    if own is not None and own.assigned.limits is not None:
        return Force(own.assigned.limits, own.effective_ms)
    if own is not None and own.assigned.plan is not None:
        name, since = own.assigned.plan, own.effective_ms
    else:
        name = None if tenants is None else tenants.assigned.plan
        since = max((one.effective_ms for one in (own, tenants) if one is not None), default=None)
    plan = plans.default if name is None else plans.by_name.get(name)
    return None if plan is None else Force(plan.user, since)


_WORSE = ("within", "near", "soft_exceeded", "grace", "blocked")
DAY_MS = 86_400_000


def state(force: Force, days: dict[int, tuple[int, int]], month: tuple[int, int], at_ms: int) -> str:
    """The worst of both metrics. `days`: tokens and nano-dollars. `month`: its first instant, and the next one's."""
    return max((_state(force, metric, days, month, at_ms) for metric in METRICS), key=_WORSE.index)


def _state(force: Force, metric: str, days: dict[int, tuple[int, int]], month: tuple[int, int], at_ms: int) -> str:
    soft, hard = limit = limit_of(force.limits, metric)
    sums, used = {}, 0
    for day in sorted(days):
        used += days[day][METRICS.index(metric)]
        sums[day] = used
    if hard is not None and used >= hard:
        return "blocked"
    if soft is not None and used >= soft:
        if force.limits.grace_seconds is None:
            return "soft_exceeded"
        day = min(day for day, so_far in sums.items() if so_far >= soft)
        begins = max(month[0] + day * DAY_MS, force.since_ms or 0)
        ends = min(begins + force.limits.grace_seconds * 1000, month[1])
        return "grace" if at_ms < ends else "blocked"
    near = max((percent for percent in force.limits.thresholds if percent < 100), default=90)
    whole = base(limit)
    return "near" if whole is not None and used * 100 >= whole * near else "within"


def month_start_ms(month: str, later: int = 0) -> int:
    """The first instant of a month, or of the one so many later."""
    year, number = divmod(int(month[:4]) * 12 + int(month[5:]) - 1 + later, 12)
    return day_number(year, number + 1, 1) * DAY_MS


def limit_of(limits: Limits, metric: str) -> Limit:
    """Of one metric."""
    return getattr(limits, metric) or NO_LIMIT


def base(limit: Limit) -> int | None:
    """What percentages are of."""
    return limit.hard if limit.soft is None else limit.soft


def reached(limits: Limits, metric: str, used: int) -> set[str]:
    """Thresholds, as a notice names them."""
    limit = limit_of(limits, metric)
    whole = base(limit)
    percents = limits.thresholds if whole is not None else ()
    found = {str(percent) for percent in percents if used * 100 >= whole * percent}
    return found | ({"hard"} if limit.hard is not None and used >= limit.hard else set())
