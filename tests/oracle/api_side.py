"""The API's answers, as README ("Read") and /openapi.json describe them."""

import datetime
import http.client
import json
import time
from decimal import Decimal
from functools import partial
from typing import Callable, Iterator
from urllib.parse import quote, urlencode, urlsplit

from .difference import NOTHING, Differences
from .ledger import GROUP_FIELDS, Account, Month, Sums, Tenant, add_up, month_and_day
from .quotas import Assignments, Force, Plans, base, in_force, limit_of, month_start_ms, state
from .trouble import CannotTell

TIMEOUT_S = 30
RECENT = 20
# The API refuses longer ranges of months.
MOST_MONTHS = 120
DAYS_KEPT_MONTHS = 12
# Small, so that pages are turned.
USERS_A_PAGE = 50

Json = dict
# What is in force at an instant.
Quota = Callable[[int], Force | None]
Zeros = dict.fromkeys(GROUP_FIELDS, 0)


class Api:
    """One connection to it."""

    def __init__(self, url: str) -> None:
        parts = urlsplit(url)
        kinds = {"http": http.client.HTTPConnection, "https": http.client.HTTPSConnection}
        if parts.scheme not in kinds or not parts.netloc:
            raise CannotTell(f"{url!r} is no address such as http://127.0.0.1:8080 (--api)")
        self._url = url
        self._connection = kinds[parts.scheme](parts.netloc, timeout=TIMEOUT_S)
        self.answers = 0

    def get(self, path: str, **query: str | int | None) -> Json:
        """The answer to a request, its numbers exact."""
        given = {name: value for name, value in query.items() if value is not None}
        target = f"{path}?{urlencode(given)}" if given else path
        try:
            self._connection.request("GET", target)
            response = self._connection.getresponse()
            body = response.read()
        except (OSError, http.client.HTTPException) as error:
            self._connection.close()
            raise CannotTell(f"the API at {self._url} does not answer: {error}; see --api") from error
        if response.status in (502, 503, 504):
            raise CannotTell(f"the API at {self._url} answers {response.status} to {target}: {body[:300]!r}")
        self.answers += 1
        answer = json.loads(body, parse_float=Decimal)
        return answer if response.status == 200 else {"status": response.status, "problem": answer.get("type")}


def compare(api: Api, tenants: dict[str, Tenant], plans: Plans, differences: Differences) -> None:
    """Every answer about every tenant and user."""
    for tenant, counted in sorted(tenants.items()):
        path = f"/v1/tenants/{quote(tenant, safe='')}"
        _compare_scope(api, path, counted.total, None, differences)
        for month in _months(counted.total):
            _compare_users(api, path, month, counted, differences)
        for user, account in sorted(counted.users.items()):
            quota = partial(in_force, plans, counted.assigned.get("", Assignments()))
            quota = partial(quota, counted.assigned.get(user, Assignments()))
            _compare_scope(api, f"{path}/users/{quote(user, safe='')}", account, quota, differences)


def _months(account: Account) -> list[str]:
    """Those in which something was used or saved, and the current one."""
    saved = {month_and_day(saved.created_ms)[0] for saved in account.saved()}
    return sorted(account.months.keys() | saved | {_today().strftime("%Y-%m")})


def _today() -> datetime.date:
    return datetime.datetime.now(datetime.timezone.utc).date()


def _compare_scope(
    api: Api, path: str, account: Account, quota: Quota | None, differences: Differences
) -> None:
    """A tenant's or user's stats and usage. `quota`: the limits of a user."""
    for month in _months(account):
        answer = api.get(f"{path}/stats", month=month)
        label = f"api {path}/stats?month={month}"
        if "thisMonth" not in answer:
            differences.add(label, answer, "stats")
            continue
        used = account.months.get(month, Month())
        _compare_period(f"{label} thisMonth", answer["thisMonth"], [used], differences)
        _compare_period(f"{label} allTime", answer["allTime"], list(account.months.values()), differences)
        _compare_outputs(label, answer["outputs"], account, month, differences)
        if quota is not None:
            _compare_quota(label, answer["quota"], used, month, quota, differences)
            _compare_recent(label, answer["recentActivity"], account, differences)
    _compare_days(api, path, account, differences)
    _compare_months(api, path, account, differences)


# Stats


