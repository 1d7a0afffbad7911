"""The simulator in the embedded stack: a kill costs it neither its clock nor its world."""

import json
import os
import signal
import time
import urllib.request

import pytest
from deploy.local.services.probe import answers
from tests.support.temporary_stack import temporary_stack

pytestmark = pytest.mark.integration

NIGHT = {"as_of": "2026-03-09T00:00:00Z"}


def pid_of(stack):
    rows = [line.split() for line in stack("status").stdout.splitlines()]
    return next(int(row[-1]) for row in rows if row[0] == "ciworld")


def test_a_killed_simulator_goes_on_at_its_clock(tmp_path):
    with temporary_stack(tmp_path / "home", "ciworld") as stack:
        clock = f"{stack.settings['CILAKE_CIWORLD_URL']}/_ciworld/clock"
        assert json.loads(answers(clock)) == {"as_of": "2026-03-01T00:00:00Z"}
        urllib.request.urlopen(clock, data=json.dumps(NIGHT).encode()).close()
        killed = pid_of(stack)
        os.kill(killed, signal.SIGKILL)
        deadline = time.monotonic() + 60
        while not (found := answers(clock)):
            assert time.monotonic() < deadline, stack("logs", "ciworld").stdout
        assert json.loads(found) == NIGHT
        assert pid_of(stack) != killed
