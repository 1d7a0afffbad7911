"""Keys of names, and hashes made of keys: 64 bits, equal in Python, numpy and Spark."""

from __future__ import annotations

import numpy as np
import xxhash

HASH_SEED = 42  # Spark's: xxhash64(name) in SQL gives the same keys


def hash_name(name: str) -> int:
    """Return the signed 64-bit key of a name, equal to Spark's ``xxhash64(name)``."""
    value = xxhash.xxh64_intdigest(name.encode(), HASH_SEED)
    return value - (1 << 64) if value >= 1 << 63 else value


def hash_names(names: list[str]) -> np.ndarray:
    """Return the keys of many names, as ``int64``."""
    digest = xxhash.xxh64_intdigest
    return np.fromiter((digest(name.encode(), HASH_SEED) for name in names), np.uint64, len(names)).view(
        np.int64
    )


def mix(values: np.ndarray) -> np.ndarray:
    """Return each ``uint64`` with its bits spread over the whole word (splitmix64)."""
    values = (values ^ (values >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    values = (values ^ (values >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    mixed: np.ndarray = values ^ (values >> np.uint64(31))
    return mixed


def hash_job(ci_instance: str, job_name: str) -> int:
    """Return the key of a job of a CI instance."""
    return hash_name(f"{ci_instance}\x1f{job_name}")


def hash_run(ci_instance: str, job_name: str, build_id: str) -> int:
    """Return the key of a run: that of its build of a job of a CI instance."""
    return hash_name(f"{ci_instance}\x1f{job_name}\x1f{build_id}")
