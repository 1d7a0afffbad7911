"""Names that share a key: xxHash64 is fast, not made to resist anybody."""

from __future__ import annotations

import struct
from itertools import product
from string import ascii_letters, digits

from cilake.sources.keys import HASH_SEED

_P1, _P2 = 0x9E3779B185EBCA87, 0xC2B2AE3D27D4EB4F
_MASK = (1 << 64) - 1


def colliding_names(prefix: str = "") -> tuple[str, str]:
    """Return two printable names of which the hash, each after the prefix, is one key.

    The hash takes names in blocks of 32 bytes, and 8 bytes of each go into one of four lanes. Two different
    first words of a lane are made up for by its second ones; a few thousand tries find a printable pair.
    """
    lane = (HASH_SEED + _P1 + _P2) & _MASK
    head = prefix.encode()
    free = 8 - len(head)
    first = head + b"collides"[:free]
    state = _absorb(lane, first)
    inverse = pow(_P2, -1, 1 << 64)
    second = struct.unpack("<Q", b"[sig-ab]")[0]
    for letters in product(ascii_letters + digits, repeat=free):
        other_first = head + "".join(letters).encode()
        other_state = _absorb(lane, other_first)
        # Both lanes go on alike: state + second * P2 == other_state + other_second * P2.
        other_second = (second + (state - other_state) * inverse) & _MASK
        word = struct.pack("<Q", other_second)
        if word.isascii() and word.decode().isprintable():
            names = (
                (start + b"x" * 24 + end + b"y" * 24).decode().removeprefix(prefix)
                for start, end in ((first, b"[sig-ab]"), (other_first, word))
            )
            one, other = names
            return one, other
    raise AssertionError


def _absorb(lane: int, word: bytes) -> int:
    """Return a lane of xxHash64 after it took 8 bytes."""
    lane = (lane + struct.unpack("<Q", word)[0] * _P2) & _MASK
    return (((lane << 31) | (lane >> 33)) & _MASK) * _P1 & _MASK
