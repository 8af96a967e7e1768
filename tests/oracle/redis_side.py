"""Raw Redis, as docs/redis.md describes it. All that depends on names and layout of keys stands in this file."""

import re
from typing import NamedTuple

from .decode import Limit
from .difference import NOTHING, Differences
from .fold import Fold
from .ledger import Account, Month, Sums, Tenant, month_and_day
from .names import encode
from .notices import Notices, Scope, accounts, bounds, compare_marks
from .quotas import NO_LIMIT, Assignment, Assignments, Plans
from .redis_link import FAILURES, Client
from .seen import CHUNK_IDS, ENTRY_BYTES, different_ids, digest
from .trouble import CannotTell

BUCKETS = 64
# The sums of a group in the order of its cell, and those of a day.
GROUP = ("requests", "in", "out", "nanousd", "latency_ms", "latency_n", "cached", "reasoning", "markup", "unpriced")
DAY = ("requests", "tokens", "nanousd", "markup")

Key = str
# What a key holds: a hash, a sorted set with its scores, the members of a set, a text, or the bytes of seen ids. What
# is expected of the months of users: by user, the cells.
Content = dict[str, str] | dict[str, float] | dict[str, dict[str, str]] | set[str] | str | bytes


# A chunk of seen ids, as its key ends: day and number.
_CHUNK = re.compile(r"(?:^|:)seen:(-?[0-9]+):([0-9]+)$")


# Reading


class Snapshot(NamedTuple):
    """Every key of a namespace, by its bucket's tag and then by the rest of its name, with what it holds."""

    buckets: dict[str, dict[Key, Content]]


def read(client: Client, namespace: str) -> tuple[Snapshot, list[str]]:
    """All of a namespace, and the keys whose names have no form of ours."""
    buckets: dict[str, dict[Key, Content]] = {}
    strange = []
    form = re.compile(re.escape(namespace) + r":\{([0-9a-z]+)\}:(.+)", re.DOTALL)
    try:
        # A scan may name a key twice.
        keys = sorted(set(client.scan_iter(match=f"{namespace}:*", count=1000)))
        for some in (keys[first : first + 500] for first in range(0, len(keys), 500)):
            for key, content in zip(some, _contents(client, some)):
                match = form.fullmatch(key)
                if match and content is not None:
                    buckets.setdefault(match[1], {})[match[2]] = content
                elif content is not None or not match:
                    strange.append(key)
    except FAILURES as error:
        raise CannotTell(f"Redis can't be read: {error}") from error
    return Snapshot(buckets), strange


def _contents(client: Client, keys: list[str]) -> list[Content | None]:
    pipe = client.pipeline(transaction=False)
    for key in keys:
        pipe.type(key)
    types = pipe.execute()
    commands = {"hash": "hgetall", "set": "smembers", "zset": "zrange", "string": "get", "list": "llen"}
    pipe = client.pipeline(transaction=False)
    for key, kind in zip(keys, types):
        if kind == "zset":
            pipe.zrange(key, 0, -1, withscores=True)
        elif kind == "string" and _CHUNK.search(key):
            # They are no text.
            pipe.execute_command("GET", key, NEVER_DECODE=True)
        elif kind != "none":
            getattr(pipe, commands.get(kind, "type"))(key)
    answers = iter(pipe.execute())
    found = [None if kind == "none" else next(answers) for kind in types]
    return [dict(content) if kind == "zset" else content for kind, content in zip(types, found)]


# What the log explains


def expected_of(tenant: str, counted: Tenant) -> dict[Key, Content]:
    """Every key of a tenant, but for those of its bucket."""
    keys: dict[Key, Content] = {}
    name = encode(tenant)
    for month, used in counted.total.months.items():
        keys[f"tenant:{name}:{month}"] = month_cells(used) | {"total": _total(used)}
    if counted.total.months:
        keys[f"months:{name}"] = set(counted.total.months)
    for user, account in counted.users.items():
        for month, used in account.months.items():
            keys.setdefault(f"users:{name}:{month}", {})[user] = month_cells(used)
        for saved in account.saved():
            key = f"saved:{name}:{encode(user)}:{encode(saved.output.kind)}"
            keys.setdefault(key, {})[saved.output.id] = float(saved.created_ms)
    counts = saved_counts(counted.total)
    if counts:
        keys[f"saved-counts:{name}"] = counts
    if counted.assigned:
        keys[f"quota:{name}"] = {
            f"user:{encode(user)}" if user else "tenant": assigned_text(assigned)
            for user, assigned in counted.assigned.items()
        }
    return keys


