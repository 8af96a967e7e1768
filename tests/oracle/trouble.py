"""What ends the oracle without an answer."""


class CannotTell(Exception):
    """Neither equal nor different: a sentence that says what stands in the way and what to do."""
