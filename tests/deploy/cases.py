"""What the tests of manifests have in common."""

import unittest

from deploy import chart
from deploy.chart import named, of_kind, rendered

SETS = chart.value_sets()
MADE = {name: rendered(values) for name, values in SETS.items()}


class Manifests(unittest.TestCase):
    """A failure says in which value set, and at which manifest, it was."""

    at = ""

    def _formatMessage(self, msg, standardMsg):
        return super()._formatMessage(" ".join(filter(None, [self.at, msg])), standardMsg)

    def each_set(self):
        for self.at, manifests in MADE.items():
            yield manifests
        self.at = ""

    def each(self, *kinds: str):
        """Every manifest of the kinds, with all those beside it. There is at least one, or nothing was tested."""
        found = [(name, manifests, m) for name, manifests in MADE.items() for m in of_kind(manifests, *kinds)]
        self.assertTrue(found, kinds)
        for name, manifests, manifest in found:
            self.at = f"{name}: {named(manifest)}:"
            yield manifests, manifest
        self.at = ""