def month_cells(month: Month) -> dict[str, str]:
    """A name and its sums for each group, tool and day."""
    cells = {
        f"{encode(assistant)}|{encode(model)}": _numbers(sums, GROUP)
        for (assistant, model), sums in month.groups.items()
        if sums
    }
    cells.update((f"tool:{encode(tool)}", str(calls)) for tool, calls in month.tools.items())
    cells.update((f"{day:02}", _numbers(sums, DAY)) for day, sums in month.days.items() if sums)
    return cells


def _total(month: Month) -> str:
    """Tokens and cost of all days."""
    days = month.days.values()
    totals = {name: sum(day.get(name, 0) for day in days) for name in ("tokens", "nanousd")}
    return _numbers(totals, ("tokens", "nanousd"))


def assigned_text(assigned: Assignments) -> str:
    """An assignment a line."""
    return "\n".join(map(_assignment_text, assigned.all()))


def _assignment_text(one: Assignment) -> str:
    plan, limits, effective_ms = one.assigned
    if plan is not None:
        grant = f"plan {encode(plan)}"
    elif limits is None:
        grant = "inherit"
    else:
        tokens, cost = (_limit_text(limit or NO_LIMIT) for limit in (limits.tokens, limits.cost))
        grace = None if limits.grace_seconds is None else limits.grace_seconds * 1000
        percents = ",".join(map(str, limits.thresholds))
        grant = f"limits tokens={tokens} cost={cost} grace={_maybe(grace)} at={percents}"
    return f"{effective_ms} {one.set_at_ms} {encode(one.source)} {encode(one.id)} {grant}"


def _limit_text(limit: Limit) -> str:
    return f"{_maybe(limit.soft)}/{_maybe(limit.hard)}"


def _maybe(number: int | None) -> str:
    return "-" if number is None else str(number)


def _numbers(sums: Sums, order: tuple[str, ...]) -> str:
    """Zeros at the end are left out, down to the first."""
    markup = sums.get("charge", 0) - sums.get("nanousd", 0)
    numbers = [markup if name == "markup" else sums.get(name, 0) for name in order]
    while len(numbers) > 1 and numbers[-1] == 0:
        numbers.pop()
    return " ".join(map(str, numbers))


def saved_counts(account: Account) -> dict[str, str]:
    """Gross created and deleted by kind, net by kind and month."""
    counts: Sums = {}

    def one_more(kind: str, what: str) -> None:
        field = f"{encode(kind)}:{what}"
        counts[field] = counts.get(field, 0) + 1

    for _, output in account.created:
        one_more(output.kind, "created")
    for _, output in account.deleted:
        one_more(output.kind, "deleted")
    for saved in account.saved():
        one_more(saved.output.kind, month_and_day(saved.created_ms)[0])
    if counts:
        counts["kinds"] = len({output.kind for _, output in account.created.keys() | account.deleted})
    return {field: str(amount) for field, amount in counts.items()}


def _tombstones_of(tenant: str, counted: Tenant) -> set[str]:
    """Deleted outputs, those marked whose creation did not come yet."""

    def member(mark: str, user: str, kind: str, name: str) -> str:
        return ":".join([mark, *map(encode, (tenant, user, kind, name))])

    total = counted.total
    marked = {member("deleted", user, *output) for user, output in total.deleted}
    return marked | {member("early", user, *output) for user, output in total.deleted - total.created.keys()}


# Comparing


def tag_of(snapshot: Snapshot, tenant: str) -> str | None:
    """The bucket in which a tenant lies; None where it has no key. By its keys and not by the hash."""
    name = encode(tenant)
    for tag, keys in snapshot.buckets.items():
        if any(f"{what}:{name}" in keys for what in ("months", "saved-counts", "quota")):
            return tag
    return None


def fits(snapshot: Snapshot, tenant: str, counted: Tenant) -> bool:
    """Whether all that Redis holds of a tenant is what was counted: to choose between what the log leaves open."""
    trial = Differences()
    compare_tenant(snapshot, tenant, counted, trial)
    return not trial.all


