"""Counts events in plain dictionaries: one tenant after the other, users and the tenant as a whole alike.

Everything is an integer of any size. Only where the written rules refuse a sum is one compared with a limit.
"""

import copy
from typing import Iterator, NamedTuple

from .decode import Event, Output, Usage
from .prices import Prices, Rating, TooLarge
from .quotas import Assignments
from .values import date_of

# A sum beyond this is refused as `counter_overflow` (docs/events.md).
MAX_SUM = 2**63 - 1

# Names of a group's sums, as docs/redis.md has them; those of a day below.
GROUP_FIELDS = (
    *("requests", "in", "out", "cached", "reasoning"),
    *("nanousd", "charge", "unpriced", "latency_ms", "latency_n"),
)
DAY_FIELDS = ("requests", "tokens", "nanousd", "charge")
Sums = dict[str, int]
Group = tuple[str, str]


class Month:
    """What was used in a month."""

    def __init__(self) -> None:
        # By assistant and model.
        self.groups: dict[Group, Sums] = {}
        self.tools: Sums = {}
        # By day of the month.
        self.days: dict[int, Sums] = {}

    def total(self) -> Sums:
        """Sums over the groups."""
        return add_up(self.groups.values())


def add_up(many: Iterator[Sums] | list[Sums]) -> Sums:
    """Field by field."""
    total = dict.fromkeys(GROUP_FIELDS, 0)
    for sums in many:
        for field, amount in sums.items():
            total[field] += amount
    return total


class Saved(NamedTuple):
    """A saved output that was not deleted."""

    output: Output
    created_ms: int


class Account:
    """What one user used and saved, or all users of a tenant together."""

    def __init__(self) -> None:
        # By YYYY-MM.
        self.months: dict[str, Month] = {}
        # By user and output: an output of the same name of another user is another one.
        self.created: dict[tuple[str, Output], int] = {}
        self.deleted: set[tuple[str, Output]] = set()

    def saved(self) -> list[Saved]:
        """Order-free: deleted anywhere is not saved, and the earliest creation counts."""
        return [
            Saved(output, created)
            for (user, output), created in self.created.items()
            if (user, output) not in self.deleted
        ]

    def add(self, event: Event, rating: Rating) -> None:
        """Counts it."""
        time_ms = event.time_ns // 1_000_000
        if event.usage is not None:
            for sums, field, amount in self._additions(event.usage, rating, time_ms):
                sums[field] = sums.get(field, 0) + amount
        if event.created is not None:
            name = (event.user, event.created)
            self.created[name] = min(self.created.get(name, time_ms), time_ms)
        if event.deleted is not None:
            self.deleted.add((event.user, event.deleted))

    def has_room_for(self, event: Event, rating: Rating) -> bool:
        """Whether every sum stays within its limit."""
        if event.usage is None:
            return True
        additions = self._additions(event.usage, rating, event.time_ns // 1_000_000)
        return all(sums.get(field, 0) + amount <= MAX_SUM for sums, field, amount in additions)

    def total_has_room_for(self, event: Event, rating: Rating) -> bool:
        """Whether the sums over all groups of the event's month stay within the limit, too."""
        if event.usage is None:
            return True
        month = self.months.get(month_and_day(event.time_ns // 1_000_000)[0])
        total = month.total() if month else dict.fromkeys(GROUP_FIELDS, 0)
        usage = event.usage
        more = (usage.tokens_in, usage.tokens_out, rating.cost, rating.charge, usage.latency_ms or 0)
        fields = ("in", "out", "nanousd", "charge", "latency_ms")
        return all(total[field] + amount <= MAX_SUM for field, amount in zip(fields, more))

    def _additions(self, usage: Usage, rating: Rating, time_ms: int) -> Iterator[tuple[Sums, str, int]]:
        name, day = month_and_day(time_ms)
        month = self.months.get(name)
        if month is None:
            month = self.months[name] = Month()
        group = month.groups.setdefault((usage.assistant, usage.model), {})
        cost, charge, tokens = rating.cost, rating.charge, usage.tokens_in + usage.tokens_out
        amounts = (1, usage.tokens_in, usage.tokens_out, usage.cached, usage.reasoning, cost, charge, rating.unpriced)
        for field, amount in zip(GROUP_FIELDS, amounts):
            yield group, field, amount
        if usage.latency_ms is not None:
            yield group, "latency_ms", usage.latency_ms
            yield group, "latency_n", 1
        for tool, calls in usage.tools:
            yield month.tools, tool, calls
        of_day = month.days.setdefault(day, {})
        for field, amount in zip(DAY_FIELDS, (1, tokens, cost, charge)):
            yield of_day, field, amount


class Tenant:
    """A tenant's users, and the sum of them."""

    def __init__(self, prices: Prices) -> None:
        self._prices = prices
        self.total = Account()
        self.users: dict[str, Account] = {}
        # By user; those of the tenant as a whole by "".
        self.assigned: dict[str, Assignments] = {}
        # By month and model: requests, what they gave as their cost, and what the table says.
        self.mismatches: dict[tuple[str, str], tuple[int, int, int]] = {}
        # Events counted, repeats not.
        self.events = 0

    def add(self, event: Event) -> bool:
        """Counts it; not if a sum would leave its limit."""
        if event.assigned is not None:
            self.assigned.setdefault(event.user, Assignments()).add(event)
            self.events += 1
            return True
        try:
            rating = self._rate(event)
        except TooLarge:
            return False
        user = self.users.setdefault(event.user, Account())
        has_room = user.has_room_for(event, rating) and self.total.has_room_for(event, rating)
        if not (has_room and user.total_has_room_for(event, rating)):
            return False
        user.add(event, rating)
        self.total.add(event, rating)
        if rating.expected is not None:
            name = (month_and_day(event.time_ns // 1_000_000)[0], event.usage.model)
            requests, given, expected = self.mismatches.get(name, (0, 0, 0))
            self.mismatches[name] = (requests + 1, given + rating.cost, expected + rating.expected)
        self.events += 1
        return True

    def _rate(self, event: Event) -> Rating:
        if event.usage is None:
            return Rating(0, 0, False, None)
        return self._prices.rate(event.usage._asdict(), event.time_ns)

    def copy(self) -> "Tenant":
        """One to go on with in another way."""
        tenant = Tenant(self._prices)
        for name, value in vars(self).items():
            if name != "_prices":
                setattr(tenant, name, copy.deepcopy(value))
        return tenant


_MONTHS: dict[int, tuple[str, int]] = {}


def month_and_day(time_ms: int) -> tuple[str, int]:
    """`2026-11` and 24, in UTC."""
    number = time_ms // 86_400_000
    if number not in _MONTHS:
        year, month, day = date_of(number)
        _MONTHS[number] = (f"{year:04}-{month:02}", day)
    return _MONTHS[number]
