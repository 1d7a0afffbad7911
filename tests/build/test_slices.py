"""Slices of payloads: workers give back and write what the transforms say, however often it is done."""

import os
from datetime import UTC, date, datetime, timedelta

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from tests.support.builders import make_row
from tests.support.grids import DAY_MS, dump, make_table
from tests.support.lake_session import make_catalog

from cilake.build import slice_work, slices
from cilake.build.decoding import PAYLOAD_COLUMNS, decode_few, raw_tables
from cilake.build.slice_work import DECODED, Wanted, decode_slice, forget_slice, kept_folder, write_slice
from cilake.build.unbuilt import find_unbuilt
from cilake.contracts.core.ci_run_observations import TABLE as OBSERVATIONS
from cilake.contracts.core.ci_runs import TABLE as CI_RUNS
from cilake.contracts.core.test_results import TABLE as TEST_RESULTS
from cilake.contracts.raw.testgrid__tables import TABLE as PAYLOADS
from cilake.lake import data_files
from cilake.lake.data_files import location_of
from cilake.publish.branch import open_branch
from cilake.settings import Settings
from cilake.transforms.core import ci_run_observations, test_results
from cilake.transforms.core.ci_run_observations import KEY
from cilake.transforms.engines import DuckEngine

DAY = date(2021, 6, 25)
WRITTEN = (OBSERVATIONS, TEST_RESULTS)


@pytest.fixture
def catalog(tmp_path, monkeypatch):
    """A lake with three payloads in two files: two with runs in two months, and one that is no table."""
    monkeypatch.setattr(slice_work.tempfile, "gettempdir", lambda: str(tmp_path))
    found = make_catalog(tmp_path)
    for names in (("b", "a"), ("odd",)):
        raw = found.load_table(PAYLOADS.address)
        raw.append(pa.Table.from_pylist(list(map(payload, names)), schema=raw.schema().as_arrow()))
    return found


def payload(name):
    tests = {"Overall": [1, 12, 1, 12], name: [13, 12, 0, 1]}
    table = make_table(tests, job=f"job-{name}", first_build=ord(name[0]))
    table["timestamps"] = [at - 10 * DAY_MS * location for location, at in enumerate(table["timestamps"])]
    body = b"{" if name == "odd" else dump(table)
    served = datetime(2021, 6, 25, tzinfo=UTC) + timedelta(hours=len(name))
    row = make_row(PAYLOADS, natural_id=f"board/{name}", payload=body, partition_date=DAY.isoformat())
    return row | {"served_at": served, "fetched_at": served, "payload_bytes": len(body)}


def unbuilt_of(catalog):
    (raw,) = (raw for raw in raw_tables() if raw.table is PAYLOADS)
    return [(raw, find_unbuilt(catalog, PAYLOADS, CI_RUNS))]


def cut(catalog):
    return slices.cut(None, Settings(), unbuilt_of(catalog)).every


def decode_here(catalog):
    return decode_few([(raw, payloads.read_here(PAYLOAD_COLUMNS)) for raw, payloads in unbuilt_of(catalog)])


def decode(one):
    return pa.concat_tables(decode_slice(one))


def locations_of(catalog):
    return {table.address: location_of(catalog.load_table(table.address), table) for table in WRITTEN}


def want(reported, *, every=1):
    """All runs as observations, and some of them with their results."""
    observed = np.flatnonzero(reported["run_key"].is_valid().to_numpy())
    standing = observed[::every]
    keys = reported["run_key"].take(standing).to_numpy()
    known = reported["known_at"].take(standing).cast(pa.int64()).to_numpy()
    return Wanted(observed, standing, keys, known)


def read(catalog, written):
    """The rows of files once they are appended to the branches of their tables."""
    rows = {}
    for table in WRITTEN:
        branch = open_branch(None, catalog, table, "test")
        branch.append(tuple(written[table.address]))
        branch.seal().publish()
        found = catalog.load_table(table.address).scan().to_arrow()
        rows[table] = found.sort_by([(name, "ascending") for name in table.primary_key]).to_pylist()
    return rows


def right(catalog, *, every=1):
    """The rows by the transforms."""
    engine, decoded = DuckEngine(), decode_here(catalog)
    runs = engine.sql("SELECT * FROM decoded WHERE reject_reason IS NULL", decoded=decoded)
    observed = ci_run_observations.transform(engine, decoded=runs)
    standing = observed.select(KEY).take(np.arange(0, len(observed), every))
    standing = standing.append_column("known_at", standing["seen_at"])
    results = test_results.transform(engine, standing=standing, observations=observed)
    return {
        table: rows.select(table.column_names)
        .sort_by([(name, "ascending") for name in table.primary_key])
        .to_pylist()
        for table, rows in ((OBSERVATIONS, observed), (TEST_RESULTS, results))
    }


def test_a_slice_gives_back_runs_and_rejects_without_results(catalog):
    (one,) = cut(catalog)
    reported, here = decode(one), decode_here(catalog)
    order = [("natural_id", "ascending"), ("run_key", "ascending")]
    assert reported.sort_by(order).to_pylist() == here.select(DECODED).sort_by(order).to_pylist()
    assert [reason for reason in reported["reject_reason"].to_pylist() if reason] and len(reported) == 9


