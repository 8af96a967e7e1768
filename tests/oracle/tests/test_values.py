"""Single values."""

import unittest

from ..values import Number, Refused, count, date_of, day_number, identifier, nano_dollars, time_ns


class Values(unittest.TestCase):
    """What docs/events.md says under "Values"."""

    def refused(self, reason: str, read: object, *values: object) -> None:
        """Each of them, for that reason."""
        for value in values:
            with self.subTest(value=value), self.assertRaises(Refused) as caught:
                read(value)
            self.assertEqual(caught.exception.reasons, {reason})

    def test_money_is_rounded_once_half_to_even(self) -> None:
        cases = {
            "1.5842": 15_842_000,
            "0.00000005": 0,
            "0.00000015": 2,
            "0.00000025": 2,
            "0.000000250000000000000000000000000001": 3,
            "0.00000004999": 0,
            "1e-3": 10_000,
            "1E+2": 1_000_000_000,
            "007": 70_000_000,
            "-0": 0,
            "0e99999999999999999999": 0,
            "1e-99999999999999999999": 0,
            "922337203685.4775807": 2**63 - 1,
            "922337203685.47758074": 2**63 - 1,
        }
        for cents, nanos in cases.items():
            self.assertEqual(nano_dollars(cents), nanos, cents)
            self.assertEqual(nano_dollars(Number(cents)), nanos, cents)
        self.refused("invalid_field", nano_dollars, "-1", "922337203685.4775808", "1e99999999999", "1,5", ".5", "1.")
        self.refused("invalid_field", nano_dollars, "", " 1", "1\n", "NaN", "١", True, {})

    def test_counts_are_whole_numbers_however_written(self) -> None:
        for text, number in {"12": 12, "12.0": 12, "1e3": 1000, "-0": 0, "9007199254740992": 2**53}.items():
            self.assertEqual(count(Number(text)), number, text)
        self.assertEqual(count(Number("0.0000e-99999999999999999")), 0)
        self.refused("invalid_field", count, *map(Number, ["1.5", "-1", "9007199254740993", "1e17", "1e-1"]))
        self.refused("invalid_field", count, Number("1.00000000000000000000001"), Number("1e99999999999"), "12", True)
        self.refused("missing_field", count, None)

    def test_ids_are_printable_text(self) -> None:
        for name in ["a", "é" * 128, "a b", " a", "\u3000x", "😀" * 64]:
            self.assertEqual(identifier(name), name)
        self.refused("invalid_id", identifier, "", " ", "\u3000", "a\n", "a\u0085", "\u2028a", "é" * 129, "a" * 257)
        self.refused("invalid_field", identifier, Number("1"), [], "\ud800")
        self.refused("missing_field", identifier, None)

    def test_times_are_rfc_3339(self) -> None:
        noon = time_ns("2026-11-24T18:32:00Z")
        self.assertEqual(noon, 1_795_545_120 * 10**9)
        for same in ["2026-11-24t18:32:00z", "2026-11-24 19:32:00+01:00", "2026-11-24T17:32:00.0\u221201:00"]:
            self.assertEqual(time_ns(same), noon, same)
        self.assertEqual(time_ns("2026-11-24T18:31:60.5Z"), noon - 500_000_000, "a leap second")
        self.assertEqual(time_ns("2026-11-24T18:32:00.1234567899Z"), noon + 123_456_789)
        self.assertEqual(time_ns("0000-01-01T00:00:00Z"), -62_167_219_200 * 10**9)
        for bad in ["2026-02-29T00:00:00Z", "2026-11-24T24:00:00Z", "2026-11-24", "9999-12-31T23:59:59-01:00"]:
            self.refused("invalid_field", time_ns, bad)
        self.refused(
            "invalid_field", time_ns, "2026-11-24T18:32:00Z\n", "2026-11-24T18:32:00", "0000-01-01T00:00:00+01:00"
        )

    def test_days_and_their_numbers_are_each_others_reverse(self) -> None:
        for number in [*range(-719_528, 2_932_897, 97), -719_528, 2_932_896, 0, 59, 60, 11_016, 11_017]:
            self.assertEqual(day_number(*date_of(number)), number)
        self.assertEqual(date_of(20_781), (2026, 11, 24))
