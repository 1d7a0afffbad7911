"""``cilake build core_ci``: raw payloads to core tables."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from contextlib import suppress
from typing import Any

import pyarrow as pa
from pyiceberg.catalog import Catalog
from pyspark.sql import SparkSession
from pyspark.sql import functions as F

from cilake.build.core_changes import CoreBuild, CoreChanges, open_published
from cilake.build.core_tables import CORE, find_broken_runs, publish
from cilake.build.decoding import (
    BATCH_SIZE,
    PAYLOAD_COLUMNS,
    RawTable,
    decode_all,
    decode_few,
    raw_tables,
)
from cilake.build.half_published import find_unfinished, is_half_published, settle
from cilake.build.rounds import Payloads, Sizes, in_rounds
from cilake.build.set_aside import NotHereError, Tally, set_aside_runs, set_aside_unreadable
from cilake.build.slices import Slices, cut
from cilake.build.take_back import ROLLBACK, take_back
from cilake.build.unbuilt import Unbuilt, find_unbuilt
from cilake.contracts.core.ci_runs import TABLE as CI_RUNS
from cilake.lake.catalog import create_missing, open_catalog, set_properties
from cilake.lake.session import spark_session
from cilake.landing.incomplete import log_if_incomplete
from cilake.log import logger
from cilake.publish.audit import AuditError, preload_great_expectations
from cilake.publish.replace import days_condition
from cilake.publish.restatements import Restatement, record_restatements
from cilake.settings import Settings
from cilake.transforms.engines import DuckEngine, Engine, SparkEngine
from cilake.windows import Window

FEW_BYTES = 64 * 1024 * 1024
"""So many bytes of payloads are decoded in this process."""
SLICED_BYTES = 3 * 1024 * 1024 * 1024
"""So many bytes of payloads are decoded by workers at once: this process holds their runs without results."""
PUBLISHED_ROWS = 20_000_000
"""So many published rows may lie in the files that a build looks into from this process."""
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
    log_if_incomplete(catalog, window)
    if find_unfinished(catalog):
        with spark_session(settings, app_name="finish a restatement") as spark:
            finish_rebuild(spark, settings, catalog)
    found = [(raw, find_unbuilt(catalog, raw.table, CI_RUNS)) for raw in raw_tables()]
    unbuilt = [(raw, payloads) for raw, payloads in found if payloads]
    nothing = dict.fromkeys((table.address for table in CORE), 0)
    if not unbuilt:
        logger.info("core: no payload is new")
        return nothing
    mark = {name: value for _, payloads in unbuilt for name, value in payloads.mark.items()}
    with spark_session(settings, app_name=f"build core_ci {window.start}") as spark:
        built = _build_unbuilt(CoreBuild(spark, settings, catalog, window), unbuilt)
    set_properties(catalog, CI_RUNS, mark)
    return nothing | built


def _build_unbuilt(build: CoreBuild, unbuilt: list[tuple[RawTable, Unbuilt]]) -> dict[str, int]:
    """Build payloads; return the number of rows written.

    Few of them are decoded in this process, more by workers of Spark. What is odd is left to Spark alone,
    which takes longer.
    """
    sizes = [payloads.sizes() for _, payloads in unbuilt]
    size = sum(size for of_id in sizes for _, size in of_id.values())
    late = [(raw, payloads) for raw, payloads in unbuilt if payloads.has_late]
    tally = Tally(sum(count for of_id in sizes for count, _ in of_id.values()))
    is_too_much = bool(late) or open_published(build, DuckEngine(), limit=PUBLISHED_ROWS) is None
    for is_for, limit in ((_build_here, FEW_BYTES), (_build_in_slices, SLICED_BYTES)):
        if is_too_much or size > limit:
            continue
        try:
            return is_for(build, unbuilt, tally)
        except (MemoryError, NotHereError) as error:
            logger.warning(f"{error}; the payloads are built another way")
            tally.refused_count = 0
    new = [(raw, payloads.read(build.spark)) for raw, payloads in unbuilt]
    return _build_in_rounds(build, new, tally, sizes, late)


def _build_here(build: CoreBuild, unbuilt: list[tuple[RawTable, Unbuilt]], tally: Tally) -> dict[str, int]:
    """Build payloads in this process; return the number of rows written.

    Raises:
        NotHereError: where they show too much for it.

    """
    logger.info("payloads: decoding")
    decoded = decode_few([(raw, new.read_here(PAYLOAD_COLUMNS)) for raw, new in unbuilt])
    if decoded is None:
        raise NotHereError("what the payloads show is too much for this process")
    return _build_decoded(build, decoded, tally)


def _build_in_slices(
    build: CoreBuild, unbuilt: list[tuple[RawTable, Unbuilt]], tally: Tally
) -> dict[str, int]:
    """Build payloads that workers decode, and whose results they write; return the number of rows written.

    Raises:
        NotHereError: where a name has the key of another, or a row breaks a rule.

    """
    slices = cut(build.spark, build.settings, unbuilt)
    preload_great_expectations()
    try:
        logger.info(f"payloads: decoding {tally.payload_count:,} in {len(slices.every):,} parts")
        return _build_decoded(build, slices.decode(), tally, slices)
    except Exception:
        with suppress(Exception):  # the first error is the one to report
            slices.forget()
        raise


def _build_decoded(
    build: CoreBuild, decoded: pa.Table, tally: Tally, slices: Slices | None = None
) -> dict[str, int]:
    """Build what was decoded, in this process as far as it is there; return the number of rows written."""
    was_half = is_half_published(build.catalog)
    counts = _build(build, DuckEngine(), decoded, tally, settles=True, slices=slices)
    _settle(build, was_half=was_half)
    return counts


def finish_rebuild(spark: SparkSession, settings: Settings, catalog: Catalog) -> None:
    """Finish a rebuild or a rollback that was killed between results and runs, if one was."""
    if left := find_unfinished(catalog):
        logger.info(f"{left.restatement_id}: finishing, it was killed between two tables")
        record_restatements(spark, catalog)  # what it has published already
        if left.restatement_id.startswith(ROLLBACK):
            take_back(catalog, left.restatement_id.removeprefix(ROLLBACK))
        else:
            rebuild_core(spark, settings, catalog, left.window, left)
        record_restatements(spark, catalog)


def rebuild_core(
    spark: SparkSession, settings: Settings, catalog: Catalog, window: Window, restatement: Restatement
) -> None:
    """Read the payloads landed for the window's days again, and publish what they say otherwise now.

    What a new version of the decoder reads counts instead of what an older one read; what the same version
    reads otherwise now replaces what it read. Names of jobs and tests are distinguished again.
    """
    create_missing(catalog, (raw.table for raw in raw_tables()))
    of_days = days_condition("partition_date", list(window.days))
    landed = [(raw, spark.table(raw.table.identifier).where(of_days)) for raw in raw_tables()]
    size = F.struct(F.count("*"), F.sum("payload_bytes"))
    by_id = (rows.groupBy("natural_id").agg(size).collect() for _, rows in landed)
    sizes: list[dict[str, tuple[int, int]]] = [dict(map(tuple, rows)) for rows in by_id]
    tally = Tally(sum(count for of_id in sizes for count, _ in of_id.values()))
    _build_in_rounds(CoreBuild(spark, settings, catalog, window, restatement), landed, tally, sizes)


def _build_in_rounds(
    build: CoreBuild,
    payloads: Payloads,
    tally: Tally,
    sizes: Sizes,
    late: Sequence[tuple[RawTable, Unbuilt]] = (),
) -> dict[str, int]:
    """Build the payloads; return the number of rows written.

    What a killed build left between results and runs is fixed in whatever round its payloads are: until the
    last one is done, the two tables stay marked as of different builds.
    """
    counts: Counter[str] = Counter()
    was_half = is_half_published(build.catalog)
    for part, number, last in in_rounds(payloads, sizes):
        own = [raw for raw, _ in part]
        late_ones = [one for one in late if one[0] in own]
        settles = number == last or not was_half
        logger.info("payloads: decoding")
        decoded = decode_all(build.spark, part, late_ones, is_large=last > 1)
        counts.update(_build(build, SparkEngine(build.spark), decoded, tally, settles=settles))
    _settle(build, was_half=was_half)
    return dict(counts)


def _settle(build: CoreBuild, *, was_half: bool) -> None:
    """Note that runs and results belong together where a build found them apart and published neither."""
    if was_half and is_half_published(build.catalog):
        settle(build.spark, build.catalog)


def _build(
    build: CoreBuild,
    engine: Engine[Any],
    decoded: Any,
    tally: Tally,
    *,
    settles: bool,
    slices: Slices | None = None,
) -> dict[str, int]:
    """Build one round's decoded runs; return the number of rows written."""
    published = open_published(build, engine)
    assert published is not None, "without a limit, tables that are written without delete files are opened"
    if isinstance(decoded, pa.Table):
        published = published.of_runs(decoded["run_key"].drop_null().unique())
    limit = build.settings.max_lost_ratio
    runs = set_aside_unreadable(
        engine, build.catalog, decoded, published.rows, tally, limit=limit, has_results=slices is None
    )
    build.spark.conf.unset(BATCH_SIZE)  # rows that are taken from Spark come in such batches, too
    changes = CoreChanges(build, engine, runs, published, slices=slices)
    try:
        return publish(changes, settles=settles)
    except AuditError as error:
        if not error.is_by_rows:
            raise
        if slices:
            raise NotHereError("rows break a rule") from error
        rest = _set_aside_broken(changes, error)
    return publish(CoreChanges(build, engine, rest, published), settles=settles)


def _set_aside_broken(changes: CoreChanges, error: AuditError) -> Any:
    """Return the decoded runs without those of which a row breaks a row rule; these go to quarantine.

    Raises:
        AuditError: the one given, when no run breaks such a rule or too many do.

    """
    broken = find_broken_runs(changes)
    count = changes.engine.to_arrow(broken).num_rows
    if not 0 < count <= max(FEW_BROKEN, changes.settings.max_lost_ratio * changes.run_count):
        of_all = f"{count:,} of {changes.run_count:,} runs"
        logger.warning(f"core: {of_all} break a row rule, too many to go on without them")
        raise error
    return set_aside_runs(changes.engine, changes.catalog, changes.decoded, broken)
