"""Stored payloads inside Spark's workers: runs and rejects as rows, whatever the payload."""

from datetime import UTC, date, datetime

import pyarrow as pa
import pytest
from tests.support.grids import dump, make_table

from cilake.sources import decoder
from cilake.sources.decoder import DECODED
from cilake.sources.runs import Decoded
from cilake.sources.testgrid.decode import payload_decoder
from cilake.sources.testgrid.parse import DECODER_VERSION, read_table

SERVED = datetime(2021, 6, 25, tzinfo=UTC)
DAY = date(2021, 6, 25)


def decode(*payloads):
    count = len(payloads)
    batch = pa.RecordBatch.from_pydict(
        {
            "payload": list(payloads),
            "served_at": pa.array([SERVED] * count, pa.timestamp("us", tz="UTC")),
            "partition_date": [DAY] * count,
            "origin": [f"origin-{i}" for i in range(count)],
            "natural_id": [f"dashboard/tab-{i}" for i in range(count)],
        }
    )
    batches = list(payload_decoder()(iter([batch])))
    return pa.Table.from_batches(batches, schema=DECODED).to_pylist()


def test_runs_carry_where_they_come_from():
    (run,) = decode(dump(make_table({"Overall": [1]})))
    assert run["build_id"] == "1001"
    facts = ("known_at", "landed_date", "origin", "natural_id", "decoder_version", "reject_reason")
    assert tuple(run[name] for name in facts) == (
        SERVED,
        DAY,
        "origin-0",
        "dashboard/tab-0",
        DECODER_VERSION,
        None,
    )


def test_a_refused_column_is_a_row_with_its_reason():
    run, reject = decode(dump(make_table({"Overall": [1, 1]}, changelists=["7", " "])))
    assert (run["build_id"], run["reject_reason"]) == ("7", None)
    assert (reject["build_id"], reject["reject_reason"]) == (" ", "blank_build_id: ' '")
    assert (reject["natural_id"], reject["known_at"], reject["decoder_version"]) == (
        run["natural_id"],
        SERVED,
        DECODER_VERSION,
    )
    assert all(reject[name] is None for name in ("run_key", "job_key", "started_at", "test_keys"))


def test_a_refused_row_names_its_test():
    *_, reject = decode(dump(make_table({"Overall": [1], "odd": [77]})))
    assert reject["reject_reason"] == "unknown_status: a code that is not in 0..15; test 'odd'"
    assert (reject["build_id"], reject["test_names"]) == (None, ["odd"])
    table = make_table({"Overall": [1], "odd": [1]})
    table["tests"][1]["name"] = 7
    *_, reject = decode(dump(table))
    assert (reject["reject_reason"], reject["test_names"]) == ("test_name_no_text: 7", [""])


@pytest.mark.parametrize("payload", [b"", b"\xff", b"[]", b"{}", b'{"changelists": 1}', b"[" * 5000])
def test_a_payload_that_is_no_table_stops_no_other(payload):
    reject, run = decode(payload, dump(make_table({"Overall": [1]})))
    assert reject["reject_reason"] and reject["build_id"] is None and reject["origin"] == "origin-0"
    assert run["origin"] == "origin-1" and run["reject_reason"] is None


def read_with(runs):
    """What the decoder of a source makes of a payload that shows these runs."""
    given = pa.RecordBatch.from_pydict(
        {
            "payload": [b""],
            "served_at": pa.array([SERVED], pa.timestamp("us", tz="UTC")),
            "partition_date": [DAY],
            "origin": ["origin"],
            "natural_id": ["tab"],
        }
    )
    decode_batches = decoder.payload_decoder(lambda *_: Decoded(runs, []), version=1)
    return pa.Table.from_batches(list(decode_batches(iter([given]))), schema=DECODED).to_pylist()


def test_a_source_may_slice_the_runs_that_it_read():
    runs = read_table(make_table({"Overall": [1, 12, 4], "a": [0, 3, 13]}), served_at=SERVED).runs
    whole = read_with(runs)
    for start in range(3):
        sliced = read_with(runs.slice(start, 1))
        assert [row["test_statuses"] for row in sliced] == [whole[start]["test_statuses"]]
    assert whole[1]["test_statuses"] == ["failed", "passed_with_skips"] and whole[1]["result"] == "failed"


def test_a_code_that_is_none_refuses_the_payload_alone():
    runs = read_table(make_table({"Overall": [1]}), served_at=SERVED).runs
    index = runs.schema.get_field_index("codes")
    odd = runs.set_column(index, runs.schema.field(index), pa.array([[99]], pa.list_(pa.int32())))
    (reject,) = read_with(odd)
    assert reject["reject_reason"].startswith("odd_payload: ") and reject["run_key"] is None
