"""The simulator as a process, as the stack runs it."""

import subprocess
import sys
from contextlib import contextmanager

COMMAND = [sys.executable, "-m", "ciworld.cli"]


@contextmanager
def serving_process(*args):
    """A running `ciworld serve` with its `url`; killed at the end."""
    command = [*COMMAND, "serve", *map(str, args)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        try:
            process.url = process.stdout.readline().strip()
            assert process.url, process.stderr.read()
            yield process
        finally:
            process.kill()


def run(*args):
    """What a command of the simulator printed and its status."""
    return subprocess.run(
        [*COMMAND, *map(str, args)], capture_output=True, text=True, timeout=60, check=False
    )
