"""A query in this process ends with its command, and says when it is too large for it."""

import os
import signal
import time
from threading import Timer

import pytest

from cilake.transforms import engines
from cilake.transforms.engines import DuckEngine

ENDLESS = "SELECT count(*) FROM range(100000) AS a, range(1000000) AS b WHERE (a.range * b.range) % 7 = 3"


class EndError(BaseException):
    """What the handler of a signal raises, as that of the commands does."""


@pytest.mark.timeout(60)
def test_a_query_ends_when_the_command_is_told_to_end():
    def end(*_):
        raise EndError

    before = signal.signal(signal.SIGTERM, end)
    timer = Timer(0.5, lambda: os.kill(os.getpid(), signal.SIGTERM))
    try:
        timer.start()
        began = time.monotonic()
        with pytest.raises(EndError):
            DuckEngine().sql(ENDLESS)
        assert time.monotonic() - began < 20, "alone it takes many minutes"
    finally:
        timer.cancel()
        signal.signal(signal.SIGTERM, before)


def test_a_query_that_needs_too_much_memory_says_so(monkeypatch):
    monkeypatch.setattr(engines, "MEMORY_LIMIT", "1MB")
    with pytest.raises(MemoryError, match="Out of Memory"):
        DuckEngine().sql("SELECT list(range) FROM range(1000000)")
