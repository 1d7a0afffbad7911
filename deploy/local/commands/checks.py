"""What CI runs: the linters, then the tests of each environment, and in parallel those of the whole stack."""

from __future__ import annotations

import argparse
import os
import shlex
import subprocess
import tempfile
import time
from concurrent.futures import Future, ThreadPoolExecutor, wait
from contextlib import nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

from deploy.local.commands.command import Command
from deploy.local.install import environments, java
from deploy.local.layout import REPO, Layout

from cilake.log import logger


@dataclass(frozen=True)
class Step:
    """One command of the check and the environment that it runs in."""

    name: str
    env: str
    args: tuple[str, ...]
    variables: tuple[tuple[str, str], ...] = ()


_OF_AIRFLOW = ("tests/dags", "tests/plugins")
_IN_ORDER = ("-p", "no:randomly")
# The fuzz comes first: its bound on memory would not see what is less than a soak took before.
_SOAKED = ("tests/sources/testgrid/test_fuzz.py", "tests/soak", "tests/integration/test_cluster.py")
LINT = (
    Step("ruff", "jobs", ("ruff", "check", ".")),
    Step("format", "jobs", ("ruff", "format", "--check", ".")),
    Step("mypy", "jobs", ("mypy", "jobs/cilake", "simulator/ciworld", "deploy/local", "benchmarks")),
    Step("imports", "jobs", ("lint-imports",)),
)
TESTS = (
    Step(
        "unit and spark",
        "jobs",
        ("pytest", "-m", "not airflow and not integration", "--durations=12", "--cov", "--cov-report=term"),
    ),
    Step("airflow", "airflow", ("pytest", "-m", "airflow", *_OF_AIRFLOW)),
)
# Its tests share one stack and tell one story, so they keep their order.
INTEGRATION = Step("integration", "jobs", ("pytest", "-m", "integration", *_IN_ORDER, "--durations=12"))


def chosen(args: str) -> tuple[Step, ...]:
    """Return the tests that these words of pytest choose, a path first: its folder is the environment."""
    env = "airflow" if args.startswith(_OF_AIRFLOW) else "jobs"
    return (Step("tests", env, ("pytest", *_IN_ORDER, *shlex.split(args))),)


def soak(stops: int) -> Step:
    """Return the long tests: so many kills, a thousand times as many payloads, a tenth as many orders."""
    variables = (("CILAKE_SOAK", str(stops)), ("CILAKE_FUZZ_PAYLOADS", str(1000 * stops)))
    return Step(
        "soak", "jobs", ("pytest", *_IN_ORDER, *_SOAKED, "--durations=10", "--timeout=14400"), variables
    )


def run(layout: Layout, steps: tuple[Step, ...], slow: Step | None = None) -> bool:
    """Run every step, also after one failed; print one line for each, return whether all passed.

    ``slow`` runs in parallel with the others, as neither it nor they keep two processors busy; what it
    prints is held back until they have ended.
    """
    with tempfile.NamedTemporaryFile("r", errors="replace") as held, ThreadPoolExecutor(1) as pool:
        parallel = pool.submit(_run, layout, slow, Path(held.name)) if slow else None
        outcomes = [_run(layout, step) for step in steps]
        if parallel:
            logger.info("output of the step in parallel:")
            _follow(held, parallel)
            outcomes.append(parallel.result())
    failed = sum(code != 0 for _, code, _ in outcomes)
    for step, code, seconds in outcomes:
        print(f"{'ok  ' if code == 0 else 'FAIL'} {step.name} ({seconds:.0f} s)")
    print(f"checks: {len(outcomes) - failed} passed, {failed} failed", flush=True)
    return failed == 0


def environment(layout: Layout, env: str = "jobs") -> dict[str, str]:
    """Return the variables for tests and benchmarks: our programs and jars, no setting of a running stack."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("CILAKE_", "AIRFLOW"))}
    kept["CILAKE_ENV_HOME"] = str(layout.shared)
    kept["CILAKE_SPARK_JARS"] = ",".join(sorted(str(path) for path in layout.lib.glob("*.jar")))
    kept["JAVA_HOME"] = str(java.for_spark(layout).home)
    kept["PATH"] = f"{layout.envs / env / 'bin'}{os.pathsep}{os.environ.get('PATH', os.defpath)}"
    kept["PYSPARK_PYTHON"] = str(layout.bin("jobs", "python"))
    return kept | {"TZ": "UTC", "OMP_NUM_THREADS": "1", "SPARK_LOCAL_IP": "127.0.0.1"}


def _run(layout: Layout, step: Step, output: Path | None = None) -> tuple[Step, int, float]:
    """Run the step; return it with its exit code and seconds. It prints to a file where one is given."""
    logger.info(f"{step.name}: {' '.join(step.args)}")
    args = [str(layout.bin(step.env, step.args[0])), *step.args[1:]]
    began = time.monotonic()
    with output.open("wb") if output else nullcontext() as out:
        done = subprocess.run(
            args,
            cwd=REPO,
            env=environment(layout, step.env) | dict(step.variables),
            stdin=subprocess.DEVNULL,
            stdout=out,
            stderr=subprocess.STDOUT if out else None,
            check=False,
        )
    return step, done.returncode, time.monotonic() - began


def _follow(held: IO[str], running: Future[Any]) -> None:
    """Print what is and will be in the file, until what writes to it has ended."""
    ended = False
    while not ended:
        ended = running in wait([running], timeout=0.5).done
        print(held.read(), end="", flush=True)


def _lint(arguments: argparse.Namespace, here: Layout) -> int:
    environments.setup(here)
    return 0 if run(here, LINT) else 1


def _of_test(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--only", default="", help="words for pytest, a path first")


def _test(arguments: argparse.Namespace, here: Layout) -> int:
    environments.setup(here, *environments.ONLY_TESTED)
    if arguments.only:
        return 0 if run(here, chosen(arguments.only)) else 1
    return 0 if run(here, LINT + TESTS, INTEGRATION) else 1


def _of_soak(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--stops", type=int, default=100)


def _soak(arguments: argparse.Namespace, here: Layout) -> int:
    environments.setup(here)
    return 0 if run(here, (soak(arguments.stops),)) else 1


COMMANDS = (Command("lint", _lint), Command("test", _test, _of_test), Command("soak", _soak, _of_soak))
