"""The audit step of write-audit-publish: expectations, their results kept, critical failures stop."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import date
from importlib import import_module
from pathlib import Path
from threading import Lock, Thread

from pyiceberg.catalog import Catalog
from pyspark.sql import SparkSession

from cilake.contracts.core.ci_runs import TABLE as CI_RUNS
from cilake.contracts.core.test_results import TABLE as TEST_RESULTS
from cilake.errors import PermanentError
from cilake.lake.files import open_days
from cilake.lake.records import append_rows
from cilake.log import logger
from cilake.publish.branch import AUDIT_PREFIX, Branch
from cilake.publish.few import READ_ROWS
from cilake.quality import suite
from cilake.quality.report import failure_text, summary, write_data_docs
from cilake.quality.row_rules import is_row_rule
from cilake.quality.run import validate
from cilake.settings import Settings
from cilake.transforms.engines import DuckEngine, SparkEngine

_COUNTS = """
SELECT count(*) AS row_count, count(DISTINCT run_key) AS run_count,
    cast(coalesce(sum(result_count), 0) AS bigint) AS result_count
FROM ci_runs
"""
_WAY_OUT = (
    "no more is published. `cilake rebuild core --start DAY --reason TEXT` reads the payloads of a day again "
    "and makes its results and runs what they say"
)


class AuditError(PermanentError, RuntimeError):
    """A critical expectation failed: nothing was published.

    ``is_by_rows`` says that only rules about single rows failed: without those rows the rest would do.
    """

    def __init__(self, message: str, *, is_by_rows: bool = False) -> None:
        """Make an error with that message."""
        super().__init__(message)
        self.is_by_rows = is_by_rows


def preload_great_expectations() -> None:
    """Start the import that an audit needs: it takes seconds, and this process waits for Spark anyway."""
    Thread(target=import_module, args=("great_expectations",), daemon=True).start()


def auditor(settings: Settings, catalog: Catalog, *, day: date) -> Callable[[Branch], None]:
    """Return an audit function for ``write_audit_publish`` that checks the rows appended to a branch.

    The report goes to ``ops.validation_results`` and the data docs. The function raises ``AuditError`` when
    a critical expectation failed, after saying rule, observed value and example rows.
    """
    one_at_a_time = Lock()

    def audit(branch: Branch) -> None:
        with one_at_a_time:
            report = validate(
                branch.table,
                branch.appended(),
                validation_id=branch.name.removeprefix(AUDIT_PREFIX),
                partition_date=day,
                row_count=branch.appended_count,
            )
            append_rows(catalog, "ops.validation_results", report.results)
            if settings.data_docs:
                write_data_docs(report, Path(settings.data_docs))
        if report.failures:
            logger.warning(failure_text(report))
        else:
            logger.info(summary(report))
        if not report.was_successful:
            stopping = {one.expectation_id for one in report.failures if one.severity == "critical"}
            failed = [rule for rule in suite.read(branch.table) if rule["id"] in stopping]
            raise AuditError(
                f"{branch.table.address} was not published: a critical expectation failed (see above)",
                is_by_rows=all(map(is_row_rule, failed)),
            )

    return audit


def reconcile(branches: Mapping[str, Branch]) -> None:
    """Check that runs and results belong together before either is published.

    Raises:
        AuditError: when a run would be there twice, or its results twice, in part or not at all.

    """
    if CI_RUNS.address not in branches or TEST_RESULTS.address not in branches:
        return
    runs = branches[CI_RUNS.address]
    require_whole(runs.spark, runs.catalog, runs.sealed, branches[TEST_RESULTS.address].row_count)


def require_whole(spark: SparkSession, catalog: Catalog, runs_snapshot: int | None, found: int) -> None:
    """Check that each run of a snapshot is there once, and that so many results are all of theirs.

    Raises:
        AuditError: when they are not.

    """
    runs = catalog.load_table(CI_RUNS.address)
    if opened := open_days(runs, None, None, snapshot=runs_snapshot, limit=READ_ROWS):
        counted = DuckEngine().sql(_COUNTS, ci_runs=opened[0])
    else:
        pinned = spark.read.option("versionAsOf", str(runs_snapshot)).table(CI_RUNS.identifier)
        counted = SparkEngine(spark).sql(_COUNTS, ci_runs=pinned).toArrow()
    row_count, run_count, expected = counted.to_pylist()[0].values()
    if row_count != run_count:
        raise AuditError(f"core.ci_runs: {row_count:,} rows of {run_count:,} runs: {_WAY_OUT}")
    if expected != found:
        raise AuditError(
            f"core.test_results: {found:,} rows, of which core.ci_runs counts {expected:,}: {_WAY_OUT}"
        )
