"""Chance without state: the same keys always give the same numbers, in whatever order they are drawn."""

import hashlib

import numpy as np

_GOLDEN = np.uint64(0x9E3779B97F4A7C15)
_MASK = 0xFFFFFFFFFFFFFFFF


def key_of(*parts: object) -> int:
    """Return a 64-bit key of the parts."""
    text = "\x1f".join(str(part) for part in parts)
    return int.from_bytes(hashlib.blake2b(text.encode(), digest_size=8).digest(), "big")


def mix(keys: np.ndarray, salt: int) -> np.ndarray:
    """Return a well mixed 64-bit number per key (the finaliser of splitmix64)."""
    with np.errstate(over="ignore"):
        z = keys ^ np.uint64(salt)
        z = z + _GOLDEN
        z = (z ^ (z >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
        z = (z ^ (z >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
        return z ^ (z >> np.uint64(31))


def uniforms(keys: np.ndarray, salt: int) -> np.ndarray:
    """Return a number in [0, 1) per key."""
    return (mix(keys, salt) >> np.uint64(11)).astype(np.float64) / 2.0**53


class Rng:
    """A short sequence of draws that belongs to one thing, named by its keys."""

    def __init__(self, *parts: object):
        self._key = key_of(*parts)
        self._drawn = 0

    def uniform(self, low: float = 0.0, high: float = 1.0) -> float:
        """Return the next draw between low and high."""
        # Plain integers: an array of one element costs ten times as much.
        self._drawn += 1
        z = (self._key + self._drawn * int(_GOLDEN)) & _MASK
        z = (z ^ (z >> 30)) * 0xBF58476D1CE4E5B9 & _MASK
        z = (z ^ (z >> 27)) * 0x94D049BB133111EB & _MASK
        return low + (high - low) * (((z ^ (z >> 31)) >> 11) / 2.0**53)

    def below(self, count: int) -> int:
        """Return the next draw among 0 .. count - 1."""
        return int(self.uniform() * count)

    def pick(self, items: list[int], count: int) -> list[int]:
        """Return `count` different items (all of them when there are fewer)."""
        left = list(items)
        return [left.pop(self.below(len(left))) for _ in range(min(count, len(left)))]
