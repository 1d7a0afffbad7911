"""What the help of each command promises: examples that can be typed."""

import shlex

import pytest

from cilake import cli
from cilake.commands.declared import COMMANDS


@pytest.mark.parametrize("command", COMMANDS, ids=lambda command: command.name)
def test_every_command_has_examples_that_are_understood(command):
    assert command.examples
    for example in command.examples:
        arguments = cli._parser().parse_args(shlex.split(example))
        assert arguments.command is command
