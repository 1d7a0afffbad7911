"""Observations of runs: which contents of a run began when, and which of them is current.

All functions here depend on the set of rows alone, not on the order in which payloads were landed or built.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from cilake.contracts.core.ci_run_observations import TABLE
from cilake.lake.literals import quoted
from cilake.transforms.engines import Engine, Rows
from cilake.transforms.words import equal, of

KEY = TABLE.primary_key
SLIM = (*KEY, "result_count", "running_count", "run_date", "landed_date")
"""The columns by which the current observation is chosen."""
RESULTS = ("test_keys", "test_statuses", "messages")
_PART = ("run_key", "source", "natural_id")
_READING = (*_PART, "seen_at", "landed_date", "decoder_version")
_IN_ORDER = f"PARTITION BY {', '.join(_PART)} ORDER BY seen_at, content_hash"
_COLUMNS = {"seen_at": "known_at", "run_date": "cast(started_at AS date)"}
FACTS = tuple(name for name in TABLE.column_names if name not in RESULTS)
"""All columns but those that hold a value for each result."""
_TWICE = f"SELECT run_key FROM observed GROUP BY {', '.join(KEY)} HAVING count(*) > 1 LIMIT 1"

_RUN = ("job_key", "build_id")
_COLLISIONS = f"""
WITH held AS (SELECT DISTINCT run_key, {", ".join(_RUN)} FROM observations),
added AS (
    SELECT run_key, min_by(job_key, struct(known_at, job_key, build_id)) AS job_key,
        min_by(build_id, struct(known_at, job_key, build_id)) AS build_id
    FROM decoded GROUP BY run_key
),
holders AS (
    SELECT * FROM held
    UNION ALL SELECT added.* FROM added ANTI JOIN held ON added.run_key = held.run_key
)
SELECT DISTINCT shown.run_key, {of("shown", _RUN)}, source, endpoint, natural_id, landed_date,
    'taken_run_key: ' || cast(shown.run_key AS string) || ' is the key of build ' || holders.build_id
        || ' of job ' || cast(holders.job_key AS string) AS reason
FROM decoded AS shown JOIN holders ON shown.run_key = holders.run_key
WHERE NOT ({equal("shown", "holders", _RUN)})
"""

_BOTH = f"""
    SELECT {", ".join(KEY)}, false AS is_new FROM observations
    UNION ALL SELECT {", ".join(KEY)}, true AS is_new FROM seen
"""
_BEGINNINGS = f"""
WITH once AS (
    SELECT {", ".join(KEY)}, bool_and(is_new) AS is_new FROM ({_BOTH}) AS known GROUP BY {", ".join(KEY)}
),
{{newest}},
marked AS (
    SELECT *, lag(content_hash) OVER ({_IN_ORDER}) AS hash_before,
        lag(decoder_version) OVER ({_IN_ORDER}) AS version_before
    FROM newest
)
SELECT {", ".join(KEY)} FROM marked
WHERE is_new AND (hash_before IS NULL OR hash_before <> content_hash OR version_before <> decoder_version)
"""
_CHANGES = f"""
WITH marked AS (SELECT *, lag(content_hash) OVER ({_IN_ORDER}) AS hash_before FROM ({_BOTH}) AS known)
SELECT {", ".join(KEY)} FROM marked WHERE is_new AND hash_before <> content_hash
"""


def _newest_reading(rows: str) -> str:
    """Return as ``newest`` the rows without those of payloads that a newer version has read, too."""
    of_payload = f"PARTITION BY {', '.join(_PART)}, seen_at"
    return f"""
