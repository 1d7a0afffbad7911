"""Tests of what searches texts from outside: the time that it takes grows no faster than they do."""

import fnmatch
import signal
from contextlib import contextmanager
from datetime import UTC, datetime
from itertools import product

import pytest

from cilake.contracts.ci_instances import KUBERNETES, PROW
from cilake.sources.http import _read_date, _read_retry_after, _reason
from cilake.sources.runs import is_verdict
from cilake.sources.testgrid.grid import CUT_TO_SIZE
from cilake.sources.testgrid.promises import read_promise
from cilake.transforms.core.ci_jobs import MAX_READ, describe

SECONDS = 2
"""Of processor time, for one text: what grows with the square of a text takes minutes."""
LENGTHS = (MAX_READ, 1_000_000)
STEPS = ("upgrade", "-upgrade", "-from", "-to")
HALVES = (*STEPS, "1", "1.1-", "-1.1", "1 byte grid ", "1 of ", "a.", "[Errno -", " ")
SEARCHES = {
    "cut to size": CUT_TO_SIZE.search,
    "verdict": lambda text: is_verdict(f"{text}!Overall"),
    "promise": lambda text: read_promise({"status": text}),
    "job of Prow": lambda text: describe(1, text, PROW),
    "job of Kubernetes": lambda text: describe(1, text, KUBERNETES),
    "pattern of dashboards": lambda text: fnmatch.fnmatchcase(text, "*1*-*[a-z]*upgrade*?!"),
    "error": lambda text: _reason(OSError(text)),
    "wait": lambda text: _read_retry_after(text, datetime.now(UTC)),
    "date": _read_date,
}


@contextmanager
def bounded(seconds):
    """Raise once the block has taken so much processor time; regular expressions look for signals."""
    before = signal.signal(signal.SIGVTALRM, lambda number, frame: pytest.fail("too slow"))
    signal.setitimer(signal.ITIMER_VIRTUAL, seconds)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_VIRTUAL, 0)
        signal.signal(signal.SIGVTALRM, before)


@pytest.mark.parametrize("length", LENGTHS)
@pytest.mark.parametrize("search", SEARCHES)
def test_no_text_takes_long(search, length):
    for first, second in product(HALVES, HALVES):
        text = first * (length // 2 // len(first)) + second * (length // 2 // len(second))
        with bounded(SECONDS):
            SEARCHES[search](text)
