"""Plans, who was given which, and which thresholds that makes: docs/events.md and README ("Quotas")."""

import re
import tomllib
from decimal import Decimal
from itertools import product
from typing import Iterable, NamedTuple

from .decode import THRESHOLDS, Assigned, Event, Limit, Limits
from .trouble import CannotTell

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

    def add(self, event: Event) -> None:
        """In any order, and as often as one likes."""
        assigned = event.assigned
        new = Assignment(event.time_ns // 1_000_000, event.source, event.id, assigned.effective_ms, assigned)
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
        return [None, *(one.assigned for one in assignments.all() if one.effective_ms < end_ms)]

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
