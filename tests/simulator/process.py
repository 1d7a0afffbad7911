"""The simulator as a process, as the stack runs it."""

import subprocess
import sys
from contextlib import contextmanager

COMMAND = [sys.executable, "-m", "ciworld.cli"]


@contextmanager
def serving_process(*words):
    """A running `ciworld serve` with its `url`; killed at the end."""
    command = [*COMMAND, "serve", *map(str, words)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        try:
            process.url = process.stdout.readline().strip()
            assert process.url, process.stderr.read()
            yield process
        finally:
            process.kill()


def run(*words):
    """What a command of the simulator printed and its status."""
    return subprocess.run(
        [*COMMAND, *map(str, words)], capture_output=True, text=True, timeout=60, check=False
    )
