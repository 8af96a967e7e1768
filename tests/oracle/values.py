"""Single values of an event, as docs/events.md ("Values") and schemas/ write them down: ids, counts, money, time.

Nothing here passes through a float. Numbers arrive as the text that stood in the JSON.
"""

import re
from decimal import ROUND_HALF_EVEN, Context, Decimal

MAX_COUNT = 2**53
MAX_ID_BYTES = 256
MAX_NANOS = 2**63 - 1


class Number(str):
    """A JSON number, as its text."""


class Refused(Exception):
    """Why a value or a record is refused: reasons of docs/events.md, of which any may be the one reported."""

    def __init__(self, *reasons: str) -> None:
        super().__init__(*reasons)
        self.reasons = frozenset(reasons)


# `$defs.id.pattern` of the schemas: no control characters or line separators, and one that is no white space.
_ID = re.compile(
    r"[^\u0000-\u001f\u007f-\u009f\u2028\u2029]*"
    r"[^\u0000-\u0020\u007f-\u00a0\u1680\u2000-\u200a\u2028\u2029\u202f\u205f\u3000]"
    r"[^\u0000-\u001f\u007f-\u009f\u2028\u2029]*"
)


def text(value: object) -> str:
    """A required text."""
    if value is None:
        raise Refused("missing_field")
    if not isinstance(value, str) or isinstance(value, Number) or has_half_a_pair(value):
        raise Refused("invalid_field")
    return value


def has_half_a_pair(value: str) -> bool:
    """JSON's grammar allows half a surrogate pair, which is no character."""
    return not value.isascii() and any("\ud800" <= char <= "\udfff" for char in value)


def identifier(value: object) -> str:
    """A required id: 1 to 256 bytes of printable text, not blank."""
    name = text(value)
    if not (0 < len(name) <= MAX_ID_BYTES and len(name.encode()) <= MAX_ID_BYTES and _ID.fullmatch(name)):
        raise Refused("invalid_id")
    return name


def count(value: object) -> int:
    """A required count: a whole JSON number from 0 to 2^53, however it is written."""
    if value is None:
        raise Refused("missing_field")
    if not isinstance(value, Number):
        raise Refused("invalid_field")
    number = _decimal(value)
    if number.is_zero():
        return 0
    # `adjusted` is the place of the first digit: with more than 16 before the point it is above 2^53.
    if number < 0 or number.adjusted() > 15 or number != number.to_integral_value() or number > MAX_COUNT:
        raise Refused("invalid_field")
    return int(number)


_CENTS = re.compile(r"-?[0-9]+(\.[0-9]+)?([eE][+-]?[0-9]+)?")
# 13 digits before the point and 7 after it, with room to round.
_MONEY = Context(prec=40, rounding=ROUND_HALF_EVEN)
_NANO_CENT = Decimal("1e-7")


def nano_dollars(cents: object) -> int:
    """An amount in cents, a JSON number or a text of one, in nano-dollars: rounded once, half to even."""
    if not isinstance(cents, str) or not _CENTS.fullmatch(cents):
        raise Refused("invalid_field")
    number = _decimal(cents)
    if number.is_zero() or number.adjusted() < -9:
        return 0  # less than half a nano-dollar
    if number.adjusted() > 12:
        raise Refused("invalid_field")
    nanos = int(number.quantize(_NANO_CENT, context=_MONEY).scaleb(7, context=_MONEY))
    if not 0 <= nanos <= MAX_NANOS:
        raise Refused("invalid_field")
    return nanos


def _decimal(number: str) -> Decimal:
    """Exact. An exponent beyond all reason is as good as the largest that Decimal takes."""
    mantissa, _, exponent = number.lower().partition("e")
    if len(exponent) > 10:
        exponent = "-999999999" if exponent.startswith("-") else "999999999"
    return Decimal(f"{mantissa}e{exponent or '0'}")


_TIME = re.compile(
    r"([0-9]{4})-([0-9]{2})-([0-9]{2})[Tt ]([0-9]{2}):([0-9]{2}):([0-9]{2})(?:\.([0-9]+))?"
    r"(?:[Zz]|([+\-\u2212])([0-9]{2}):([0-9]{2}))"
)
_YEAR_0, _YEAR_10000 = -62_167_219_200, 253_402_300_800
DAY_SECONDS = 86_400


def time_ns(value: str) -> int:
    """An RFC 3339 time with an offset, in nanoseconds since 1970; years 0000 to 9999 in UTC."""
    match = _TIME.fullmatch(value)
    if not match:
        raise Refused("invalid_field")
    year, month, day, hour, minute, second = (int(part) for part in match.groups()[:6])
    fraction, sign, offset_hours, offset_minutes = match.groups()[6:]
    if not (1 <= month <= 12 and 1 <= day <= days_in_month(year, month)):
        raise Refused("invalid_field")
    if hour > 23 or minute > 59 or second > 60:
        raise Refused("invalid_field")
    offset = int(offset_hours or 0) * 3600 + int(offset_minutes or 0) * 60
    if int(offset_hours or 0) > 23 or int(offset_minutes or 0) > 59:
        raise Refused("invalid_field")
    # A leap second is read as the second before.
    seconds = day_number(year, month, day) * DAY_SECONDS + hour * 3600 + minute * 60 + min(second, 59)
    seconds += offset if sign in ("-", "\u2212") else -offset
    if not _YEAR_0 <= seconds < _YEAR_10000:
        raise Refused("invalid_field")
    return seconds * 1_000_000_000 + int(((fraction or "") + "0" * 9)[:9])


# Python's own dates begin with the year 1; an event's may be of the year 0.


def days_in_month(year: int, month: int) -> int:
    """28 to 31."""
    if month == 2:
        return 29 if year % 4 == 0 and (year % 100 != 0 or year % 400 == 0) else 28
    return 30 if month in (4, 6, 9, 11) else 31


def day_number(year: int, month: int, day: int) -> int:
    """Days since 1970-01-01. A year is counted from March, so that the leap day is its last."""
    if month <= 2:
        year, month = year - 1, month + 12
    leap_days = year // 4 - year // 100 + year // 400
    return 365 * year + leap_days + (153 * (month - 3) + 2) // 5 + day - 1 - 719_468


def date_of(day: int) -> tuple[int, int, int]:
    """Year, month and day of a day's number. The year is guessed and put right, then the month is searched."""
    year = 1970 + day // 366
    while day_number(year + 1, 1, 1) <= day:
        year += 1
    month = 12
    while day_number(year, month, 1) > day:
        month -= 1
    return year, month, day - day_number(year, month, 1) + 1
