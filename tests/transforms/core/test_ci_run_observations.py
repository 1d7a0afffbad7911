"""The current observation of a run depends on what was seen, not on the order of landings and builds."""

import random
from collections import defaultdict
from datetime import UTC, date, datetime, timedelta

import pyarrow as pa
import pytest
from tests.support.builders import make_row
from tests.support.decoded import decode, observe, with_value
from tests.support.engines import make_input, rows_of
from tests.support.grids import make_table

from cilake.contracts.core.ci_run_observations import TABLE
from cilake.transforms.core import ci_run_observations
from cilake.transforms.core.ci_run_observations import KEY, select_beginnings, select_reread, select_standing

BEGAN = datetime(2021, 6, 25, tzinfo=UTC)
PARTS = (("testgrid", "board/a"), ("testgrid", "board/b"), ("other", "log"))
RANKS = {"testgrid": 0, "other": 1}
SCHEMA = pa.schema(
    [
        ("run_key", pa.int64()),
        ("source", pa.string()),
        ("natural_id", pa.string()),
        ("seen_at", pa.timestamp("us", tz="UTC")),
        ("content_hash", pa.string()),
        ("decoder_version", pa.int32()),
        ("result_count", pa.int64()),
        ("running_count", pa.int64()),
        ("run_date", pa.date32()),
        ("landed_date", pa.date32()),
    ]
)


def held(engine, rows):
    return engine.from_arrow(pa.Table.from_pylist(rows, schema=SCHEMA))


def sighting(run, part, hour, content, *, version=1, results=10, running=0):
    source, natural_id = part
    at = BEGAN + timedelta(hours=hour)
    return {
        "run_key": run,
        "source": source,
        "natural_id": natural_id,
        "seen_at": at,
        "content_hash": content,
        "decoder_version": version,
        "result_count": results,
        "running_count": running,
        "run_date": date(2021, 6, 20),
        "landed_date": at.date(),
    }


def key_of(row):
    return tuple(row[name] for name in KEY)


def standing(engine, rows):
    found = select_standing(engine, held(engine, rows), RANKS)
    return {row.run_key: row for row in rows_of(engine, found)}


def expected(sightings):
    """By run the content that began last at the source of the highest rank, and when it was first seen."""
    by_run = defaultdict(list)
    for row in sorted(sightings, key=lambda row: row["seen_at"]):
        by_run[row["run_key"]].append(row)
    found = {}
    for run, rows in by_run.items():
        last = {}
        changes = []
        for row in rows:
            part = row["source"], row["natural_id"]
            if last.get(part) != row["content_hash"]:
                changes.append((RANKS[row["source"]], row["seen_at"], row["content_hash"], row["source"]))
            last[part] = row["content_hash"]
        _, _, content, source = max(changes)
        first = min(r["seen_at"] for r in rows if (r["content_hash"], r["source"]) == (content, source))
        found[run] = content, source, first
    return found


def payloads_of_many_runs(rng):
    """By part and hour what a payload shows of every run: contents come back, parts disagree."""
    shown = {}
    for part in PARTS:
        now = {run: rng.choice("ABC") for run in range(150)}
        for step in range(5):
            hour = 2 * step + PARTS.index(part) * 0.5
            for run in now:
                if rng.random() < 0.4:
                    now[run] = rng.choice("ABC")
            # A run is in the window of some payloads only.
            shown[part, hour] = [
                sighting(run, part, hour, content) for run, content in now.items() if run % 7 >= step - 3
            ]
    return shown


@pytest.mark.parametrize("seed", range(4))
def test_any_order_and_any_batches_give_what_stands(engine, seed):
    """Also contents A, B, A and sources that disagree; a late payload is read with the next of its part."""
    rng = random.Random(seed)
    payloads = payloads_of_many_runs(random.Random(99))
    order = list(payloads)
    if seed:
        rng.shuffle(order)
    built, stored = set(), []
    while order:
        batch = [order.pop() for _ in range(min(len(order), rng.randint(1, 6)))]
        following = {
            min((done for done in built if done[0] == part and done[1] > hour), default=None)
            for part, hour in batch
        }
        read = {*batch, *(following - {None})}
        seen = [row for payload in read for row in payloads[payload]]
        new = select_beginnings(engine, seen=held(engine, seen), observations=held(engine, stored))
        keys = {key_of(row) for row in engine.to_arrow(new).to_pylist()}
        stored += [row for row in seen if key_of(row) in keys]
        built |= set(batch)
    found = {
        run: (row.content_hash, row.source, row.known_at) for run, row in standing(engine, stored).items()
    }
    assert found == expected([row for rows in payloads.values() for row in rows])
    assert len(set(map(key_of, stored))) == len(stored)


