"""Stored payloads inside Spark's workers: runs and rejects as rows, whatever the payload."""

from datetime import UTC, date, datetime

import pyarrow as pa
import pytest
from tests.support.grids import dump, make_table

from cilake.sources.decoder import DECODED
from cilake.sources.testgrid.decode import payload_decoder
from cilake.sources.testgrid.parse import DECODER_VERSION

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
    assert reject["build_id"] is None


@pytest.mark.parametrize("payload", [b"", b"\xff", b"[]", b"{}", b'{"changelists": 1}', b"[" * 5000])
def test_a_payload_that_is_no_table_stops_no_other(payload):
    reject, run = decode(payload, dump(make_table({"Overall": [1]})))
    assert reject["reject_reason"] and reject["build_id"] is None and reject["origin"] == "origin-0"
    assert run["origin"] == "origin-1" and run["reject_reason"] is None
