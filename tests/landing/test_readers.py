"""Tests of reading in processes: same results, same errors, and no process is left."""

import os
import signal
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from functools import partial

import pytest
from tests.support.waiting import is_alive, wait_until

from cilake.landing import readers
from cilake.landing.readers import FEW_BYTES, READERS, SMALL_BYTES, Readers, SlowReadError
from cilake.sources.errors import UnreadableError
from cilake.sources.payload import parse_object

MODULE = "cilake.sources.payload"


@pytest.fixture
def many():
    """Readers that have their processes, as after many bytes."""
    with Readers(MODULE) as opened:
        opened.read(int, FEW_BYTES + 1)
        wait_until(lambda: opened._free.qsize() == READERS)
        yield opened


def test_few_bytes_start_no_process():
    with Readers(MODULE) as opened:
        assert opened.read(partial(parse_object, b'{"a": 1}'), SMALL_BYTES) == {"a": 1}
        assert opened._processes == []


def test_processes_read_what_this_one_would(many):
    assert many.read(os.getpid, 1) != os.getpid()
    assert many.read(partial(parse_object, b'{"a": 1}'), 8) == {"a": 1}
    with pytest.raises(UnreadableError, match=r"^malformed_json: "):
        many.read(partial(parse_object, b"{"), 1)


def test_a_process_that_was_killed_is_no_loss(many, caplog):
    for process in many._processes:
        os.kill(process._process.pid, signal.SIGKILL)
    for _ in range(2 * READERS):
        assert many.read(partial(parse_object, b'{"a": 1}'), 8) == {"a": 1}
    assert many.read(os.getpid, 1) == os.getpid()
    assert caplog.text.count("reader process: killed") == READERS


def test_a_reply_that_cannot_be_read_in_time_is_one_error(many, monkeypatch):
    """What is stuck is ended and replaced: the next replies are read by as many processes as before."""
    monkeypatch.setattr(readers, "READ_SECONDS", 0.5)
    stuck = [process._process.pid for process in many._processes]
    for _ in range(READERS):
        with pytest.raises(SlowReadError, match=r"^not read within "):
            many.read(partial(time.sleep, 600), 1)
    assert not any(map(is_alive, stuck))
    monkeypatch.undo()
    for _ in range(READERS):
        assert many.read(os.getpid, 1) not in {os.getpid(), *stuck}


def test_a_large_reply_is_never_read_where_it_cannot_be_ended():
    with Readers(MODULE) as opened:
        assert opened.read(os.getpid, 1) == os.getpid()
        assert opened.read(os.getpid, SMALL_BYTES + 1) != os.getpid()


@pytest.mark.timeout(60)
def test_the_end_waits_for_no_reply():
    """As at SIGTERM: who waits for a process, or for one to be free, is let go."""
    with ThreadPoolExecutor(2 * READERS + 1) as pool:
        with Readers(MODULE) as opened:
            waiting = [
                pool.submit(opened.read, partial(time.sleep, 600), FEW_BYTES) for _ in range(2 * READERS)
            ]
            wait_until(lambda: opened._has_begun.is_set() and opened._free.empty())
        for future in waiting:
            with pytest.raises(EOFError, match="the landing has ended"):
                future.result(timeout=20)


@pytest.mark.timeout(60)
def test_a_process_that_does_not_start_is_no_loss(monkeypatch):
    monkeypatch.setattr(readers.sys, "executable", "/bin/false")
    with Readers(MODULE) as opened:
        for _ in range(READERS + 1):
            assert opened.read(os.getpid, FEW_BYTES) == os.getpid()


KILLED = f"""
import os, signal
from cilake.landing.readers import FEW_BYTES, Readers
if __name__ == "__main__":
    opened = Readers("{MODULE}")
    opened.read(int, FEW_BYTES + 1)
    assert opened._has_begun.wait(60)
    print(*(one._process.pid for one in opened._processes), flush=True)
    os.kill(os.getpid(), signal.SIGKILL)
"""


def test_processes_end_with_the_landing_that_is_killed(tmp_path):
    script = tmp_path / "killed.py"
    script.write_text(KILLED)
    done = subprocess.run([sys.executable, script], stdout=subprocess.PIPE, text=True)
    assert done.returncode == -signal.SIGKILL
    started = [int(number) for number in done.stdout.split()]
    assert started
    wait_until(lambda: not any(map(is_alive, started)))
