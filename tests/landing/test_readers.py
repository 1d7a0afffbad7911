"""Tests of reading in processes: same results, same errors, and no process is left."""

import os
import signal
import subprocess
import sys
from functools import partial

import pytest
from tests.support.waiting import is_alive, wait_until

from cilake.landing.readers import FEW_BYTES, READERS, Readers
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
        assert opened.read(partial(parse_object, b'{"a": 1}'), FEW_BYTES) == {"a": 1}
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
