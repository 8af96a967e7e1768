"""The table of values in docs/deploy.md has every value of the chart, and no other."""

import re
import unittest

import yaml

from deploy.chart import CHART, ROOT

VALUES = yaml.safe_load((CHART / "values.yaml").read_text())
ROLES = ("worker", "api", "all")


def leaves(values, path=""):
    for name, value in values.items():
        if isinstance(value, dict) and value:
            yield from leaves(value, f"{path}{name}.")
        else:
            yield path + name


def documented():
    """Paths of the first column; … stands for what the one before it begins with, ROLE for each role."""
    table = (ROOT / "docs/deploy.md").read_text().split("### Values")[1].split("\n## ")[0]
    for row in re.findall(r"^\| (`.*?) \|", table, re.M):
        before = ""
        for name in re.findall(r"`([^`]+)`", row):
            name = name.replace("…", before)
            before = name.rsplit(".", 1)[0]
            yield from [name.replace("ROLE", role) for role in ROLES] if name.startswith("ROLE.") else [name]


def known(path: str) -> bool:
    value = VALUES
    for part in path.split("."):
        if not isinstance(value, dict) or part not in value:
            return False
        value = value[part]
    return True


class Values(unittest.TestCase):
    def test_every_value_is_in_the_table(self):
        told = set(documented())
        # A row may stand for all that is below it.
        missing = [p for p in leaves(VALUES) if not any(p == t or p.startswith(t + ".") for t in told)]
        self.assertEqual(missing, [])

    def test_the_table_has_no_other(self):
        # The API has no lag, so it has no KEDA.
        unknown = [path for path in documented() if not known(path) and not path.startswith("api.autoscaling.keda.")]
        self.assertEqual(unknown, [])
