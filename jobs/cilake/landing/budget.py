"""How many bytes of replies a landing holds at a time, of all its requests together."""

from __future__ import annotations

from threading import Condition


class ByteBudget:
    """A bound on the bytes that requests have received and nobody has taken over yet.

    Requests are taken over in the order of their shares. The first one therefore never waits, or none of the
    others would ever be taken over either: the bound may be passed by one reply.
    """

    def __init__(self, limit_bytes: int) -> None:
        self.held_bytes = 0
        self._limit_bytes = limit_bytes
        self._shares: dict[Share, None] = {}
        self._changed = Condition()

    def share(self) -> Share:
        """Return the share of the next request in the order."""
        made = Share(self)
        with self._changed:
            self._shares[made] = None
        return made

    def _has_room(self, share: Share, count: int) -> bool:
        return (
            share not in self._shares
            or share is next(iter(self._shares))
            or self.held_bytes + count <= self._limit_bytes
        )


class Share:
    """What one request holds of a budget."""

    def __init__(self, budget: ByteBudget) -> None:
        self._budget = budget
        self._held_bytes = 0

    def take(self, count: int) -> None:
        """Reserve so many bytes more, as soon as there is room for them; do nothing after ``close``."""
        budget = self._budget
        with budget._changed:
            budget._changed.wait_for(lambda: budget._has_room(self, count))
            if self in budget._shares:
                self._held_bytes += count
                budget.held_bytes += count

    def give_back(self) -> None:
        """Release what is reserved: the request starts again."""
        with self._budget._changed:
            self._forget()

    def close(self) -> None:
        """Release the share for good: the reply was taken over, or nobody waits for it."""
        with self._budget._changed:
            self._budget._shares.pop(self, None)
            self._forget()

    def _forget(self) -> None:
        self._budget.held_bytes -= self._held_bytes
        self._held_bytes = 0
        self._budget._changed.notify_all()