def compare_tenant(snapshot: Snapshot, tenant: str, counted: Tenant, differences: Differences) -> None:
    """Field by field; what is there beside is found by `compare_strangers`."""
    tag = tag_of(snapshot, tenant)
    bucket = snapshot.buckets.get(tag or "", {})
    for key, expected in expected_of(tenant, counted).items():
        label = f"redis {{{tag or '?'}}}:{key}"
        found = bucket.get(key)
        if found is None:
            differences.add(label, NOTHING, expected)
        elif key.startswith("users:") and isinstance(found, dict):
            _compare_users(label, found, expected, differences)
        elif isinstance(expected, dict) and isinstance(found, dict):
            differences.mappings(label, _legible(key, found), expected)
        else:
            differences.equal(label, found, expected)


def _compare_users(
    label: str, found: dict[str, str], expected: dict[str, dict[str, str]], differences: Differences
) -> None:
    """A user a field, cell by cell."""
    for user, cells in expected.items():
        if user in found:
            differences.mappings(f"{label} {user}", _without_marks(_cells(found[user])), cells)
        else:
            differences.add(f"{label} {user}", NOTHING, cells)
    for user in sorted(found.keys() - expected.keys()):
        differences.add(f"{label} {user}", found[user], NOTHING)


def _cells(text: object) -> dict[str, str]:
    """A user's month: a line a cell."""
    return dict(line.partition(" ")[::2] for line in str(text).split("\n"))


def _without_marks(cells: dict[str, str]) -> dict[str, str]:
    """Marks depend on the order; what is about the cells is for people."""
    return {name: numbers for name, numbers in cells.items() if name not in ("noticed", "about")}


def _legible(key: Key, found: dict) -> dict:
    """Without zeros where they may stand, and without marks."""
    if key.startswith("tenant:"):
        return _without_marks(found)
    if key.startswith("saved-counts:"):
        return {field: amount for field, amount in found.items() if amount != "0"}
    return found


def compare_strangers(snapshot: Snapshot, strange: list[str], fold: Fold, differences: Differences) -> None:
    """No key is there that the log does not explain."""
    for key in strange:
        differences.add(f"redis {key}", "a key", "no such key")
    explained: dict[str, set[Key]] = {tag: set() for tag in snapshot.buckets}
    for tenant, counted in fold.tenants.items():
        tag = tag_of(snapshot, tenant)
        if tag is not None:
            explained[tag].update(expected_of(tenant, counted))
    for tag, keys in snapshot.buckets.items():
        for key in keys:
            if key not in explained[tag] and not _is_bookkeeping(key):
                differences.add(f"redis {{{tag}}}:{key}", "a key", "no such key")


def _is_bookkeeping(key: Key) -> bool:
    # What each holds is compared elsewhere, or says who works at the moment.
    names = ("state", "tombstones", "outbox", "outbox-lease", "webhook", "webhook-due", "webhook-lease")
    if key in names or key.startswith(("mismatches:", "prices:")):
        return True
    return _CHUNK.match(key) is not None


# Buckets


class Memory(NamedTuple):
    """For how long, in the log's time, the worker remembers at least."""

    names_ms: int
    deleted_ms: int


class Ends(NamedTuple):
    """Where a partition's watermarks must stand."""

    # After the last record, and after the markers of transactions behind it.
    least: int
    most: int
    last_timestamp: int | None


def ends_of(fold: Fold, log_ends: dict[tuple[str, int], int]) -> dict[str, Ends]:
    """By `topic/partition`."""
    ends = {}
    for (topic, partition), most in log_ends.items():
        offset, timestamp = fold.last.get((topic, partition), (-1, None))
        ends[f"{topic}/{partition}"] = Ends(offset + 1, most, timestamp)
    return ends


def behind(client: Client, namespace: str, ends: dict[str, Ends]) -> bool:
    """Whether a watermark of some bucket is not at its partition's end yet."""
    try:
        states = [client.hgetall(key) for key in client.scan_iter(match=f"{namespace}:{{*}}:state", count=1000)]
    except FAILURES as error:
        raise CannotTell(f"Redis can't be read: {error}") from error
    return len(states) < BUCKETS or any(
        _next(state.get(f"watermark:{partition}")) < end.least for state in states for partition, end in ends.items()
    )