def test_special_cases_stand_as_they_should(engine):
    a, b = PARTS[:2]
    rows = [
        # 1: a final content is not replaced by one with fewer results
        sighting(1, a, 1, "rich"),
        sighting(1, a, 2, "cut", results=3),
        # 2: a running one is
        sighting(2, a, 1, "running", running=5, results=12),
        sighting(2, a, 2, "final"),
        # 3: a newer reading of the same payload counts, and one of another payload is no newer content
        sighting(3, a, 1, "misread"),
        sighting(3, a, 1, "read", version=2),
        sighting(3, b, 2, "other"),
        # 4: the same content read by a newer version keeps the day it was first known
        sighting(4, a, 1, "same"),
        sighting(4, a, 5, "same", version=2),
        # 5: an unknown source counts less than any known one
        sighting(5, ("strange", "x"), 9, "strange"),
        sighting(5, a, 1, "known"),
    ]
    found = standing(engine, rows)
    assert {run: row.content_hash for run, row in found.items()} == {
        1: "rich",
        2: "final",
        3: "other",
        4: "same",
        5: "known",
    }
    assert (found[4].decoder_version, found[4].known_at.hour) == (2, 1)
    assert found[1].result_count == 10


def test_decoded_runs_have_the_columns_of_the_table_and_words_for_codes(engine):
    observed = observe(engine, make_table({"Overall": [12, 1], "a": [12, 13], "b": [0, 3]}))
    assert engine.to_arrow(observed).column_names == TABLE.column_names
    rows = {row.build_id: row for row in rows_of(engine, observed)}
    newest = rows["1002"]
    assert (newest.result, newest.test_statuses) == ("failed", ["failed", "failed"])
    assert (newest.result_count, newest.test_count, newest.failed_count) == (2, 1, 1), "Overall is no test"
    assert set(rows["1001"].test_statuses) == {"passed", "flaky", "passed_with_skips"}


def test_a_run_whose_key_is_taken_is_left_out(engine):
    """The key is set by hand: who holds it is decided by the rows alone."""
    shown = decode(make_table({"a": [1]}, job="a"), make_table({"a": [1]}, job="b", first_build=7))
    shown = with_value(shown, run_key=11)
    first, second = sorted((row["job_key"], row["build_id"]) for row in shown.to_pylist())
    decoded = engine.from_arrow(shown)
    nothing = make_input(engine, TABLE, [])
    holds = make_row(TABLE, run_key=11, job_key=second[0], build_id=second[1])
    for published, holder, other in (
        (nothing, first, second),
        (make_input(engine, TABLE, [holds]), second, first),
    ):
        found = ci_run_observations.find_collisions(engine, decoded=decoded, observations=published)
        (row,) = rows_of(engine, found)
        assert ((row.job_key, row.build_id), row.reason) == (
            other,
            f"taken_run_key: 11 is the key of build {holder[1]} of job {holder[0]}",
        )
        (left,) = rows_of(engine, ci_run_observations.leave_out_collisions(engine, decoded, found))
        assert (left.job_key, left.build_id) == holder
    apart = engine.from_arrow(decode(make_table({"a": [1, 12]}), make_table({"a": [1, 12]})))
    found = ci_run_observations.find_collisions(engine, decoded=apart, observations=nothing)
    assert rows_of(engine, found) == []


def test_read_again_is_what_the_same_version_had_read_from_the_same_payload(engine):
    a, b = PARTS[:2]
    published = [
        sighting(1, a, 1, "wrong"),
        sighting(1, a, 2, "later"),
        sighting(1, a, 1, "older", version=0),
        sighting(1, b, 1, "elsewhere"),
        sighting(2, a, 1, "of another run"),
    ]
    observed = held(engine, [sighting(1, a, 1, "right")])
    found = select_reread(engine, observed=observed, observations=held(engine, published))
    assert [row.content_hash for row in rows_of(engine, found)] == ["wrong"]
