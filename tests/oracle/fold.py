"""The log as a whole: which records are repeats, which are rejected, and what the rest adds up to.

Between partitions the log has no order. So where one name stands on several partitions with different
content, any of the first of each partition may be the one that was counted: such a name is left *open*, and
compare.py takes the choice that fits, if one does.
"""

import itertools
from collections import Counter
from typing import Iterable, NamedTuple

from .decode import Bounds, Event, Refusal, decode
from .ledger import Tenant
from .log import Place, Record
from .prices import Prices

Name = tuple[str, str, str]


class Rejected(NamedTuple):
    """A record that belongs into the dead-letter topic, under one of the reasons."""

    record: Record
    reasons: frozenset[str]


class _Known(NamedTuple):
    event: Event
    place: Place
    timestamp: int


class Fold:
    """What the log says should have been counted."""

    def __init__(self, bounds: Bounds, window_ms: int, prices: Prices) -> None:
        self._bounds = bounds
        self._prices = prices
        self._window_ms = window_ms
        self._names: dict[Name, _Known] = {}
        # Counted under a name that came again after the window.
        self._outlived: list[Event] = []
        # Of names on several partitions: the first event of each.
        self._firsts: dict[Name, dict[Place, Event]] = {}
        self.tenants: dict[str, Tenant] = {}
        # By tenant: for each open name, the events of which one was counted. The tenant is without them.
        self.open: dict[str, list[list[Event]]] = {}
        self.rejected: list[Rejected] = []
        self.outcomes: Counter[str] = Counter(counted=0, repeated=0, conflict=0, rejected=0, beyond_window=0)
        self.reasons: Counter[str] = Counter()
        self.records: Counter[Place] = Counter()
        # Of each partition, the last record's offset and timestamp.
        self.last: dict[Place, tuple[int, int | None]] = {}
        # The least and greatest timestamp of what was counted.
        self.span_ms = (1 << 63, -(1 << 63))

    @classmethod
    def of(cls, records: Iterable[Record], bounds: Bounds, window_ms: int, prices: Prices) -> "Fold":
        """All of a log; of one partition in order, of several in any."""
        fold = cls(bounds, window_ms, prices)
        for record in records:
            fold._add(record)
        fold._leave_open()
        return fold

    def _add(self, record: Record) -> None:
        place = (record.topic, record.partition)
        self.records[place] += 1
        self.last[place] = (record.offset, record.timestamp)
        event = decode(record, self._bounds)
        if isinstance(event, Refusal):
            self._reject(record, event.reasons)
            return
        name = (event.tenant, event.source, event.id)
        known = self._names.get(name)
        if known is None:
            self._count(record, event, name, place)
        elif abs(record.timestamp - known.timestamp) > self._window_ms:
            self.outcomes["beyond_window"] += 1
            self._outlived.append(known.event)
            self._count(record, event, name, place)
        else:
            if place != known.place:
                self._firsts.setdefault(name, {known.place: known.event}).setdefault(place, event)
            self.outcomes["repeated" if event == known.event else "conflict"] += 1

    def _count(self, record: Record, event: Event, name: Name, place: Place) -> None:
        if not self.tenants.setdefault(event.tenant, Tenant(self._prices)).add(event):
            # Its name was not counted: if it comes again, it is new.
            self._reject(record, frozenset(["counter_overflow"]))
            return
        self.outcomes["counted"] += 1
        self._names[name] = _Known(event, place, record.timestamp)
        self.span_ms = (min(self.span_ms[0], record.timestamp), max(self.span_ms[1], record.timestamp))

    def _reject(self, record: Record, reasons: frozenset[str]) -> None:
        self.outcomes["rejected"] += 1
        self.reasons["/".join(sorted(reasons))] += 1
        self.rejected.append(Rejected(record, reasons))

    def _leave_open(self) -> None:
        names = {}
        for name, firsts in self._firsts.items():
            choices = list(dict.fromkeys(firsts.values()))
            if len(choices) > 1:
                names[name] = choices
                self.open.setdefault(name[0], []).append(choices)
        # Counted again without them: a saved output can't be taken back from a sum.
        for tenant in self.open:
            self.tenants[tenant] = Tenant(self._prices)
        certain = (known.event for name, known in self._names.items() if name[0] in self.open and name not in names)
        outlived = (event for event in self._outlived if event.tenant in self.open)
        for event in itertools.chain(certain, outlived):
            self.tenants[event.tenant].add(event)
