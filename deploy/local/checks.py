"""What CI runs, in order: the linters, then the tests of each environment."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace

from . import java
from .layout import REPO, Layout, say

_PYTEST_NOTHING_COLLECTED = 5


@dataclass(frozen=True)
class Step:
    """One command of the check, the environment it runs in, and whether it runs beside the others."""

    name: str
    env: str
    words: tuple[str, ...]
    beside: bool = False


LINT = (
    Step("ruff", "jobs", ("ruff", "check", ".")),
    Step("format", "jobs", ("ruff", "format", "--check", ".")),
    Step("mypy", "jobs", ("mypy", "jobs/cilake", "simulator/ciworld", "deploy/local")),
    Step("imports", "jobs", ("lint-imports",)),
)
TESTS = (
    Step("unit and spark", "jobs", ("pytest", "-m", "not airflow and not integration")),
    Step("airflow", "airflow", ("pytest", "-m", "airflow", "tests/dags", "tests/plugins"), beside=True),
    # Its tests share one stack and tell one story, so they keep their order.
    Step("integration", "jobs", ("pytest", "-m", "integration", "-p", "no:randomly", "--durations=12")),
)


def run(layout: Layout, steps: tuple[Step, ...]) -> bool:
    """Run every step, also after one failed, and print one line for each; true when all passed."""
    results = []
    with ThreadPoolExecutor() as pool:
        beside = {step: pool.submit(_run, layout, step, captured=True) for step in steps if step.beside}
        for step in steps:
            say(f"{step.name}: {' '.join(step.words)}")
            done = beside[step].result() if step in beside else _run(layout, step)
            sys.stdout.write(done.output)
            sys.stdout.flush()
            if step.words[0] == "pytest" and done.code == _PYTEST_NOTHING_COLLECTED:
                say(f"{step.name}: no test there")
                done = replace(done, code=0)
            results.append((step, done))
    failed = sum(done.code != 0 for _, done in results)
    for step, done in results:
        print(f"{'ok  ' if done.code == 0 else 'FAIL'} {step.name} ({done.seconds:.0f} s)")
    print(f"checks: {len(results) - failed} passed, {failed} failed", flush=True)
    return failed == 0


def environment(layout: Layout, env: str = "jobs") -> dict[str, str]:
    """The variables for tests and benchmarks: our programs and jars, no setting of a running stack."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("CILAKE_", "AIRFLOW"))}
    kept["CILAKE_ENV_HOME"] = str(layout.shared)
    kept["CILAKE_SPARK_JARS"] = ",".join(sorted(str(path) for path in layout.lib.glob("*.jar")))
    kept["JAVA_HOME"] = str(java.for_spark(layout).home)
    kept["PATH"] = f"{layout.envs / env / 'bin'}{os.pathsep}{os.environ.get('PATH', os.defpath)}"
    kept["PYSPARK_PYTHON"] = str(layout.bin("jobs", "python"))
    return kept | {"TZ": "UTC", "OMP_NUM_THREADS": "1", "SPARK_LOCAL_IP": "127.0.0.1"}


@dataclass(frozen=True)
class _Done:
    code: int
    seconds: float
    output: str


def _run(layout: Layout, step: Step, *, captured: bool = False) -> _Done:
    words = [str(layout.bin(step.env, step.words[0])), *step.words[1:]]
    started = time.monotonic()
    done = subprocess.run(
        words,
        cwd=REPO,
        env=environment(layout, step.env),
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE if captured else None,
        stderr=subprocess.STDOUT if captured else None,
        text=True,
        check=False,
    )
    return _Done(done.returncode, time.monotonic() - started, done.stdout or "")
