"""``cilake build core_ci``: raw payloads to core tables."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from contextlib import suppress

from pyiceberg.catalog import Catalog
from pyspark.sql import DataFrame, SparkSession
from pyspark.sql import functions as F

from cilake.build.core_tables import CORE, CoreBuild, CoreRound
from cilake.build.decoding import BATCH_SIZE, RawTable, decode, decode_all, raw_tables, read_hidden
from cilake.build.half_published import find_unfinished_rebuild, is_half_published, settle
from cilake.build.rounds import Payloads, Sizes, in_rounds
from cilake.build.set_aside import Tally, set_aside_runs, set_aside_unreadable
from cilake.build.unbuilt import Unbuilt, find_unbuilt
from cilake.contracts.core.ci_runs import TABLE as CI_RUNS
from cilake.contracts.core.test_results import TABLE as TEST_RESULTS
from cilake.lake.catalog import create_missing, open_catalog, set_properties
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
    Many payloads are built in rounds, each published by itself, ``core.ci_runs`` last, which notes at the end
    how far the payloads are built. A build that is killed before is done again, and what it may have
    published is replaced.

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
        built = _build_in_rounds(CoreBuild(spark, settings, catalog, window), new, sizes, late)
    set_properties(catalog, CI_RUNS, mark)
    return nothing | built


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
    _build_in_rounds(CoreBuild(spark, settings, catalog, window, restatement), landed, sizes)


def _build_in_rounds(
    build: CoreBuild, payloads: Payloads, sizes: Sizes, late: Sequence[tuple[RawTable, Unbuilt]] = ()
) -> dict[str, int]:
    """Build the payloads; return the number of rows written.

    What a killed build left between results and runs is mended in whatever round its payloads are: until the
    last one is done, the two tables stay marked as of different builds.
    """
    counts: Counter[str] = Counter()
    tally = Tally(sum(count for of_id in sizes for count, _ in of_id.values()))
    was_half = is_half_published(build.catalog)
    for part, number, last in in_rounds(payloads, sizes):
        own = [raw for raw, _ in part]
        logger.info("decoding payloads")
        decoded = decode_all(build.spark, part, is_large=last > 1)
        try:
            every = _with_following(build.spark, decoded, [one for one in late if one[0] in own])
            counts.update(_build(build, every, tally, settles=number == last or not was_half))
        finally:
            with suppress(Exception):  # where the server failed, the first error is the one to be told
                decoded.unpersist()
    if was_half and is_half_published(build.catalog):
        results = build.spark.table(TEST_RESULTS.identifier)
        require_whole(build.spark.table(CI_RUNS.identifier), results.count())
        settle(build.catalog)
    return dict(counts)


def _with_following(
    spark: SparkSession, decoded: DataFrame, late: Sequence[tuple[RawTable, Unbuilt]]
) -> DataFrame:
    """Return the decoded runs and those that built payloads show which were served after late ones."""
    for raw, unbuilt in late:
        decoded = decoded.unionByName(decode(raw, read_hidden(spark, raw, unbuilt, decoded)))
    return decoded


def _build(build: CoreBuild, decoded: DataFrame, tally: Tally, *, settles: bool) -> dict[str, int]:
    """Build one round's decoded runs; return the number of rows written."""
    runs = set_aside_unreadable(
        build.spark, build.catalog, decoded, tally, limit=build.settings.rejected_ratio
    )
    build.spark.conf.unset(BATCH_SIZE)  # rows that are taken from Spark come in such batches, too
    whole = CoreRound(build, runs, settles=settles)
    try:
        return whole.publish()
    except AuditError as error:
        if not error.is_by_rows:
            raise
        rest = _set_aside_broken(whole, error)
    return CoreRound(build, rest, settles=settles).publish()


def _set_aside_broken(whole: CoreRound, error: AuditError) -> DataFrame:
    """Return the decoded runs without those of which a row breaks a row rule; these go to quarantine.

    Raises:
        AuditError: the one given, when no run breaks such a rule or too many do.

    """
    broken = whole.find_broken_runs().localCheckpoint()
    count = broken.count()
    if not 0 < count <= max(FEW_BROKEN, whole.settings.rejected_ratio * whole.run_count):
        of_all = f"{count:,} of {whole.run_count:,} runs"
        logger.warning(f"{of_all} break a row rule: too many to go on without them")
        raise error
    return set_aside_runs(whole.catalog, whole.decoded, broken)
