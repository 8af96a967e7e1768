"""The log of a day's seen ids, as docs/redis.md describes it: its entries, and their digest."""

import struct

CHUNK_IDS = 4095
ENTRY_BYTES = 12
_ALL = (1 << 64) - 1
# The part of the secret of xxHash (XXH3, 64 bits) that texts of 9 to 16 bytes are mixed with.
_LOW, _HIGH = 0x1F67B3B7A4A44072 ^ 0x78E5C0CC4EE679CB, 0x2172FFCC7DD05A82 ^ 0x8E2443F7744608B8


def different_ids(entries: bytes) -> int:
    """The names that the entries bear: 8 bytes of each."""
    return len({name for name, _ in struct.iter_unpack("<QI", entries)})


def digest(entries: bytes) -> str:
    """XXH3 of every entry, seeded with that of those before it."""
    seed = 0
    for low, middle, last in struct.iter_unpack("<3I", entries):
        seed = _hash_of_12(low | middle << 32, middle | last << 32, seed)
    return f"{seed:016x}"


def _hash_of_12(first_8: int, last_8: int, seed: int) -> int:
    low = first_8 ^ ((_LOW + seed) & _ALL)
    high = last_8 ^ ((_HIGH - seed) & _ALL)
    product = low * high
    swapped = int.from_bytes(low.to_bytes(8, "little"), "big")
    mixed = (ENTRY_BYTES + swapped + high + ((product & _ALL) ^ (product >> 64))) & _ALL
    mixed = ((mixed ^ (mixed >> 37)) * 0x165667919E3779F9) & _ALL
    return mixed ^ (mixed >> 32)
