"""A record's value as a whole: one JSON object, its numbers as text, and which names stand twice in it."""

import json
import re

from .values import Number, Refused

MAX_DEPTH = 64

# The fields that docs/events.md names, at any level.
OURS = frozenset(
    "specversion id source type time datacontenttype data data_base64 tenantId userId assistant model tokensIn "
    "tokensOut totalTokens cachedTokens reasoningTokens costCents latencyMs toolInvocations output outputId kind "
    "requestId createdAt provider cacheWriteTokens plan limits inherit effectiveFrom tokens soft hard graceSeconds "
    "thresholds".split()
)


class Object(dict):
    """A JSON object, the number of its entries, and the names that stand twice in it."""

    entries = 0
    twice: frozenset[str] = frozenset()


def parse_object(value: bytes) -> Object:
    """The value as the JSON object that it must be."""
    try:
        json_text = value.decode()
    except UnicodeDecodeError:
        raise Refused("not_utf8") from None
    if _is_too_deep(json_text):
        # Of a text that is no JSON either answer will do.
        raise Refused("too_deep", "not_json")
    try:
        parsed = _DECODER.decode(json_text)
    except (ValueError, RecursionError):
        raise Refused("not_json") from None
    if not isinstance(parsed, Object):
        raise Refused("not_an_object")
    check_names(parsed)
    return parsed


def _pairs(pairs: list[tuple[str, object]]) -> Object:
    found = Object(pairs)
    found.entries = len(pairs)
    if len(found) != len(pairs):
        names = [name for name, _ in pairs]
        found.twice = frozenset(name for name in names if names.count(name) > 1)
    return found


def _no_constant(name: str) -> object:
    raise ValueError(f"{name} is no JSON")


_DECODER = json.JSONDecoder(
    object_pairs_hook=_pairs, parse_int=Number, parse_float=Number, parse_constant=_no_constant
)
_STRING = re.compile(r'"(?:[^"\\]|\\.)*"?', re.DOTALL)


def _is_too_deep(json_text: str) -> bool:
    if json_text.count("{") + json_text.count("[") <= MAX_DEPTH:
        return False
    depth = deepest = 0
    for char in _STRING.sub("", json_text):
        if char in "{[":
            depth += 1
            deepest = max(deepest, depth)
        elif char in "}]":
            depth -= 1
    return deepest > MAX_DEPTH


def check_names(fields: Object) -> None:
    """A field of ours stands once."""
    if fields.twice & OURS:
        raise Refused("invalid_field")
