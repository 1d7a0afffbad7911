"""A query in this process ends with its command."""

import os
import signal
import time
from threading import Timer

import pytest

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
