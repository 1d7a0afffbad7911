"""Which jobs the landing of the day says nothing new about: what is known of them is older than the day."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

OBTAINED = frozenset({"landed", "unchanged"})
"""The states of a request whose reply is known."""

Tab = tuple[str, str]
"""The source and the natural id of what shows runs."""


@dataclass(frozen=True, slots=True)
class Requests:
    """The tabs that the landing of a day requested: those that it obtained, and those that it did not."""

    obtained: frozenset[Tab]
    lost: frozenset[Tab]


def judge_requests(requests: Iterable[tuple[Tab, str, bool]]) -> Requests:
    """Sort the tabs by what became of their requests, each a tab, a state and whether the reply was stale.

    One request that obtained a tab is enough, so a landing that is repeated fixes the one before.
    """
    asked, obtained = set(), set()
    for tab, status, is_stale in requests:
        asked.add(tab)
        if status in OBTAINED and not is_stale:
            obtained.add(tab)
    return Requests(frozenset(obtained), frozenset(asked - obtained))


def jobs_not_obtained(landing: Requests, shown: Iterable[tuple[int, Tab]]) -> frozenset[int]:
    """Return the jobs, of pairs of a job and a tab that shows it, with a lost tab and none that was obtained.

    Tabs that were not requested, as they are left out or gone, count on neither side.
    """
    lost, obtained = set(), set()
    for job, tab in shown:
        if tab in landing.obtained:
            obtained.add(job)
        elif tab in landing.lost:
            lost.add(job)
    return frozenset(lost - obtained)
