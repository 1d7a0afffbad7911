"""``cilake build core_ci``: raw payloads to core tables."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from contextlib import suppress

from pyiceberg.catalog import Catalog
from pyspark.sql import DataFrame, SparkSession
from pyspark.sql import functions as F

from cilake.build.core_tables import CORE, CoreBuild
from cilake.build.decoding import BATCH_SIZE, RawTable, decode, decode_all, raw_tables, read_hidden
from cilake.build.half_published import find_unfinished_rebuild, is_half_published, settle
from cilake.build.rounds import Payloads, Sizes, in_rounds
from cilake.build.set_aside import Tally, set_aside_runs, set_aside_unreadable
from cilake.build.unbuilt import Unbuilt, find_unbuilt
from cilake.contracts.core.ci_runs import TABLE as CI_RUNS
from cilake.contracts.core.test_results import TABLE as TEST_RESULTS
from cilake.lake.catalog import create_missing, open_catalog
from cilake.lake.session import spark_session
from cilake.landing.incomplete import say_if_incomplete
from cilake.log import logger
from cilake.publish.audit import AuditError, require_whole
from cilake.publish.replace import days_condition
from cilake.publish.restatements import Restatement, record_restatements
from cilake.settings import Settings
from cilake.windows import Window

FEW_BROKEN = 10
"""Up to so many runs that break a row rule no share of them stops a build: a quiet night has few runs."""


def build_core(settings: Settings, window: Window) -> dict[str, int]:
    """Build the core tables from the payloads landed since the last build; return the number of rows written.

    The window only names the day that the run is for: a payload whose own day failed is built by the next.
    Many payloads are built in rounds, each published by itself. ``core.ci_runs`` is published last, and notes
    in the last round how far the payloads are built. A build that is killed before is done again, and what it
    may have published is replaced.

    Raises:
        FormatError: when too much of the payloads cannot be read.
        AuditError: when a critical expectation fails or the tables would not belong together.

    """
    catalog = open_catalog(settings)
    create_missing(catalog, (raw.table for raw in raw_tables()))  # of a source that has not landed yet
    say_if_incomplete(catalog, window)
    if find_unfinished_rebuild(catalog):
        with spark_session(settings, app_name="finish a rebuild") as spark:
            finish_rebuild(spark, settings, catalog)
    found = [(raw, find_unbuilt(catalog, raw.table, CI_RUNS)) for raw in raw_tables()]
    unbuilt = [(raw, payloads) for raw, payloads in found if payloads]
    nothing = dict.fromkeys((table.address for table in CORE), 0)
    if not unbuilt:
        logger.info("no payload is new")
        return nothing
    mark = {name: value for _, payloads in unbuilt for name, value in payloads.mark.items()}
    with spark_session(settings, app_name=f"build core_ci {window.start}") as spark:
        new = [(raw, payloads.read(spark)) for raw, payloads in unbuilt]
        sizes = [payloads.sizes() for _, payloads in unbuilt]
        late = [(raw, payloads) for raw, payloads in unbuilt if payloads.has_late]
        return nothing | _build_in_rounds(spark, settings, catalog, window, new, sizes, mark=mark, late=late)


def finish_rebuild(spark: SparkSession, settings: Settings, catalog: Catalog) -> None:
    """Finish a rebuild that was killed when it had published results and not their runs, if one was."""
    if left := find_unfinished_rebuild(catalog):
        logger.info(f"finishing {left.restatement_id}, which was ended between two tables")
        record_restatements(spark, catalog)  # what it has published already
        rebuild_core(spark, settings, catalog, left.window, left)
        record_restatements(spark, catalog)


def rebuild_core(
    spark: SparkSession, settings: Settings, catalog: Catalog, window: Window, restatement: Restatement
) -> None:
    """Read the payloads landed for the window's days again, and publish what they say otherwise now.

    What a new version of the decoder reads counts instead of what an older one read; what the same version
    reads otherwise now replaces what it read. Names of jobs and tests are told apart again.
    """
    create_missing(catalog, (raw.table for raw in raw_tables()))
    of_days = days_condition("partition_date", list(window.days))
    landed = [(raw, spark.table(raw.table.identifier).where(of_days)) for raw in raw_tables()]
    size = F.struct(F.count("*"), F.sum("payload_bytes"))
    by_id = (rows.groupBy("natural_id").agg(size).collect() for _, rows in landed)
    sizes: list[dict[str, tuple[int, int]]] = [dict(map(tuple, rows)) for rows in by_id]
    _build_in_rounds(spark, settings, catalog, window, landed, sizes, restates=restatement)


def _build_in_rounds(
    spark: SparkSession,
    settings: Settings,
    catalog: Catalog,
    window: Window,
    payloads: Payloads,
    sizes: Sizes,
    *,
    mark: Mapping[str, str] | None = None,
    late: Sequence[tuple[RawTable, Unbuilt]] = (),
    restates: Restatement | None = None,
) -> dict[str, int]:
    """Build the payloads; return the number of rows written.

    What a killed build left between results and runs is mended in whatever round its payloads are: until the
    last one is done, the two tables stay marked as of different builds.
    """
    counts: Counter[str] = Counter()
    tally = Tally(sum(count for of_id in sizes for count, _ in of_id.values()))
    was_half = is_half_published(catalog)
    for part, number, last in in_rounds(payloads, sizes):
        own = [raw for raw, _ in part]
        counts.update(
            _build(
                spark, settings, catalog, window, part, tally,
                mark=mark if number == last else None,
                late=[(raw, unbuilt) for raw, unbuilt in late if raw in own],
                restates=restates,
                is_large=last > 1,
                settles=number == last or not was_half,
            )
        )  # fmt: skip
    if was_half and is_half_published(catalog):
        require_whole(spark.table(CI_RUNS.identifier), spark.table(TEST_RESULTS.identifier).count())
        settle(catalog)
    return dict(counts)


def _build(
    spark: SparkSession,
    settings: Settings,
    catalog: Catalog,
    window: Window,
    payloads: Payloads,
    tally: Tally,
    *,
    mark: Mapping[str, str] | None,
    late: Sequence[tuple[RawTable, Unbuilt]],
    restates: Restatement | None,
    is_large: bool,
    settles: bool,
) -> dict[str, int]:
    logger.info("decoding payloads")
    decoded = cached = decode_all(spark, payloads, is_large=is_large)
    try:
        for raw, unbuilt in late:
            decoded = decoded.unionByName(decode(raw, read_hidden(spark, raw, unbuilt, decoded)))
        runs = set_aside_unreadable(spark, catalog, decoded, tally, limit=settings.rejected_ratio)
        spark.conf.unset(BATCH_SIZE)  # rows that are taken from Spark come in such batches, too
        build = CoreBuild(
            spark, settings, catalog, window, runs, mark or {}, restates=restates, settles=settles
        )
        try:
            return build.publish()
        except AuditError as error:
            if not error.is_by_rows:
                raise
            rest = _set_aside_broken(build, error)
        return CoreBuild(
            spark, settings, catalog, window, rest, mark or {}, restates=restates, settles=settles
        ).publish()
    finally:
        with suppress(Exception):  # where the server is what failed, the first error is the one to be told
            cached.unpersist()


def _set_aside_broken(build: CoreBuild, error: AuditError) -> DataFrame:
    """Return the decoded runs without those of which a row breaks a row rule; these go to quarantine.

    Raises:
        AuditError: the one given, when no run breaks such a rule or too many do.

    """
    broken = build.find_broken_runs().localCheckpoint()
    count = broken.count()
    if not 0 < count <= max(FEW_BROKEN, build.settings.rejected_ratio * build.run_count):
        of_all = f"{count:,} of {build.run_count:,} runs"
        logger.warning(f"{of_all} break a row rule: too many to go on without them")
        raise error
    return set_aside_runs(build.catalog, build.decoded, broken)
