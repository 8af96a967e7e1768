"""A record in, an Event or a Refusal out, by docs/events.md and schemas/README.md.

Where a record has several faults, docs/events.md says which part of it decides; within one part any of the
faults may be the one that the dead letter names. So a Refusal holds all reasons of that part.
"""

from typing import Callable, NamedTuple, TypeVar

from .log import Record
from .structure import Object, check_names, parse_object
from .values import Refused, count, has_half_a_pair, identifier, nano_dollars, text, time_ns

T = TypeVar("T")

MAX_RECORD_BYTES = 1 << 20
MAX_TOOLS = 64
MAX_THRESHOLDS = 16
MAX_PERCENT = 1000
MAX_GRACE_SECONDS = 366 * 86_400
THRESHOLDS = (50, 80, 90, 100)
BARE_SOURCE = "usage_logs"


class Bounds(NamedTuple):
    """How far an event's time may lie from its record's Kafka timestamp, both ends included."""

    max_age_ms: int
    max_future_ms: int


class Output(NamedTuple):
    """A saved output, within its tenant and user."""

    kind: str
    id: str


class Usage(NamedTuple):
    """One request to a model."""

    assistant: str
    provider: str | None
    model: str
    tokens_in: int
    tokens_out: int
    cached: int
    cache_write: int
    reasoning: int
    nanousd: int | None
    latency_ms: int | None
    tools: tuple[tuple[str, int], ...]
    output: Output | None


class Limit(NamedTuple):
    """A limit on tokens, or on cost in nano-dollars; at least one of the two bounds is there."""

    soft: int | None
    hard: int | None


class Limits(NamedTuple):
    """Limits of a month, given one by one."""

    tokens: Limit | None
    cost: Limit | None
    grace_seconds: int | None
    # Percents, ascending, each once.
    thresholds: tuple[int, ...]


class Assigned(NamedTuple):
    """A quota: a plan, limits, or neither for what would hold without."""

    plan: str | None
    limits: Limits | None
    effective_ms: int


class Event(NamedTuple):
    """An accepted event: equal to another if all that its producer said is equal."""

    tenant: str
    source: str
    id: str
    # Empty for a quota of the tenant as a whole, and for nothing else.
    user: str
    time_ns: int
    usage: Usage | None
    created: Output | None
    deleted: Output | None
    assigned: Assigned | None


class Refusal(NamedTuple):
    """Why a record is not counted; any of the reasons may be the one reported."""

    reasons: frozenset[str]