def _next(watermark: str | None) -> int:
    next_offset = (watermark or "").split(" ")[0]
    return int(next_offset) if next_offset.isdigit() else -1


def compare_buckets(
    snapshot: Snapshot, fold: Fold, ends: dict[str, Ends], memory: Memory, differences: Differences
) -> None:
    """What the worker keeps for itself."""
    states = {tag: keys["state"] for tag, keys in snapshot.buckets.items() if isinstance(keys.get("state"), dict)}
    differences.equal("redis buckets with a state", len(states), BUCKETS)
    tenants: dict[str, list[str]] = {tag: [] for tag in snapshot.buckets}
    for tenant in fold.tenants:
        tag = tag_of(snapshot, tenant)
        if tag is not None:
            tenants[tag].append(tenant)
    for tag, state in sorted(states.items()):
        label = f"redis {{{tag}}}:state"
        events = sum(fold.tenants[tenant].events for tenant in tenants[tag])
        differences.equal(f"{label} applied", state.get("applied", "0"), str(events))
        _compare_watermarks(label, state, ends, differences)
        _compare_seen(tag, snapshot.buckets[tag], events, fold, memory, differences)
        _compare_mismatches(
            tag, snapshot.buckets[tag], [fold.tenants[tenant] for tenant in tenants[tag]], differences
        )
        deleted = set().union(*(_tombstones_of(tenant, fold.tenants[tenant]) for tenant in tenants[tag]))
        _compare_tombstones(
            tag, snapshot.buckets[tag], deleted, _passed_ms(state, fold) < memory.deleted_ms, differences
        )


def _compare_mismatches(tag: str, keys: dict[Key, Content], tenants: list[Tenant], differences: Differences) -> None:
    """Costs that are not what the price table says, of all tenants of the bucket."""
    expected: dict[Key, dict[str, tuple[int, int, int]]] = {}
    for tenant in tenants:
        for (month, model), sums in tenant.mismatches.items():
            cells = expected.setdefault(f"mismatches:{month}", {})
            before = cells.get(encode(model), (0, 0, 0))
            cells[encode(model)] = tuple(map(sum, zip(before, sums)))
    fields = ("requests", "given", "expected")
    for key in sorted(expected.keys() | {key for key in keys if key.startswith("mismatches:")}):
        cells = {model: _numbers(dict(zip(fields, sums)), fields) for model, sums in expected.get(key, {}).items()}
        found = keys.get(key, {})
        differences.mappings(f"redis {{{tag}}}:{key}", found if isinstance(found, dict) else {"": found}, cells)


# Notices


def compare_notices(
    snapshot: Snapshot,
    tenants: dict[str, Tenant],
    plans: Plans,
    published: list[tuple[str, str]] | None,
    went_back: bool,
    differences: Differences,
) -> None:
    """Marks by the sums, notices by the marks. `published`: labels and texts; None where nobody is to be told."""
    marks: dict[tuple[Scope, str], set[str]] = {}
    for scope, account in accounts(tenants):
        tag = tag_of(snapshot, scope[0])
        for month, used in account.months.items():
            if not used.groups:
                continue
            what, found = _marks(snapshot.buckets.get(tag or "", {}), scope, month)
            marks[scope, month] = found
            limits = bounds(plans, tenants[scope[0]], scope[1], month, published is not None)
            compare_marks(f"redis {{{tag or '?'}}}:{what}", found, limits, differences)
    notices = Notices(plans, tenants, marks, went_back)
    for tag, keys in sorted(snapshot.buckets.items()):
        waiting = keys.get("outbox", {})
        for name, text in sorted(waiting.items()) if isinstance(waiting, dict) else [("", str(waiting))]:
            notices.compare_one(f"redis {{{tag}}}:outbox {name}", name, text, differences)
    for label, text in published or ():
        notices.compare_one(label, None, text, differences)
    if published is not None:
        notices.compare_all(differences)