@pytest.mark.parametrize("every", [1, 3])
@pytest.mark.parametrize(("row_count", "part_count"), [(2, 3), (1_000_000, 1)])
def test_wanted_rows_are_written_sorted_by_months_as_the_transforms_make_them(
    catalog, monkeypatch, every, row_count, part_count
):
    monkeypatch.setattr(data_files, "ROWS_PER_GROUP", row_count)
    monkeypatch.setattr(slice_work, "PART_RESULTS", 1 if part_count > 1 else 1000)
    (one,) = cut(catalog)
    reported = list(decode_slice(one))
    assert len(reported) == part_count, "one for each payload that shows runs, and one for the rest"
    written = write_slice(one, want(pa.concat_tables(reported), every=every), locations_of(catalog))
    for table in WRITTEN:
        months = [path.rpartition("/")[2][:7] for path in written[table.address]]
        assert set(months) == {"2021-05", "2021-06"}
        for path in written[table.address]:
            with catalog.load_table(table.address).io.new_input(path).open() as file:
                keys = pq.read_table(file).select(table.sort_by)
            assert keys == keys.sort_by([(name, "ascending") for name in table.sort_by])
    assert read(catalog, written) == right(catalog, every=every)


def test_what_is_written_twice_or_by_a_worker_that_did_not_decode_it_is_the_same(catalog):
    (one,) = cut(catalog)
    wanted = want(decode(one))
    contents = []
    for _ in range(2):
        written = write_slice(one, wanted, locations_of(catalog))
        contents.append({path: read_bytes(catalog, path) for paths in written.values() for path in paths})
        forget_slice(one)
    assert contents[0] == contents[1]
    assert not kept_folder(one.attempt).exists()


def read_bytes(catalog, path):
    with catalog.load_table(OBSERVATIONS.address).io.new_input(path).open() as file:
        return file.read()


def test_what_a_killed_worker_kept_of_a_slice_is_not_taken_for_all(catalog, tmp_path, monkeypatch):
    """It is killed between two parts; the task is tried again on another machine, and written here."""
    monkeypatch.setattr(slice_work, "PART_RESULTS", 1)
    (one,) = cut(catalog)
    next(decode_slice(one))
    (tmp_path / "elsewhere").mkdir()
    with monkeypatch.context() as elsewhere:
        elsewhere.setenv("SPARK_LOCAL_DIRS", str(tmp_path / "elsewhere"))
        reported = decode(one)
    assert read(catalog, write_slice(one, want(reported), locations_of(catalog))) == right(catalog)
    decode(one)
    slice_work._kept_at(one, 1).unlink()
    with pytest.raises(RuntimeError, match="no longer kept as a whole; run again"):
        write_slice(one, want(reported), locations_of(catalog))


def test_rows_that_are_not_those_that_were_decoded_are_not_written(catalog):
    (one,) = cut(catalog)
    wanted = want(decode(one))
    other = Wanted(wanted.observed, wanted.standing, wanted.run_keys + 1, wanted.known_at)
    with pytest.raises(RuntimeError, match="was decoded otherwise before"):
        write_slice(one, other, locations_of(catalog))


def test_more_runs_than_can_be_held_are_for_spark(catalog, monkeypatch):
    monkeypatch.setattr(slice_work, "MAX_RUNS", 5)
    (one,) = cut(catalog)
    with pytest.raises(MemoryError, match="more than 5 runs"):
        decode(one)


def test_payloads_are_cut_between_row_groups_and_each_is_in_one_slice(catalog, monkeypatch):
    assert len(cut(catalog)) == 1
    monkeypatch.setattr(slices, "SLICE_BYTES", 1)
    many = cut(catalog)
    assert [one.number for one in many] == [0, 1], "files of one row group"
    shown = pa.concat_tables([decode(one) for one in many])
    assert sorted(set(shown["natural_id"].to_pylist())) == ["board/a", "board/b", "board/odd"]
    assert len({one.attempt for one in [*many, *cut(catalog)]}) == 2, "each try has its own names"


def test_what_killed_work_kept_hours_ago_is_removed_where_spark_has_its_disk(catalog, tmp_path, monkeypatch):
    disk = tmp_path / "disk"
    disk.mkdir()
    monkeypatch.setenv("SPARK_LOCAL_DIRS", f"{disk},/elsewhere")
    folders = {name: disk / f"cilake-slices-{name}" for name in ("old", "new")}
    for folder in folders.values():
        folder.mkdir()
        (folder / "0.arrow").write_bytes(b"x")
    os.utime(folders["old"], (0, 0))
    decode(cut(catalog)[0])
    assert (folders["old"].exists(), folders["new"].exists()) == (False, True)


def test_only_tables_that_are_kept_by_months_have_a_place(catalog):
    with pytest.raises(ValueError, match=r"raw\.testgrid__tables is not kept by months"):
        location_of(catalog.load_table(PAYLOADS.address), PAYLOADS)