read AS (SELECT *, max(decoder_version) OVER ({of_payload}) AS newest_version FROM {rows}),
newest AS (SELECT * FROM read WHERE decoder_version = newest_version)"""


def transform(
    engine: Engine[Rows], *, decoded: Rows, columns: Sequence[str] = tuple(TABLE.column_names)
) -> Rows:
    """Return the decoded runs with the columns of ``core.ci_run_observations``, or with some of them."""
    selected = (f"{_COLUMNS.get(name, name)} AS {name}" for name in columns)
    return engine.sql(f"SELECT {', '.join(selected)} FROM decoded", decoded=decoded)


def keep_once(engine: Engine[Rows], observed: Rows) -> Rows:
    """Return observations without those whose key another one has: the one that was landed first is kept.

    A source may show other contents of one part at one instant, with runs that are the same in all of them.
    """
    if not engine.to_arrow(engine.sql(_TWICE, observed=observed)).num_rows:
        return observed
    names = ", ".join(engine.columns(observed))
    of_key = f"PARTITION BY {', '.join(KEY)} ORDER BY landed_date"
    return engine.sql(
        f"SELECT {names} FROM (SELECT {names}, row_number() OVER ({of_key}) AS place FROM observed)"
        " AS numbered WHERE place = 1",
        observed=observed,
    )


def find_collisions(engine: Engine[Rows], *, decoded: Rows, observations: Rows) -> Rows:
    """Return the decoded runs whose key belongs to another run, once per payload that holds them.

    Columns: ``run_key``, ``job_key``, ``build_id``, names of the payload (``source``, ``endpoint``,
    ``natural_id``, ``landed_date``), and ``reason``. The run that is published keeps its key; of several new
    ones the one that was known first.
    """
    return engine.sql(_COLLISIONS, decoded=decoded, observations=observations)


def leave_out_collisions(engine: Engine[Rows], decoded: Rows, collided: Rows) -> Rows:
    """Return the decoded runs without those whose key belongs to another run."""
    of_run = ("run_key", *_RUN)
    return engine.sql(
        f"SELECT decoded.* FROM decoded ANTI JOIN taken ON {equal('decoded', 'taken', of_run)}",
        decoded=decoded,
        taken=collided,
    )


def select_reread(engine: Engine[Rows], *, observed: Rows, observations: Rows) -> Rows:
    """Return the published rows of what the same version of the decoder has read again."""
    return engine.sql(
        "SELECT observations.* FROM observations"
        f" SEMI JOIN observed ON {equal('observations', 'observed', _READING)}",
        observed=observed,
        observations=observations,
    )


def select_beginnings(engine: Engine[Rows], *, seen: Rows, observations: Rows) -> Rows:
    """Return the keys of the rows of ``seen`` with which a content begins and that are not published.

    Both have the columns of the key. A content begins where the row before it, of the same run and the same
    part of the source, has another content or was read by another version of the decoder.
    """
    query = _BEGINNINGS.format(newest=_newest_reading("once"))
    return engine.sql(query, seen=seen, observations=observations)


def select_changes(engine: Engine[Rows], *, seen: Rows, observations: Rows) -> Rows:
    """Return the rows of ``seen`` before which the same part of the source showed another content of the run.

    Both have the columns of the key.
    """
    return engine.sql(_CHANGES, seen=seen, observations=observations)


def select_standing(engine: Engine[Rows], observations: Rows, precedence: Mapping[str, int]) -> Rows:
    """Return per run the current observation: its key, day and size, ``known_at`` and ``landed_date``.

    Of several contents that one is current which began last, of the source with the highest ``precedence``. A
    content with fewer results than a final one is poorer and does not replace it, where no source of higher
    precedence shows it: services cut what is large.
    ``known_at`` is when the source first showed the content, ``landed_date`` the day of the landing that
    brought it. Of the observations known at an instant, it is what stood then.
    """
    ranks = "".join(f" WHEN {quoted(source)} THEN {number}" for source, number in precedence.items())
    rank = f"CASE source{ranks} ELSE -1 END" if ranks else "-1"
    last = "struct(rank, seen_at, content_hash, source)"
    chosen = "struct(decoder_version, -unix_micros(seen_at), natural_id)"
    picked = [name for name in (*KEY, "run_date", "result_count") if name != "run_key"]
    return engine.sql(
        f"""
        WITH {_newest_reading("observations")},
        marked AS (
            SELECT *, {rank} AS rank, lag(content_hash) OVER ({_IN_ORDER}) AS hash_before,
                max(CASE WHEN running_count = 0 THEN result_count END)
                    OVER (PARTITION BY run_key, {rank}) AS final_count
            FROM newest
        ),
        standing AS (
            SELECT run_key, max_by(content_hash, {last}) AS content_hash, max_by(source, {last}) AS source
            FROM marked
            WHERE (hash_before IS NULL OR hash_before <> content_hash)
                AND result_count >= coalesce(final_count, 0)
            GROUP BY run_key
        ),
        same AS (
            SELECT newest.* FROM newest
            JOIN standing ON {equal("newest", "standing", ("run_key", "content_hash", "source"))}
        )
        SELECT run_key, {", ".join(f"max_by({name}, {chosen}) AS {name}" for name in picked)},
            min(seen_at) AS known_at, min_by(landed_date, struct(seen_at, landed_date)) AS landed_date
        FROM same GROUP BY run_key
        """,
        observations=observations,
    )
