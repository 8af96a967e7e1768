"""What a request costs by a price table, in Python's own decimals: the second opinion on `src/pricing`.

Reads the same TOML (`src/pricing/builtin.toml` says what may stand in it) and follows the same written rules, on its
own. It takes a table for granted that the program has taken: faults are not looked for.

    python -m oracle.prices REQUESTS [TABLE]     # a request a line, as JSON; prints a rating a line
"""

import json
import re
import sys
import tomllib
from datetime import UTC, date, datetime
from decimal import ROUND_HALF_EVEN, Context, Decimal, Inexact
from functools import cache
from pathlib import Path
from typing import Any, NamedTuple

from .values import MAX_NANOS, time_ns

BUILTIN = Path(__file__).resolve().parents[2] / "src" / "pricing" / "builtin.toml"

# Nothing is ever rounded in here; what would have to be is an error.
_EXACT = Context(prec=120, traps=[Inexact])
_ROUND = Context(prec=120, rounding=ROUND_HALF_EVEN)
_NANO = Decimal("1e-9")
_TOKENS = Decimal("1e-6")


class TooLarge(Exception):
    """More than an amount can hold."""


class Rating(NamedTuple):
    """In nano-dollars; `expected` only where the request's own cost is not what the table says."""

    cost: int
    charge: int
    unpriced: bool
    expected: int | None


class _Entry(NamedTuple):
    provider: str
    from_ns: int | None
    table: dict[str, Any]


class Prices:
    """A price table."""

    def __init__(self, document: dict[str, Any]) -> None:
        self._markup = Decimal(document.get("markup", 0))
        tolerance = document.get("tolerance", {})
        self._percent = Decimal(tolerance.get("percent", 1))
        self._floor = Decimal(tolerance.get("floor", _NANO))
        providers: list[str] = []
        names: dict[tuple[str, str], list[_Entry]] = {}
        for table in document["price"]:
            provider = table["provider"]
            if provider not in providers:
                providers.append(provider)
            models = [table["model"]] if isinstance(table["model"], str) else table["model"]
            for model in models:
                names.setdefault((provider, model), []).append(_Entry(provider, _instant(table.get("from")), table))

        def precedence(name: tuple[str, str]) -> tuple[bool, int, int, bytes]:
            provider, model = name
            length = len(model.replace("*", "").encode())
            return "*" in model, -length if "*" in model else 0, providers.index(provider), model.encode()

        self._names = [(model, names[provider, model]) for provider, model in sorted(names, key=precedence)]
        self._matching = cache(self._match)

    @classmethod
    def from_file(cls, path: str | Path | None) -> "Prices":
        """The table of a file; the one that is built in for none."""
        with open(path or BUILTIN, "rb") as file:
            return cls(tomllib.load(file, parse_float=Decimal))

    def rate(self, usage: dict[str, Any], time: int) -> Rating:
        """What a request costs at an instant in nanoseconds since 1970.

        `usage` has model, tokens_in, tokens_out, and may have provider, cached, cache_write, reasoning, nanousd (its
        own cost) and tools (pairs of name and calls).
        """
        entry = self._find(usage.get("provider"), usage["model"], time)
        markup = Decimal(entry.get("markup", self._markup)) if entry else self._markup
        table = _exact_cost(entry, usage) if entry else None
        given = usage.get("nanousd")
        if given is not None:
            expected = None if table is None else _nanos(table)
            is_mismatch = expected is not None and expected <= MAX_NANOS and self._is_beyond(given, expected)
            charge = _charge(_EXACT.multiply(Decimal(given), _NANO), markup)
            return Rating(given, _amount(charge), False, expected if is_mismatch else None)
        if table is None:
            return Rating(0, 0, True, None)
        return Rating(_amount(_nanos(table)), _amount(_charge(table, markup)), False, None)

    def _is_beyond(self, given: int, expected: int) -> bool:
        apart = abs(given - expected)
        floor = _EXACT.divide(self._floor, _NANO)
        return apart > floor and _EXACT.multiply(Decimal(apart), 100) > _EXACT.multiply(Decimal(expected), self._percent)

    def _find(self, provider: str | None, model: str, time: int) -> dict[str, Any] | None:
        for entries in self._matching(model):
            begun = [
                entry
                for entry in entries
                if (provider is None or provider == entry.provider) and (entry.from_ns is None or entry.from_ns <= time)
            ]
            if begun:
                return max(begun, key=lambda entry: float("-inf") if entry.from_ns is None else entry.from_ns).table
        return None

    def _match(self, model: str) -> list[list[_Entry]]:
        found = []
        for name, entries in self._names:
            pattern = ".*".join(re.escape(part) for part in name.split("*"))
            if re.fullmatch(pattern, model, re.DOTALL):
                found.append(entries)
        return found


def _instant(value: object) -> int | None:
    if value is None:
        return None
    if isinstance(value, datetime):
        since = value.astimezone(UTC) - datetime(1970, 1, 1, tzinfo=UTC)
        return (since.days * 86_400 + since.seconds) * 10**9 + since.microseconds * 1000
    text = value.isoformat() if isinstance(value, date) else str(value)
    return time_ns(text if "T" in text.upper() else f"{text}T00:00:00Z")


def _exact_cost(entry: dict[str, Any], usage: dict[str, Any]) -> Decimal:
    tokens_in, tokens_out = usage["tokens_in"], usage["tokens_out"]
    cached, written, reasoning = (usage.get(name) or 0 for name in ("cached", "cache_write", "reasoning"))
    rates = entry
    for tier in entry.get("tier", []):
        if tokens_in > tier["above"]:
            rates = tier
    parts = [
        (tokens_in - cached - written, rates["input"]),
        (cached, rates.get("cache_read", rates["input"])),
        (written, rates.get("cache_write", rates["input"])),
        (tokens_out - reasoning, rates["output"]),
        (reasoning, rates.get("reasoning", rates["output"])),
    ]
    dollars = Decimal(0)
    for count, price in parts:
        part = _EXACT.multiply(_EXACT.multiply(Decimal(count), Decimal(price)), _TOKENS)
        dollars = _EXACT.add(dollars, part)
    for tool, calls in usage.get("tools") or ():
        price = Decimal(entry.get("tools", {}).get(tool, 0))
        dollars = _EXACT.add(dollars, _EXACT.multiply(Decimal(calls), price))
    return dollars


def _charge(dollars: Decimal, markup: Decimal) -> int:
    return _nanos(_EXACT.multiply(dollars, _EXACT.add(Decimal(1), _EXACT.divide(markup, Decimal(100)))))


def _nanos(dollars: Decimal) -> int:
    return int(_EXACT.scaleb(dollars.quantize(_NANO, context=_ROUND), 9))


def _amount(nanos: int) -> int:
    if nanos > MAX_NANOS:
        raise TooLarge
    return nanos


def main(args: list[str]) -> int:
    """Rates the requests of a file."""
    requests, *table = args
    prices = Prices.from_file(table[0] if table else None)
    with open(requests, encoding="utf-8") as lines:
        for line in lines:
            usage = json.loads(line)
            try:
                cost, charge, unpriced, expected = prices.rate(usage, usage["at_ns"])
                print(cost, charge, int(unpriced), "-" if expected is None else expected)
            except TooLarge:
                print("too large")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
