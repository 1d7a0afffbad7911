"""Faults on demand: what the server does wrong, for which requests and how often."""

import re
import threading
from collections.abc import Iterable
from dataclasses import dataclass, field
from urllib.parse import unquote

from ciworld.payload import Json

KINDS = ("429", "500", "slow", "truncate", "malformed")
MAX_SECONDS = 600.0


@dataclass
class Fault:
    """One planned fault; `times` counts down, None means for ever."""

    match: re.Pattern[str]
    kind: str
    times: int | None = 1
    retry_after: float = 1.0
    seconds: float = 1.0
    hits: int = field(default=0)

    def describe(self) -> Json:
        """Return the fault as JSON-ready values."""
        return {
            "match": self.match.pattern,
            "kind": self.kind,
            "times": self.times,
            "retry_after": self.retry_after,
            "seconds": self.seconds,
            "hits": self.hits,
        }


def parse_fault(item: object) -> Fault:
    """Return the fault that a JSON object describes; anything unclear is a ValueError."""
    if not isinstance(item, dict):
        raise ValueError(f"a fault is an object, not {type(item).__name__}")
    unknown = set(item) - {"match", "kind", "times", "retry_after", "seconds"}
    if unknown:
        raise ValueError(f"unknown keys in a fault: {sorted(unknown)}")
    kind = str(item.get("kind"))
    if kind not in KINDS:
        raise ValueError(f"kind must be one of {', '.join(KINDS)}, not {kind!r}")
    try:
        match = re.compile(item.get("match", "."))
    except (re.error, TypeError) as error:
        raise ValueError(f"match is not a regular expression: {error}") from error
    times = item.get("times", 1)
    if times is not None and (type(times) is not int or times < 1):
        raise ValueError("times must be a positive integer or null (for ever)")
    numbers: dict[str, float] = {}
    for key in ("retry_after", "seconds"):
        value = item.get(key, 1.0)
        if type(value) not in (int, float) or not 0 <= value <= MAX_SECONDS:
            raise ValueError(f"{key} must be a number between 0 and {MAX_SECONDS:.0f}")
        numbers[key] = float(value)
    return Fault(match, kind, times, numbers["retry_after"], numbers["seconds"])


def restore_fault(item: object) -> Fault:
    """Return the fault that `Fault.describe` described, with its hits; anything else is a ValueError."""
    if not isinstance(item, dict):
        raise ValueError(f"a fault is an object, not {type(item).__name__}")
    hits = item.get("hits")
    if type(hits) is not int or hits < 0:
        raise ValueError(f"hits of a fault must be a number, not {hits!r}")
    fault = parse_fault({key: value for key, value in item.items() if key != "hits"})
    fault.hits = hits
    return fault


class Faults:
    """The planned faults; the first one that matches a request and is not used up applies."""

    def __init__(self, plans: Iterable[Fault] = ()) -> None:
        self._lock = threading.Lock()
        self._plans = list(plans)

    def add(self, items: object) -> None:
        """Plan the faults of a JSON list, all or none of them."""
        if not isinstance(items, list):
            raise ValueError("faults must be a list")
        parsed = [parse_fault(item) for item in items]
        with self._lock:
            self._plans.extend(parsed)

    def clear(self) -> None:
        """Forget every planned fault."""
        with self._lock:
            self._plans.clear()

    def describe(self) -> list[Json]:
        """Return every planned fault with how often it struck."""
        with self._lock:
            return [plan.describe() for plan in self._plans]

    def strike(self, target: str) -> Fault | None:
        """Return the fault for a request target (path?query) and count it, or None."""
        with self._lock:
            for plan in self._plans:
                used_up = plan.times is not None and plan.hits >= plan.times
                if not used_up and (plan.match.search(target) or plan.match.search(unquote(target))):
                    plan.hits += 1
                    return plan
        return None
