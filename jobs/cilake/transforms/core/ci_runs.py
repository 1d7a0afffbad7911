"""Runs: of each the observation that stands."""

from __future__ import annotations

from collections.abc import Sequence

from pyspark.sql import DataFrame

from cilake.contracts.core.ci_runs import TABLE
from cilake.transforms.core.ci_run_observations import KEY

_COMPARED = ("content_hash", "decoder_version", "known_at", "landed_date")
"""What makes a published run out of date for a build when it differs."""


def transform(standing: DataFrame, observations: DataFrame) -> DataFrame:
    """Return the rows of ``core.ci_runs`` from the keys that stand and the observations that have them."""
    facts = observations.drop("landed_date")
    return facts.join(standing.select(*KEY, "known_at", "landed_date"), list(KEY)).select(TABLE.column_names)


def select_changed(standing: DataFrame, published: DataFrame) -> DataFrame:
    """Return the standing rows unlike the published runs, with ``old_run_date``: null for a new run."""
    joined = _with_old(standing, published, (*_COMPARED, "run_date"))
    same = " AND ".join(f"{name} <=> old_{name}" for name in _COMPARED)
    return joined.where(f"NOT ({same})").drop(*(f"old_{name}" for name in _COMPARED))


def with_old_date(standing: DataFrame, published: DataFrame) -> DataFrame:
    """Return all standing rows, with ``old_run_date``: null for a new run."""
    return _with_old(standing, published, ("run_date",))


def _with_old(standing: DataFrame, published: DataFrame, names: Sequence[str]) -> DataFrame:
    before = published.select("run_key", *(published[name].alias(f"old_{name}") for name in names))
    return standing.join(before, "run_key", "left")
