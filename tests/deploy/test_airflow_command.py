"""``make airflow``: what it passes on, and what it says when it cannot."""

import os
import subprocess
import sys

import pytest
from deploy.local.layout import REPO


def make(home, arguments):
    return subprocess.run(
        ["make", "--silent", "airflow", f"PYTHON={sys.executable}", f"ARGS={arguments}"],
        cwd=REPO,
        env={"PATH": os.environ["PATH"], "CILAKE_HOME": str(home)},
        capture_output=True,
        text=True,
        check=False,
    )


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ("", 'cilake: no command of Airflow: make airflow ARGS="dags list", or ARGS="--help"'),
        ('dags list "', "cilake: cannot read ARGS: No closing quotation"),
        ("dags list", "cilake: the stack was never started here: run `make up`"),
    ],
)
def test_what_cannot_be_is_one_line(tmp_path, arguments, message):
    done = make(tmp_path / "home", arguments)
    assert done.returncode != 0
    assert done.stderr.splitlines()[0] == message


def test_no_shell_and_no_make_reads_the_arguments(tmp_path):
    done = make(tmp_path / "home", "$(shell touch made) $$(touch made) `touch made`; touch made")
    assert "the stack was never started" in done.stderr
    assert not (REPO / "made").exists()


def test_a_stack_that_does_not_run_is_named(tmp_path):
    (tmp_path / "settings.env").write_text("CILAKE_PORT_POSTGRES=1\n")
    assert make(tmp_path, "dags list").stderr.splitlines()[0] == (
        "cilake: the stack is not running: `make up` starts it"
    )
