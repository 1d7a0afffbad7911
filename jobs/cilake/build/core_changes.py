"""What changes in the core tables by what was decoded."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from datetime import date
from functools import reduce
from typing import Any

import pyarrow as pa
from pyiceberg.catalog import Catalog
from pyspark.sql import DataFrame, SparkSession

from cilake.build.decoding import KEY
from cilake.build.half_published import is_half_published
from cilake.build.slices import Slices
from cilake.contracts.core.ci_jobs import TABLE as CI_JOBS
from cilake.contracts.core.ci_run_observations import TABLE as OBSERVATIONS
from cilake.contracts.core.ci_runs import TABLE as CI_RUNS
from cilake.contracts.core.test_results import TABLE as TEST_RESULTS
from cilake.contracts.core.tests import TABLE as TESTS
from cilake.contracts.model import Table
from cilake.lake.files import narrow, open_days
from cilake.lake.schema import conform, differing_keys
from cilake.lake.snapshots import snapshot_id
from cilake.log import logger
from cilake.publish.replace import days_condition, spans_condition
from cilake.publish.restatements import Restatement
from cilake.settings import Settings
from cilake.sources.registry import precedence
from cilake.transforms.core import ci_run_observations, ci_runs, test_results
from cilake.transforms.core.ci_run_observations import FACTS, SLIM
from cilake.transforms.engines import Engine, SparkEngine
from cilake.transforms.words import equal, of
from cilake.windows import Window

_READ = (TESTS, CI_JOBS, OBSERVATIONS, CI_RUNS)
"""The tables that a build looks into."""
_SIZE = """
SELECT count(*) AS row_count, cast(coalesce(sum(result_count), 0) AS bigint) AS result_count FROM runs
"""


@dataclass(frozen=True, slots=True)
class CoreBuild:
    """What all rounds of a build of the core tables share; ``restates`` is set where it is a rebuild."""

    spark: SparkSession
    settings: Settings
    catalog: Catalog
    window: Window
    restates: Restatement | None = None


@dataclass(frozen=True, slots=True)
class Published:
    """What is published in the tables that a build looks into.

    ``rows`` are by name, as an engine takes them, ``snapshots`` by address: what is made of the rows is only
    right while the tables have these.
    """

    rows: Mapping[str, Any]
    snapshots: Mapping[str, int | None]

    def of_runs(self, run_keys: pa.Array) -> Published:
        """Return this with those files of observations and runs alone that hold any of these runs."""
        names = (OBSERVATIONS.name, CI_RUNS.name)
        narrowed = {name: narrow(self.rows[name], "run_key", run_keys) for name in names}
        return Published({**self.rows, **narrowed}, self.snapshots)


def open_published(build: CoreBuild, engine: Engine[Any], *, limit: int = sys.maxsize) -> Published | None:
    """Return what is published in the tables that a build looks into.

    ``None`` where their files, to be read here, hold more than ``limit`` rows or are not whole by themselves.
    """
    rows: dict[str, Any] = {}
    snapshots = {table.address: snapshot_id(build.catalog, table) for table in _READ}
    for table in _READ:
        if isinstance(engine, SparkEngine):
            rows[table.name] = build.spark.table(table.identifier)
            continue
        present, pinned = build.catalog.load_table(table.address), snapshots[table.address]
        opened = open_days(present, None, None, snapshot=pinned, limit=limit)
        if opened is None:
            return None
        rows[table.name], held = opened
        limit -= held
    return Published(rows, snapshots)


class CoreChanges:
    """What changes in the core tables by one round of a build, computed once.

    Rows are those of the engine: dataframes, or tables of Arrow. With ``slices`` results are not among them,
    and observations are without the columns that hold these.
    """

    def __init__(
        self,
        build: CoreBuild,
        engine: Engine[Any],
        decoded: Any,
        published: Published,
        *,
        slices: Slices | None = None,
    ) -> None:
        self.spark, self.settings, self.catalog = build.spark, build.settings, build.catalog
        self.window, self.restates = build.window, build.restates
        self.engine, self.decoded, self.published = engine, decoded, published.rows
        self.snapshots = published.snapshots
        self.slices, self.columns = slices, FACTS if slices else tuple(OBSERVATIONS.column_names)
        observed = ci_run_observations.transform(engine, decoded=decoded, columns=self.columns)
        self.observed = ci_run_observations.keep_once(engine, observed)
        self.reread = engine.compute(self._find_reread()) if build.restates else None
        self.beginnings = engine.compute(self._find_beginnings())
        shown = self.select("observed", SLIM, observed=self.observed) if slices else self.observed
        self.new = self.join("SEMI", shown, self.beginnings)
        compared: tuple[Any, Any] = self._compare() if build.restates else (self.new, None)
        self.added, self.outdated = compared
        self.changed = engine.compute(self._find_differing() if build.restates else self._find_changed())
        self.run_count, self.result_count = self.size_of(self.changed)
        logger.info(f"core: {self.run_count:,} new or corrected runs with {self.result_count:,} results")

    def size_of(self, runs: Any) -> tuple[int, int]:
        """Return how many rows there are of runs, and how many results these have."""
        size = self.engine.to_arrow(self.engine.sql(_SIZE, runs=runs)).to_pylist()[0]
        return size["row_count"], size["result_count"]

    def _find_reread(self) -> Any:
        """Return keys and days of the published observations that the same decoder has read again."""
        slim = self.select("published", SLIM, published=self.published[OBSERVATIONS.name])
        return ci_run_observations.select_reread(self.engine, observed=self.observed, observations=slim)

    def read_published(self) -> Any:
        """Return the published observations; in a rebuild those that were read again do not count."""
        every = self.published[OBSERVATIONS.name]
        if self.reread is None:
            return every
        return self.join("ANTI", every, self.reread)

    def _compare(self) -> tuple[DataFrame, DataFrame]:
        """Return the new observations that are not published so, and the published that are not new."""
        assert self.reread is not None
        of_days = self.published[OBSERVATIONS.name].where(
            spans_condition("run_date", self.days_of("run_date", self.reread))
        )
        published = conform(of_days.join(self.reread.select(*KEY), [*KEY], "left_semi"), OBSERVATIONS)
        new = conform(self.new, OBSERVATIONS)
        return new.exceptAll(published).localCheckpoint(), published.exceptAll(new).localCheckpoint()

    def _find_beginnings(self) -> Any:
        seen = self.select("observed", KEY, observed=self.observed)
        published = self._of_observed(KEY, self.read_published())
        return ci_run_observations.select_beginnings(self.engine, seen=seen, observations=published)

    def _find_changed(self) -> Any:
        """Return the current observations of the shown runs of which the published run differs.

        Not only of those with new observations: a build that was killed may have published these already.
        """
        standing, runs = self._standing_and_published()
        return ci_runs.select_changed(self.engine, standing=standing, ci_runs=runs)

    def _find_differing(self) -> DataFrame:
        """Return the current observations of the shown runs of which any published row differs."""
        standing, runs = self._standing_and_published()
        with_old = ci_runs.with_old_date(self.engine, standing=standing, ci_runs=runs)
        every: DataFrame = self.engine.compute(with_old)
        if is_half_published(self.catalog):
            return every  # what follows from the runs may not have been made again yet
        scope = spans_condition("run_date", self.dates(every))
        observations = self.observations_of(every)
        differing = [
            differing_keys(
                conform(transform(self.engine, standing=every, observations=observations), table),
                self.spark.table(table.identifier).where(scope).join(every, "run_key", "left_semi"),
                table,
                "run_key",
            )
            for table, transform in ((CI_RUNS, ci_runs.transform), (TEST_RESULTS, test_results.transform))
        ]
        return every.join(reduce(DataFrame.unionByName, differing).distinct(), "run_key", "left_semi")

    def _standing_and_published(self) -> tuple[Any, Any]:
        """Return the current observations of the runs that the payloads show, and their published rows."""
        slim = ", ".join(SLIM)
        every = self.engine.sql(
            f"SELECT {slim} FROM published UNION ALL SELECT {slim} FROM new",  # noqa: S608 - names are ours
            published=self._of_observed(SLIM, self.read_published()),
            new=self.new,
        )
        standing = ci_run_observations.select_standing(self.engine, every, precedence())
        return standing, self._of_observed(CI_RUNS.column_names, self.published[CI_RUNS.name])

    def _of_observed(self, columns: Iterable[str], rows: Any) -> Any:
        """Return columns of the rows of runs that the payloads show."""
        return self.engine.sql(
            f"SELECT /*+ BROADCAST(shown) */ {of('held', columns)} FROM held"  # noqa: S608 - names are ours
            " SEMI JOIN (SELECT DISTINCT run_key FROM observed) AS shown ON held.run_key = shown.run_key",
            held=rows,
            observed=self.observed,
        )

    def join(self, kind: str, rows: Any, others: Any, *, days: list[date] | None = None) -> Any:
        """Return the rows, of some days, whose key is among others or is not (``ANTI``): others are few."""
        of_days = f" WHERE {days_condition('held.run_date', days)}" if days else ""
        return self.engine.sql(
            f"SELECT /*+ BROADCAST(others) */ held.* FROM held {kind} JOIN others"  # noqa: S608 - names are ours
            f" ON {equal('held', 'others', KEY)}{of_days}",
            held=rows,
            others=others,
        )

    def select(self, name: str, columns: Iterable[str], **rows: Any) -> Any:
        """Return columns of rows, which are given by that name."""
        return self.engine.sql(f"SELECT {', '.join(columns)} FROM {name}", **rows)  # noqa: S608 - names are ours

    def named(self, table: Table, transform: Callable[..., Any]) -> Any:
        """Return the rows of names that are not published; in a rebuild those unlike the published, too."""
        published = self.published[table.name]
        if not self.restates:
            return transform(self.engine, decoded=self.decoded, **{table.name: published})
        wanted = transform(self.engine, decoded=self.decoded, **{table.name: published.limit(0)})
        return conform(wanted, table).exceptAll(published).localCheckpoint()

    def observations_of(self, runs: Any) -> Any:
        """Return observations with the current ones of the runs among them: new and, if needed, published."""
        shown, keys = (self.observed, self.observed) if self.slices else (self.new, self.beginnings)
        older = self.join("ANTI", runs, keys)
        days = self.days_of("run_date", older)
        if not days:
            return shown
        names = ", ".join(self.columns)
        return self.engine.sql(
            f"SELECT {names} FROM shown UNION ALL SELECT {names} FROM older",  # noqa: S608 - names are ours
            shown=shown,
            older=self.join("SEMI", self.read_published(), older, days=days),
        )

    def dates(self, runs: Any) -> set[date]:
        """Return the days that the runs have, and those that they had."""
        return {*self.days_of("run_date", runs), *self.days_of("old_run_date", runs)}

    def days_of(self, column: str, rows: Any) -> list[date]:
        """Return the days that rows have in a column, each once."""
        days = self.engine.sql(
            f"SELECT DISTINCT {column} AS day FROM held WHERE {column} IS NOT NULL ORDER BY day",  # noqa: S608 - names are ours
            held=rows,
        )
        found: list[date] = self.engine.to_arrow(days)["day"].to_pylist()
        return found