def _marks(keys: dict[Key, Content], scope: Scope, month: str) -> tuple[str, set[str]]:
    """Where the marks of a month stand, and which there are."""
    tenant, user = scope
    key = f"{'tenant' if user is None else 'users'}:{encode(tenant)}:{month}"
    what, cells = key, keys.get(key)
    if user is not None:
        what, cells = f"{key} {user}", _cells(cells.get(user, "")) if isinstance(cells, dict) else None
    return what, set(cells.get("noticed", "").split()) if isinstance(cells, dict) else set()


def _compare_watermarks(label: str, state: dict[str, str], ends: dict[str, Ends], differences: Differences) -> None:
    for partition, end in ends.items():
        watermark = state.get(f"watermark:{partition}")
        what = f"{label} watermark:{partition}"
        if not end.least <= _next(watermark) <= end.most:
            expected = end.least if end.least == end.most else f"{end.least} to {end.most}"
            differences.add(what, watermark or NOTHING, expected)
        elif end.last_timestamp is not None:
            timestamp = (watermark or "").split(" ")[1]
            differences.equal(f"{what} timestamp", timestamp, str(end.last_timestamp))
    unknown = {field for field in state if field.startswith("watermark:")} - {f"watermark:{name}" for name in ends}
    for field in sorted(unknown):
        differences.add(f"{label} {field}", state[field], "no such partition")


def _passed_ms(state: dict[str, str], fold: Fold) -> int:
    """How far the log's time has gone since the first event. On a partition at rest it goes with the clock."""
    return max((int(time) for field, time in state.items() if field.startswith("log:")), default=0) - fold.span_ms[0]


def _compare_seen(
    tag: str, keys: dict[Key, Content], events: int, fold: Fold, memory: Memory, differences: Differences
) -> None:
    """An entry an id, in chunks; the state says how many ids each day has, and their digest."""
    chunks: dict[str, dict[int, object]] = {}
    for key, content in keys.items():
        match = _CHUNK.match(key)
        if match:
            chunks.setdefault(match[1], {})[int(match[2])] = content
    state, told = keys["state"], {}
    for log in state.get("seen", "").split():
        match = re.fullmatch(r"(-?[0-9]+):([0-9]+):([0-9a-f]{16})", log)
        if match and match[1] not in told:
            told[match[1]] = (int(match[2]), match[3])
        else:
            differences.add(f"redis {{{tag}}}:state seen", state["seen"], "DAY:IDS:DIGEST for each day")
    for day in sorted(chunks.keys() | told.keys()):
        ids, expected = told.get(day, (0, ""))
        label = f"redis {{{tag}}}:seen:{day}"
        entries = _entries(label, chunks.get(day, {}), ids, differences)
        if entries is not None:
            differences.equal(f"{label} different ids", different_ids(entries), ids)
            differences.equal(f"{label} digest", digest(entries), expected)
    all_ids = sum(ids for ids, _ in told.values())
    if _passed_ms(state, fold) < memory.names_ms or all_ids > events:
        differences.equal(f"redis {{{tag}}}:state seen ids of all days", all_ids, events)


def _entries(label: str, chunks: dict[int, object], ids: int, differences: Differences) -> bytes | None:
    """All entries of a day; None where there are not as many as its state tells: every chunk but the last is full."""
    size, whole = ids * ENTRY_BYTES, CHUNK_IDS * ENTRY_BYTES
    expected = {chunk: min(whole, size - chunk * whole) for chunk in range(-(-size // whole))}
    found = {number: len(chunk) if isinstance(chunk, bytes) else "no bytes" for number, chunk in chunks.items()}
    for number in sorted(expected.keys() | found.keys()):
        what = f"{label}:{number} bytes"
        differences.equal(what, found.get(number, NOTHING), expected.get(number, "no such key"))
    return b"".join(chunks[number] for number in sorted(chunks)) if found == expected else None


def _compare_tombstones(
    tag: str, keys: dict[Key, Content], deleted: set[str], all_remembered: bool, differences: Differences
) -> None:
    found = set(keys.get("tombstones", {}))
    label = f"redis {{{tag}}}:tombstones"
    for member in sorted(found - deleted):
        differences.add(f"{label} {member}", "a member", "no such member")
    for member in sorted(deleted - found if all_remembered else ()):
        differences.add(f"{label} {member}", NOTHING, "a member")
    differences.compared += len(deleted)
