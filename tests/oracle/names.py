"""Ids in the names of keys and fields, and in those of notices."""

_RESERVED = frozenset("%:|{} \"'*?[]\\")


def encode(name: str) -> str:
    """An id as a part of a key or field."""
    if name.isalnum() and name.isascii():
        return name
    encoded = (
        chr(byte) if 32 < byte < 127 and chr(byte) not in _RESERVED else f"%{byte:02X}" for byte in name.encode()
    )
    return "".join(encoded)
