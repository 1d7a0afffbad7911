"""Tests: the distinct names that have results, each with its own key."""

from __future__ import annotations

from functools import partial

import pyarrow as pa

from cilake.contracts.vocabulary.ci import FAILING, PASSING, RUNNING
from cilake.transforms.engines import Engine, Rows
from cilake.transforms.words import is_verdict, of

_LISTS = ("test_keys", "test_statuses", "messages")
_NAMES = ("test_names", "test_name_keys")
_PAYLOAD = ("origin", "source", "endpoint", "natural_id", "known_at", "landed_date")
_FIRST_NAMES = """
    SELECT test_key, min_by(test_name, struct(known_at, test_name)) AS test_name FROM names GROUP BY test_key
"""
"""For each key the name that was known first; of names known at once the first by the alphabet."""

_NEW = f"""
    SELECT named.test_key, named.test_name, {is_verdict("named.test_name")} AS is_verdict
    FROM ({_FIRST_NAMES}) AS named ANTI JOIN tests ON named.test_key = tests.test_key
"""

_COLLISIONS = f"""
WITH holders AS (
    SELECT test_key, test_name AS holder_name FROM tests
    UNION ALL SELECT test_key, test_name FROM ({_NEW}) AS added
)
SELECT {of("names", _PAYLOAD)}, names.test_key, names.test_name, holder_name,
    'taken_test_key: ' || cast(names.test_key AS string) || ' is the key of '
        || substring(holder_name, 1, 200) AS reason
FROM names JOIN holders ON names.test_key = holders.test_key
WHERE names.test_name <> holder_name
"""


def transform(engine: Engine[Rows], *, decoded: Rows, tests: Rows) -> Rows:
    """Return the rows of ``core.tests`` whose key is not among the published ``tests``.

    Keys are ``xxhash64`` of the exact name, and two names can be made that share one. The name that is
    published keeps its key; of several new ones the one that was known first (ties by name). The others
    are in ``find_collisions``.
    """
    return engine.sql(_NEW, names=_names(engine, decoded), tests=tests)


def find_collisions(engine: Engine[Rows], *, decoded: Rows, tests: Rows) -> Rows:
    """Return the names whose key belongs to another name, once per payload that holds them.

    Columns: ``origin``, ``source``, ``endpoint``, ``natural_id``, ``known_at``, ``landed_date`` of the
    payload, ``test_key``, ``test_name``, ``holder_name`` (whose key it is) and ``reason``. The result is the
    same before and after the new rows of ``core.tests`` are published.
    """
    return engine.sql(_COLLISIONS, names=_names(engine, decoded), tests=tests)


def leave_out_collisions(engine: Engine[Rows], decoded: Rows, collided: Rows) -> Rows:
    """Return the decoded runs without the results of names whose key belongs to another name.

    ``collided`` are the rows of ``find_collisions``. A result carries the key alone, but within one payload a
    key means one name (the decoder refuses a second one), so the results to leave out are those of the
    payload's runs under that key. Counts follow; ``content_hash`` stays that of the content as served.
    """
    taken: dict[str, dict[int, bool]] = {}
    query = f"""
        SELECT origin, test_key, bool_or({is_verdict("test_name")}) AS is_verdict
        FROM taken GROUP BY origin, test_key
    """
    for row in engine.to_arrow(engine.sql(query, taken=collided)).to_pylist():
        taken.setdefault(row["origin"], {})[row["test_key"]] = row["is_verdict"]
    return engine.map(partial(_without, taken), decoded)


def keep_names(engine: Engine[Rows], decoded: Rows, rest: Rows) -> Rows:
    """Return what is left of decoded runs, with all names of the payloads that they come from.

    The names of a payload are with its first run; where that was left out another one gets them.
    """
    names = ", ".join(_NAMES)
    given = engine.sql(
        f"""
        WITH lost AS (
            SELECT origin, {names} FROM decoded
            ANTI JOIN (SELECT origin FROM rest WHERE test_names IS NOT NULL) AS kept
                ON decoded.origin = kept.origin
            WHERE test_names IS NOT NULL
        )
        SELECT lost.*, heir.run_key
        FROM lost JOIN (SELECT origin, min(run_key) AS run_key FROM rest GROUP BY origin) AS heir
            ON lost.origin = heir.origin
        """,
        decoded=decoded,
        rest=rest,
    )
    heirs = {row["origin"]: row for row in engine.to_arrow(given).to_pylist()}
    return engine.map(partial(_with_names, heirs), rest)


def _names(engine: Engine[Rows], decoded: Rows) -> Rows:
    """Return each name of each payload, with its key."""
    named = engine.sql(
        f"SELECT {', '.join(_PAYLOAD)}, test_names AS test_name, test_name_keys AS test_key FROM decoded"
        " WHERE test_names IS NOT NULL",
        decoded=decoded,
    )
    return engine.explode(named, ("test_name", "test_key"))


def _without(taken: dict[str, dict[int, bool]], runs: pa.Table) -> pa.Table:
    """Return runs without the results under keys, by payload; of each key whether it is a verdict's."""
    if not taken.keys() & set(runs["origin"].to_pylist()):
        return runs
    rows = runs.to_pylist()
    for row in rows:
        if keys := taken.get(row["origin"]):
            cells = list(zip(*(row[name] for name in _LISTS), strict=True))
            lost = [status for key, status, _ in cells if key in keys and not keys[key]]
            kept = [cell for cell in cells if cell[0] not in keys]
            row |= {name: [cell[index] for cell in kept] for index, name in enumerate(_LISTS)}
            row["result_count"] -= len(cells) - len(kept)
            row["test_count"] -= len(lost)
            row["passed_count"] -= sum(status in PASSING for status in lost)
            row["failed_count"] -= sum(status in FAILING for status in lost)
            row["flaky_count"] -= lost.count("flaky")
            row["running_count"] -= lost.count(RUNNING)
    return pa.Table.from_pylist(rows, schema=runs.schema)


def _with_names(heirs: dict[str, dict[str, object]], runs: pa.Table) -> pa.Table:
    """Return runs of which one of each of some payloads is given the names of its tests."""
    if not heirs.keys() & set(runs["origin"].to_pylist()):
        return runs
    rows = runs.to_pylist()
    for row in rows:
        heir = heirs.get(row["origin"])
        if heir and heir["run_key"] == row["run_key"]:
            row |= {name: heir[name] for name in _NAMES}
    return pa.Table.from_pylist(rows, schema=runs.schema)