def decode(record: Record, bounds: Bounds) -> Event | Refusal:
    """What a record is."""
    try:
        event = _event(record)
        _check_bounds(event.time_ns // 1_000_000, record.timestamp, bounds)
    except Refused as refused:
        return Refusal(refused.reasons)
    return event


def _event(record: Record) -> Event:
    if record.value is None:
        raise Refused("null_value")
    if len(record.value) > MAX_RECORD_BYTES:
        raise Refused("too_large")
    # A header without a value is as good as absent.
    headers = [(name, value) for name, value in record.headers if value is not None]
    if _is_binary(headers):
        envelope = _binary_envelope(headers)
        data = parse_object(record.value)
    else:
        top = parse_object(record.value)
        if top.get("specversion") is None:
            envelope, data = _bare_envelope(top), top
        else:
            envelope, data = _structured_envelope(top), _data(top)
    return _with_data(envelope, data)


# The envelope


_ATTRIBUTES = ("ce_specversion", "ce_id", "ce_source", "ce_type", "ce_time")
Headers = list[tuple[str, bytes]]


def _is_binary(headers: Headers) -> bool:
    content_type = _header(headers, "content-type")
    media = None if content_type is None else _media_type(content_type)
    if media is not None and media.startswith("application/cloudevents"):
        if media not in ("application/cloudevents", "application/cloudevents+json"):
            raise Refused("invalid_field")
        return False
    if not any(name in _ATTRIBUTES for name, _ in headers):
        return False
    if media is not None and not _is_json(media):
        raise Refused("invalid_field")
    return True


def _header(headers: Headers, name: str) -> str | None:
    values = [value for other, value in headers if other == name]
    if not values:
        return None
    if len(values) > 1:
        raise Refused("invalid_field")
    try:
        return values[0].decode()
    except UnicodeDecodeError:
        raise Refused("not_utf8") from None


def _media_type(content_type: str) -> str:
    return content_type.partition(";")[0].strip().lower()


def _is_json(media: str) -> bool:
    return media == "application/json" or media.endswith("+json")


class Envelope(NamedTuple):
    """Who an event is, apart from its data."""

    type: str
    id: str
    source: str
    time_ns: int


_TYPES = ("ai.usage.recorded.v1", "ai.output.created.v1", "ai.output.deleted.v1", "ai.quota.assigned.v1")


def _check_type(name: object) -> str:
    if text(name) not in _TYPES:
        raise Refused("unknown_type")
    return text(name)


def _check_version(version: object) -> None:
    if text(version) != "1.0":
        raise Refused("invalid_field")


def _check_content_type(content_type: object) -> None:
    if content_type is not None and not _is_json(_media_type(text(content_type))):
        raise Refused("invalid_field")


def _check_absent(value: object) -> None:
    if value is not None:
        raise Refused("invalid_field")


def _time(value: object) -> int:
    return time_ns(text(value))


class _Part:
    """Reads the fields of one part of a record, and gathers the reasons of all that are refused."""

    def __init__(self) -> None:
        self.reasons: set[str] = set()

    def read(self, read: Callable[[object], T], value: object) -> T | None:
        """What the field says; None once it is refused."""
        try:
            return read(value)
        except Refused as refused:
            self.reasons.update(refused.reasons)
        return None

    def check(self) -> None:
        """Refuses the record if a field of this part was."""
        if self.reasons:
            raise Refused(*self.reasons)


def _envelope(part: _Part, kind: object, name: object, source: object, time: object) -> Envelope:
    envelope = Envelope(
        part.read(_check_type, kind) or "",
        part.read(identifier, name) or "",
        part.read(identifier, source) or "",
        part.read(_time, time) or 0,
    )
    part.check()
    return envelope


def _binary_envelope(headers: Headers) -> Envelope:
    part = _Part()
    values = [part.read(lambda name: _header(headers, str(name)), name) for name in _ATTRIBUTES]
    part.read(_check_version, values[0])
    return _envelope(part, values[3], values[1], values[2], values[4])


def _structured_envelope(top: Object) -> Envelope:
    part = _Part()
    part.read(_check_version, top.get("specversion"))
    part.read(_check_content_type, top.get("datacontenttype"))
    part.read(_check_absent, top.get("data_base64"))
    return _envelope(part, top.get("type"), top.get("id"), top.get("source"), top.get("time"))


def _bare_envelope(top: Object) -> Envelope:
    return _envelope(_Part(), _TYPES[0], top.get("requestId"), BARE_SOURCE, top.get("createdAt"))


# The data


def _data(top: Object) -> Object:
    data = top.get("data")
    if data is None:
        raise Refused("missing_field")
    if not isinstance(data, Object):
        raise Refused("invalid_field")
    check_names(data)
    return data


def _with_data(envelope: Envelope, data: Object) -> Event:
    part = _Part()
    tenant = part.read(identifier, data.get("tenantId")) or ""
    user = ""
    if envelope.type != "ai.quota.assigned.v1" or data.get("userId") is not None:
        user = part.read(identifier, data.get("userId")) or ""
    usage = created = deleted = assigned = None
    if envelope.type == "ai.usage.recorded.v1":
        usage = _usage(part, data)
        created = usage.output
    elif envelope.type == "ai.quota.assigned.v1":
        assigned = _assigned(part, data, envelope.time_ns)
    else:
        output = _output(part, data.get("outputId"), data.get("kind"))
        created, deleted = (output, None) if envelope.type == "ai.output.created.v1" else (None, output)
    part.check()
    if usage is not None:
        _check_totals(usage, None if data.get("totalTokens") is None else count(data["totalTokens"]))
    return Event(tenant, envelope.source, envelope.id, user, envelope.time_ns, usage, created, deleted, assigned)


def _usage(part: _Part, data: Object) -> Usage:
    def optional(read: Callable[[object], T], name: str) -> T | None:
        value = data.get(name)
        return None if value is None else part.read(read, value)

    optional(count, "totalTokens")
    return Usage(
        assistant=part.read(identifier, data.get("assistant")) or "",
        provider=optional(identifier, "provider"),
        model=part.read(identifier, data.get("model")) or "",
        tokens_in=part.read(count, data.get("tokensIn")) or 0,
        tokens_out=part.read(count, data.get("tokensOut")) or 0,
        cached=optional(count, "cachedTokens") or 0,
        cache_write=optional(count, "cacheWriteTokens") or 0,
        reasoning=optional(count, "reasoningTokens") or 0,
        nanousd=optional(nano_dollars, "costCents"),
        latency_ms=optional(count, "latencyMs"),
        tools=optional(_tools, "toolInvocations") or (),
        output=optional(_nested_output, "output"),
    )


def _output(part: _Part, name: object, kind: object) -> Output:
    return Output(part.read(identifier, kind) or "", part.read(identifier, name) or "")


def _nested_output(value: object) -> Output:
    fields = _object(value)
    part = _Part()
    output = _output(part, fields.get("id"), fields.get("kind"))
    part.check()
    return output


def _tools(value: object) -> tuple[tuple[str, int], ...]:
    if not isinstance(value, Object) or value.entries > MAX_TOOLS or value.twice:
        raise Refused("invalid_field")
    part, calls = _Part(), {}
    for name, number in value.items():
        if has_half_a_pair(name):
            raise Refused("invalid_field")
        calls[part.read(identifier, name)] = 0 if number is None else part.read(count, number)
    part.check()
    return tuple(sorted((name, number) for name, number in calls.items() if number))


def _check_totals(usage: Usage, total: int | None) -> None:
    wrong = total is not None and total != usage.tokens_in + usage.tokens_out
    if wrong or usage.cached + usage.cache_write > usage.tokens_in or usage.reasoning > usage.tokens_out:
        raise Refused("totals_mismatch")


# A quota


def _assigned(part: _Part, data: Object, time_ns: int) -> Assigned:
    plan, limits, effective = data.get("plan"), data.get("limits"), data.get("effectiveFrom")
    inherit = part.read(_flag, data.get("inherit"))
    given = (plan is not None) + (limits is not None) + (inherit is True)
    # Where `inherit` is refused, it is not known how many there are.
    if inherit is not None and given != 1:
        part.reasons.add("invalid_field" if given else "missing_field")
    return Assigned(
        plan=None if plan is None else part.read(identifier, plan),
        limits=None if limits is None else part.read(_limits, limits),
        effective_ms=(time_ns if effective is None else part.read(_time, effective) or 0) // 1_000_000,
    )


def _flag(value: object) -> bool:
    if value not in (None, True, False) or isinstance(value, str):
        raise Refused("invalid_field")
    return value is True


def _limits(value: object) -> Limits:
    fields = _object(value)
    part = _Part()

    def optional(read: Callable[[object], T], name: str) -> T | None:
        return None if fields.get(name) is None else part.read(read, fields[name])

    if fields.get("tokens") is None and fields.get("costCents") is None:
        part.reasons.add("missing_field")
    thresholds = optional(_thresholds, "thresholds")
    limits = Limits(
        tokens=optional(lambda limit: _limit(limit, count), "tokens"),
        cost=optional(lambda limit: _limit(limit, nano_dollars), "costCents"),
        grace_seconds=optional(_grace, "graceSeconds"),
        thresholds=THRESHOLDS if thresholds is None else thresholds,
    )
    part.check()
    return limits


def _limit(value: object, read: Callable[[object], int]) -> Limit:
    fields = _object(value)
    part = _Part()

    def bound(name: str) -> int | None:
        if fields.get(name) is None:
            return None
        number = part.read(read, fields[name])
        if number == 0:
            part.reasons.add("invalid_field")
        return number

    limit = Limit(bound("soft"), bound("hard"))
    part.check()
    if limit == Limit(None, None):
        raise Refused("missing_field")
    if limit.soft is not None and limit.hard is not None and limit.soft > limit.hard:
        raise Refused("invalid_field")
    return limit


def _grace(value: object) -> int:
    seconds = count(value)
    if seconds > MAX_GRACE_SECONDS:
        raise Refused("invalid_field")
    return seconds


def _thresholds(value: object) -> tuple[int, ...]:
    if not isinstance(value, list) or len(value) > MAX_THRESHOLDS or None in value:
        raise Refused("invalid_field")
    percents = {count(percent) for percent in value}
    if not percents <= set(range(1, MAX_PERCENT + 1)):
        raise Refused("invalid_field")
    return tuple(sorted(percents))


def _object(value: object) -> Object:
    if not isinstance(value, Object):
        raise Refused("invalid_field")
    check_names(value)
    return value


# The time


def _check_bounds(time_ms: int, timestamp: int | None, bounds: Bounds) -> None:
    if timestamp is None:
        raise Refused("no_timestamp")
    if time_ms > timestamp + bounds.max_future_ms:
        raise Refused("time_in_future")
    if time_ms < timestamp - bounds.max_age_ms:
        raise Refused("too_late")
