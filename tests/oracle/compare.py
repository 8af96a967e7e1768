"""Holds everything against everything."""

import itertools
import time

from . import api_side, letters, redis_side
from .difference import Differences
from .fold import Fold
from .ledger import Tenant
from .log import Log
from .prices import Prices
from .quotas import Plans
from .redis_link import connect
from .settings import Settings
from .trouble import CannotTell

# Of a tenant whose log leaves names open: how many choices are tried.
MOST_CHOICES = 4096


class Verdict:
    """What was read and compared, and what differs."""

    def __init__(self) -> None:
        self.differences = Differences()
        self.summary: dict[str, object] = {}


def run(settings: Settings) -> Verdict:
    """All of it, once."""
    verdict, started = Verdict(), time.monotonic()
    client = connect(settings.redis)
    log = Log(settings.brokers, settings.topics, settings.kafka)
    prices = Prices.from_file(settings.prices)
    plans = Plans.from_file(settings.plans, settings.quota_tokens)
    fold = Fold.of(log.records(), settings.bounds, settings.window_ms, prices)
    ends = redis_side.ends_of(fold, log.ends)
    _await_counted(client, settings, ends)
    snapshot, strange = redis_side.read(client, settings.namespace)
    choices = _choose(fold, snapshot)

    differences = verdict.differences
    for tenant, counted in sorted(fold.tenants.items()):
        redis_side.compare_tenant(snapshot, tenant, counted, differences)
    redis_side.compare_strangers(snapshot, strange, fold, differences)
    memory = redis_side.Memory(settings.window_ms, sum(settings.bounds))
    redis_side.compare_buckets(snapshot, fold, ends, memory, differences)
    # After Redis: a notice leaves its outbox once it is in the topic.
    published = _published(settings)
    redis_side.compare_notices(snapshot, fold.tenants, plans, published, settings.went_back, differences)
    answers = 0
    if settings.api is not None:
        api = api_side.Api(settings.api)
        api_side.compare(api, fold.tenants, plans, differences)
        answers = api.answers
    found_letters = _compare_letters(settings, fold, differences)
    _check_rest(log)
    log.close()
    verdict.summary = _summary(fold, snapshot, choices) | {
        "answers": answers,
        "dead_letters": found_letters,
        "notices": None if published is None else len(published),
        "facts_compared": differences.compared,
        "seconds": round(time.monotonic() - started, 1),
    }
    return verdict


def _await_counted(client: object, settings: Settings, ends: dict[str, redis_side.Ends]) -> None:
    """What is not counted by then, differs."""
    deadline = time.monotonic() + settings.wait_s
    while redis_side.behind(client, settings.namespace, ends) and time.monotonic() < deadline:
        time.sleep(0.25)


def _check_rest(log: Log) -> None:
    """Counters that moved on meanwhile can't be held against the log as it was."""
    grown = [f"{topic}/{number}" for (topic, number), end in log.ends_now().items() if end != log.ends[topic, number]]
    if grown:
        raise CannotTell(f"records came into {', '.join(grown)} meanwhile; stop the producers and run it again")


def _choose(fold: Fold, snapshot: redis_side.Snapshot) -> dict[str, int]:
    """For each tenant with open names, the choice that fits; the first one, which will differ, if none does."""
    tried = {}
    for tenant, names in fold.open.items():
        certain, number, first = fold.tenants[tenant], 0, None
        for number, choice in enumerate(itertools.islice(itertools.product(*names), MOST_CHOICES), 1):
            candidate = _with(certain, choice)
            first = first or candidate
            if redis_side.fits(snapshot, tenant, candidate):
                first = candidate
                break
        fold.tenants[tenant] = first or certain
        tried[tenant] = number
    return tried


def _with(certain: Tenant, events: tuple) -> Tenant:
    tenant = certain.copy()
    for event in events:
        tenant.add(event)
    return tenant


def _compare_letters(settings: Settings, fold: Fold, differences: Differences) -> int | None:
    if settings.letters is None:
        return None
    topics = sorted(set(settings.letters.values()))
    log = Log(settings.brokers, topics, settings.kafka)
    found = list(log.records())
    log.close()
    letters.compare(fold.rejected, found, differences)
    return len(found)


def _published(settings: Settings) -> list[tuple[str, str]] | None:
    if settings.notice_topic is None:
        return None
    log = Log(settings.brokers, [settings.notice_topic], settings.kafka)
    records = list(log.records())
    log.close()
    return [
        (f"notice {at.topic}/{at.partition} at {at.offset}", (at.value or b"").decode(errors="replace"))
        for at in records
    ]


def _summary(fold: Fold, snapshot: redis_side.Snapshot, choices: dict[str, int]) -> dict[str, object]:
    months = {month for tenant in fold.tenants.values() for month in tenant.total.months}
    return {
        "records": {f"{topic}/{number}": count for (topic, number), count in sorted(fold.records.items())},
        **fold.outcomes,
        "reasons": dict(sorted(fold.reasons.items())),
        "ambiguous": sum(len(names) for names in fold.open.values()),
        "choices_tried": sum(choices.values()),
        "tenants": len(fold.tenants),
        "users": sum(len(tenant.users) for tenant in fold.tenants.values()),
        "months": len(months),
        "keys": sum(len(keys) for keys in snapshot.buckets.values()),
    }
