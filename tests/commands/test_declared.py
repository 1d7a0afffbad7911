"""What the help of each command promises: examples that can be typed."""

import re
import shlex
from pathlib import Path

import pytest

from cilake import cli
from cilake.commands.declared import COMMANDS


@pytest.mark.parametrize("command", COMMANDS, ids=lambda command: command.name)
def test_every_command_has_examples_that_are_understood(command):
    assert command.examples
    for example in command.examples:
        arguments = cli._parser().parse_args(shlex.split(example))
        assert arguments.command is command


ROOT = Path(__file__).resolve().parents[2]
PLACEHOLDERS = {
    "my_ci": "example_ci",
    "my_model": "test_failure",
    "DAY": "2026-03-01",
    "<restatement_id>": "core_2026",
    "…": "x",
}


def typed_commands():
    """Every ``cilake …`` that a page tells people to type, with its page."""
    for path in [*ROOT.glob("*.md"), *ROOT.glob("docs/**/*.md")]:
        for block in re.findall(r"^```sh\n(.*?)^```", path.read_text(), re.DOTALL | re.MULTILINE):
            for line in block.replace("\\\n", " ").splitlines():
                if found := re.search(r"(?:^|[ /])cilake ((?!serve)[a-z-]+ [^|>#&]*)", line):
                    yield pytest.param(found[1], id=f"{path.relative_to(ROOT)}: {found[1][:40]}")


@pytest.mark.parametrize("typed", list(typed_commands()))
def test_the_commands_of_the_pages_are_understood(typed):
    for placeholder, value in PLACEHOLDERS.items():
        typed = typed.replace(placeholder, value)
    assert cli._parser().parse_args(shlex.split(typed)).command
