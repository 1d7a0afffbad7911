"""A made-up CI in a lake: tests break for days in all jobs at once, which only a model foresees."""

from __future__ import annotations

from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from tests.support.builders import make_row
from tests.support.lake_session import LocalLake, local_lake

from cilake.contracts.core.ci_jobs import TABLE as CI_JOBS
from cilake.contracts.core.ci_runs import TABLE as CI_RUNS
from cilake.contracts.core.test_results import TABLE as TEST_RESULTS
from cilake.contracts.core.tests import TABLE as TESTS
from cilake.lake.catalog import arrow_schema
from cilake.windows import Window

FIRST = date(2026, 1, 1)
HOURS = (5, 17)


@dataclass
class World:
    """What has run; ``land`` puts days of it into a lake as a build would."""

    jobs: int = 8
    tests: int = 25
    seed: int = 0
    broken_until: dict[int, date] = field(default_factory=dict)

    def day(self, number: int) -> date:
        """The day of that number, from 0."""
        return FIRST + timedelta(days=number)

    def night(self, number: int) -> Window:
        """The window of the day of that number."""
        return Window(self.day(number), self.day(number + 1))

    def land(self, lake: Any, numbers: range, *, only_jobs: range | None = None) -> None:
        """Add the runs of the days to the core tables."""
        runs, results = [], []
        for number in numbers:
            for job in only_jobs or range(self.jobs):
                for hour in HOURS:
                    run, of_run = self.run(number, job, hour)
                    runs.append(run)
                    results += of_run
        self.append(lake, CI_RUNS, runs)
        self.append(lake, TEST_RESULTS, results)

    def name(self, lake: Any) -> None:
        """Add the jobs and tests."""
        jobs = [make_row(CI_JOBS, job_key=job, job_name=f"job-{job}") for job in range(self.jobs)]
        tests = [
            make_row(TESTS, test_key=test, test_name=f"test {test}", is_verdict=False)
            for test in range(self.tests)
        ]
        self.append(lake, CI_JOBS, jobs)
        self.append(lake, TESTS, tests)

    def run(
        self, number: int, job: int, hour: int, *, failed: set[int] | None = None, **changes: Any
    ) -> tuple[dict[str, Any], list[dict[str, Any]]]:
        """A run and its results; without ``failed`` the world decides which tests failed."""
        day = self.day(number)
        started = datetime(day.year, day.month, day.day, hour, tzinfo=UTC) + timedelta(minutes=job)
        key = (number * 100 + job) * 100 + hour
        if failed is None:
            failed = {test for test in range(self.tests) if self._fails(number, job, hour, test)}
        common = {"run_key": key, "job_key": job, "started_at": started, "run_date": day}
        common["known_at"] = started + timedelta(hours=2)
        counts = {"test_count": self.tests, "failed_count": len(failed), "result_count": self.tests}
        counts |= {"passed_count": self.tests - len(failed), "flaky_count": 0}
        run = make_row(
            CI_RUNS,
            **common
            | counts
            | {"landed_date": day, "content_hash": f"{key}-{sorted(failed)}", "build_id": str(key)}
            | changes,
        )
        results = [
            make_row(
                TEST_RESULTS,
                **common,
                test_key=test,
                test_status="failed" if test in failed else "passed",
            )
            for test in range(self.tests)
        ]
        return run, results

    def append(self, lake: Any, table: Any, rows: list[dict[str, Any]]) -> None:
        """Append rows to a table of the lake."""
        lake.catalog.load_table(table.address).append(pa.Table.from_pylist(rows, schema=arrow_schema(table)))

    def _fails(self, number: int, job: int, hour: int, test: int) -> bool:
        """A test is broken everywhere for two days now and then; else it fails once in a while."""
        spell = np.random.default_rng([self.seed, test, number // 2]).random()
        luck = np.random.default_rng([self.seed, number, job, hour, test]).random()
        return bool(luck < (0.85 if spell < 0.06 else 0.004))


def lake_of(spark: Any, folder: Path, monkeypatch: pytest.MonkeyPatch) -> AbstractContextManager[LocalLake]:
    """A lake in the folder, its models next to it."""
    return local_lake(spark, folder, monkeypatch, artifacts=f"file://{folder}/models")


def select(lake: LocalLake, address: str, *columns: str, where: str = "true") -> list[tuple[Any, ...]]:
    """The rows of a query of one table."""
    found = lake.spark.sql(f"select {', '.join(columns)} from lake.{address} where {where}").collect()
    return [tuple(row) for row in found]
