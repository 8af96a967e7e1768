"""Prices."""

import unittest
from typing import Any

from ..prices import Prices, Rating

NOW = 1_795_543_200_000_000_000


class Rated(unittest.TestCase):
    """A few requests, worked out by hand."""

    def setUp(self) -> None:
        self.prices = Prices.from_file(None)

    def rate(self, model: str, tokens_in: int, tokens_out: int, **more: Any) -> Rating:
        """By the table that is built in, now."""
        return self.prices.rate({"model": model, "tokens_in": tokens_in, "tokens_out": tokens_out, **more}, NOW)

    def test_a_request_costs_what_its_tokens_and_calls_cost(self) -> None:
        cost = 600 * 3000 + 300 * 300 + 100 * 3750 + 500 * 15_000 + 10_000_000
        rating = self.rate(
            "claude-sonnet-4-5-20250929", 1000, 500, cached=300, cache_write=100, tools=[("webSearch", 1)]
        )
        self.assertEqual(rating, Rating(cost, cost, False, None))

    def test_a_tier_is_above_its_bound(self) -> None:
        self.assertEqual(self.rate("claude-sonnet-4-5", 200_000, 0).cost, 600_000_000)
        self.assertEqual(self.rate("claude-sonnet-4-5", 200_001, 0).cost, 1_200_006_000)

    def test_a_cost_of_its_own_stays(self) -> None:
        self.assertEqual(self.rate("gpt-5", 1000, 0, nanousd=5), Rating(5, 5, False, 1_250_000))
        self.assertEqual(self.rate("gpt-5", 1000, 0, nanousd=1_262_500), Rating(1_262_500, 1_262_500, False, None))
        self.assertEqual(self.rate("no-such-model", 1000, 0, nanousd=5), Rating(5, 5, False, None))

    def test_nobody_knows_what_it_costs(self) -> None:
        self.assertEqual(self.rate("no-such-model", 1000, 0), Rating(0, 0, True, None))
        self.assertEqual(self.rate("gpt-5", 1000, 0, provider="other"), Rating(0, 0, True, None))