def _figures(sums: Sums) -> Json:
    """Sums as the API names them; money in nano-dollars."""
    timed = sums["latency_n"]
    return {
        "requests": sums["requests"],
        "tokensIn": sums["in"],
        "tokensOut": sums["out"],
        "totalTokens": sums["in"] + sums["out"],
        "cachedTokens": sums["cached"],
        "reasoningTokens": sums["reasoning"],
        "costCents": sums["nanousd"],
        "cost": sums["nanousd"],
        "charge": sums["charge"],
        "unpricedRequests": sums["unpriced"],
        "averageLatencyMs": sums["latency_ms"] // timed if timed else None,
    }


def _shown(answer: Json) -> Json:
    """The figures of an answer; money in nano-dollars."""
    shown = {name: answer.get(name, NOTHING) for name in _figures(Zeros)}
    shown["costCents"] = _nanos(answer.get("costCents"), 7)
    for name in ("cost", "charge"):
        amount = answer.get(name) or {}
        shown[name] = _nanos(amount.get("amount"), 9) if amount.get("currency") == "USD" else amount
    return shown


def _nanos(amount: object, places: int) -> object:
    """Exactly, or the amount as it stands if it is no whole number of nano-dollars."""
    if amount is None:
        return NOTHING
    scaled = Decimal(amount).scaleb(places)
    return int(scaled) if scaled == scaled.to_integral_value() else amount


def _compare_period(label: str, found: Json, months: list[Month], differences: Differences) -> None:
    total = add_up([month.total() for month in months])
    differences.mappings(label, _shown(found), _figures(total))
    tools: Sums = {}
    for month in months:
        for tool, calls in month.tools.items():
            tools[tool] = tools.get(tool, 0) + calls
    differences.mappings(f"{label} toolInvocations", found["toolInvocations"], tools)
    for name, breakdown, of_group in (("assistant", "byAssistant", 0), ("model", "byModel", 1)):
        sums: dict[str, list[Sums]] = {}
        for month in months:
            for group, of in month.groups.items():
                sums.setdefault(group[of_group], []).append(of)
        expected = {key: _figures(add_up(parts)) for key, parts in sums.items()}
        _compare_breakdown(f"{label} {breakdown}", found[breakdown], name, expected, differences)


def _compare_breakdown(
    label: str, found: list[Json], name: str, expected: dict[str, Json], differences: Differences
) -> None:
    """The dearest first, then the most tokens, then by name, in bytes."""
    order = sorted(expected, key=lambda key: (-expected[key]["cost"], -expected[key]["totalTokens"], key.encode()))
    differences.equal(f"{label} order", [entry[name] for entry in found], order)
    for entry in found:
        if entry[name] in expected:
            differences.mappings(f"{label} {entry[name]}", _shown(entry), expected[entry[name]])


def _compare_outputs(label: str, found: Json, account: Account, month: str, differences: Differences) -> None:
    """A kind without any may be listed with 0, or not be listed."""
    expected: dict[str, Sums] = {"thisMonth": {}, "allTime": {}}
    for saved in account.saved():
        kind = saved.output.kind
        for period in ("thisMonth", "allTime"):
            if period == "allTime" or month_and_day(saved.created_ms)[0] == month:
                expected[period][kind] = expected[period].get(kind, 0) + 1
    for period, kinds in expected.items():
        shown = {kind: number for kind, number in found[period].items() if number != 0}
        differences.mappings(f"{label} outputs {period}", shown, kinds)


