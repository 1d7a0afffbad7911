"""The runner of linters and tests: what runs in parallel with the others, and what it says of all."""

from deploy.local import layout
from deploy.local.commands import checks

_FIRST = "import pathlib, sys; pathlib.Path(sys.argv[1]).touch(); print('output of the first')"
_SLOW = """
import pathlib, sys, time
print('output of the slow one', flush=True)
deadline = time.monotonic() + 60
while not pathlib.Path(sys.argv[1]).exists():
    assert time.monotonic() < deadline, 'the first never ran'
    time.sleep(0.05)
sys.exit(3)
"""


def test_the_slow_step_runs_beside_the_others_and_is_shown_after_them(tmp_path, capfd):
    def step(name, code):
        return checks.Step(name, "jobs", ("python", "-c", code, str(tmp_path / "gate")))

    assert not checks.run(layout.current(), (step("first", _FIRST),), step("slow", _SLOW))
    lines = [line.partition(" (")[0] for line in capfd.readouterr().out.splitlines()]
    assert lines == [
        "output of the first",
        "output of the slow one",
        "ok   first",
        "FAIL slow",
        "checks: 1 passed, 1 failed",
    ]
