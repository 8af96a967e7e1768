"""Collects what differs, each under the name of what it is."""

from typing import NamedTuple

NOTHING = "nothing"


class Difference(NamedTuple):
    """One fact: what was found, and what the log says."""

    what: str
    found: str
    expected: str

    def __str__(self) -> str:
        return f"{self.what}: found {self.found}, the log says {self.expected}"


class Differences:
    """All of them, in the order in which they were found."""

    def __init__(self) -> None:
        self.all: list[Difference] = []
        # How many facts were held against each other.
        self.compared = 0

    def equal(self, what: str, found: object, expected: object) -> None:
        """Notes a difference unless both are equal."""
        self.compared += 1
        if found != expected:
            self.add(what, found, expected)

    def add(self, what: str, found: object, expected: object) -> None:
        """Notes a difference."""
        self.all.append(Difference(what, _shown(found), _shown(expected)))

    def mappings(self, what: str, found: dict, expected: dict) -> None:
        """Entry by entry; what is not there is shown as nothing."""
        self.compared += len(expected)
        if found == expected:
            return
        for key in [*expected, *(key for key in found if key not in expected)]:
            if found.get(key) != expected.get(key):
                self.add(f"{what} {_shown(key)}", found.get(key, NOTHING), expected.get(key, NOTHING))


def _shown(value: object) -> str:
    """One line of at most some 200 characters."""
    text = value if isinstance(value, str) else repr(value)
    text = text.replace("\n", "\\n")
    return text if len(text) <= 200 else text[:200] + "…"