def _compare_quota(label: str, found: Json, used: Month, month: str, quota: Quota, differences: Differences) -> None:
    """By the limits in force now; of a month that is over, or is yet to come, by those of its end or beginning."""
    start, end = (month_start_ms(month, later) for later in (0, 1))
    at_ms = min(max(time.time_ns() // 1_000_000, start), end - 1)
    force = quota(at_ms)
    if force is None:
        differences.add(f"{label} quota", found, "nothing, for nobody knows the plan")
        return
    days = {day: (sums["tokens"], sums["nanousd"]) for day, sums in used.days.items()}
    limit, tokens = base(limit_of(force.limits, "tokens")), sum(of_day[0] for of_day in days.values())
    expected = {
        "limitTokens": limit,
        "usedTokens": tokens,
        "percent": min(100, tokens * 100 // limit) if limit else 0,
        "state": state(force, days, (start, end), at_ms),
    }
    differences.mappings(f"{label} quota", found, expected)


def _compare_recent(label: str, found: list[Json], account: Account, differences: Differences) -> None:
    """The newest; which of two of one instant comes first is left open."""
    saved = {tuple(saved.output): saved.created_ms for saved in account.saved()}
    times = sorted(saved.values(), reverse=True)[:RECENT]
    shown = {(entry["kind"], entry["outputId"]): _ms(entry["createdAt"]) for entry in found}
    differences.equal(f"{label} recentActivity", [_ms(entry["createdAt"]) for entry in found], times)
    differences.equal(f"{label} recentActivity entries", len(shown), len(times))
    expected = {output: saved[output] for output in shown if output in saved}
    differences.mappings(f"{label} recentActivity", shown, expected)


def _ms(instant: str) -> int:
    time = datetime.datetime.fromisoformat(instant.replace("Z", "+00:00"))
    epoch = datetime.datetime(1970, 1, 1, tzinfo=datetime.timezone.utc)
    return (time - epoch) // datetime.timedelta(milliseconds=1)


# Usage over time


def _compare_days(api: Api, path: str, account: Account, differences: Differences) -> None:
    """All days that are kept, those without usage, too."""
    today = _today()
    months = today.year * 12 + today.month - 1 - DAYS_KEPT_MONTHS
    first = datetime.date(months // 12, months % 12 + 1, 1)
    # An event may be a little ahead of the clock.
    end = today + datetime.timedelta(days=2)
    expected = {}
    for offset in range((end - first).days):
        day = first + datetime.timedelta(days=offset)
        month = account.months.get(day.strftime("%Y-%m"), Month())
        expected[f"{day}T00:00:00Z"] = _bucket(month.days.get(day.day, {}))
    _compare_series(api, path, "day", str(first), str(end), expected, differences)


def _compare_months(api: Api, path: str, account: Account, differences: Differences) -> None:
    months = sorted(account.months)[-MOST_MONTHS:]
    if not months:
        return
    first, last = (int(name[:4]) * 12 + int(name[5:]) - 1 for name in (months[0], months[-1]))
    first = max(first, last + 1 - MOST_MONTHS)
    names = [f"{number // 12:04}-{number % 12 + 1:02}" for number in range(first, last + 2)]
    expected = {}
    for name in names[:-1]:
        total = account.months.get(name, Month()).total()
        sums = total | {"tokens": total["in"] + total["out"]}
        expected[f"{name}-01T00:00:00Z"] = _bucket(sums)
    _compare_series(api, path, "month", names[0], names[-1], expected, differences)


def _bucket(sums: Sums) -> tuple[int, ...]:
    return tuple(sums.get(field, 0) for field in ("requests", "tokens", "nanousd", "nanousd", "charge"))


def _compare_series(
    api: Api, path: str, width: str, first: str, end: str, expected: dict[str, tuple], differences: Differences
) -> None:
    answer = api.get(f"{path}/usage", bucket=width, to=end, **{"from": first})
    label = f"api {path}/usage?bucket={width}"
    if "buckets" not in answer:
        differences.add(label, answer, "buckets")
        return
    found = {}
    for bucket in answer["buckets"]:
        cost = (_nanos(bucket["costCents"], 7), *(_nanos(bucket[name]["amount"], 9) for name in ("cost", "charge")))
        found[bucket["start"]] = (bucket["requests"], bucket["totalTokens"], *cost)
    differences.mappings(label, found, expected)
    ends = [bucket["end"] for bucket in answer["buckets"]]
    starts = [bucket["start"] for bucket in answer["buckets"]]
    differences.equal(f"{label} ends", ends[:-1], starts[1:])


# Users


def _compare_users(api: Api, path: str, month: str, counted: Tenant, differences: Differences) -> None:
    """All pages, in each order; which of two users of one value comes first is left open."""
    expected = {
        user: _figures(account.months[month].total())
        for user, account in counted.users.items()
        if month in account.months and account.months[month].groups
    }
    orders: dict[str, Callable[[Json], int]] = {
        "cost": lambda figures: figures["cost"],
        "tokens": lambda figures: figures["totalTokens"],
        "requests": lambda figures: figures["requests"],
    }
    for sort, value in orders.items():
        label = f"api {path}/users?month={month}&sort={sort}"
        users = list(_pages(api, f"{path}/users", month, sort))
        found = {entry["userId"]: _shown(entry) for entry in users}
        differences.equal(f"{label} length", len(users), len(expected))
        for user in [*expected, *(user for user in found if user not in expected)]:
            differences.mappings(f"{label} {user}", found.get(user, {}), expected.get(user, {}))
        values = sorted((value(figures) for figures in expected.values()), reverse=True)
        differences.equal(f"{label} order", [value(_shown(entry)) for entry in users], values)


def _pages(api: Api, path: str, month: str, sort: str) -> Iterator[Json]:
    cursor = None
    while True:
        page = api.get(path, month=month, sort=sort, limit=USERS_A_PAGE, cursor=cursor)
        yield from page.get("users", [])
        cursor = page.get("nextCursor")
        if cursor is None:
            return
