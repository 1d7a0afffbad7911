"""The targets of the Makefile, the commands that they run, and what `make help` lists are the same."""

import re
import subprocess
import sys

import pytest
from deploy.local.__main__ import COMMANDS, parse
from deploy.local.layout import REPO

MAKEFILE = (REPO / "Makefile").read_text()
TARGETS = set(re.search(r"^TARGETS = (.*)$", MAKEFILE, re.MULTILINE)[1].split())
ITSELF = {"help"}
"""What whoever reads the help has found."""


def test_the_help_has_every_target_and_no_other():
    # Without site-packages: before anything is installed.
    command = [sys.executable, "-S", "-m", "deploy.local", "help"]
    done = subprocess.run(command, cwd=REPO, capture_output=True, text=True, check=True)
    assert set(re.findall(r"\bmake ([a-z][a-z-]*)", done.stdout)) == TARGETS - ITSELF


def test_every_target_has_a_rule_and_a_command():
    rules = re.findall(r"^([a-z][a-z -]*):$", MAKEFILE, re.MULTILINE)
    assert sorted(name for rule in rules for name in rule.split()) == sorted(TARGETS)
    assert sorted(command.name for command in COMMANDS) == sorted(TARGETS)


@pytest.mark.parametrize("name", ["bench", "quality", "dashboards-bench"])
def test_words_for_a_program_of_its_own_reach_it(name):
    assert parse([name, "--dir", "x", "--help"]).rest == ["--dir", "x", "--help"]


def test_a_word_that_no_command_knows_is_refused(capsys):
    with pytest.raises(SystemExit):
        parse(["down", "--dir", "x"])
    assert "unrecognized arguments: --dir x" in capsys.readouterr().err
