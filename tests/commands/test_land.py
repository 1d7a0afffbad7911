"""A landing that fails is one line with address, setting and way out; its exit code says whether to retry."""

import os
import random
import signal
import time
from email.utils import parsedate_to_datetime
from functools import partial
from threading import Timer

import orjson
import pytest
from tests.support.grids import dump, make_table
from tests.support.landing_service import DATE, receipt_of, rows, serve

from cilake import cli
from cilake.commands import land
from cilake.lake import records
from cilake.landing import readers
from cilake.sources.testgrid import collect

LISTING = "/api/v1/dashboards"


@pytest.mark.parametrize("dashboards", ["*", "a", "a,b"])
def test_a_source_that_is_down(run_landing, closed, dashboards):
    assert run_landing(closed, dashboards) == (
        1,
        f"cilake: TestGrid at {closed} (CILAKE_TESTGRID_URL) does not respond: connection refused; "
        "check the address, or run again when it is back",
    )


def test_a_source_that_is_down_is_said_to_be_also_after_better_days(run_landing, service, closed, catalog):
    url, replies = service
    serve(replies, "later-down", ["a", "b", "c"])
    assert run_landing(url, "later-down")[0] == 0
    code, line = run_landing(closed, "later-down", start="2021-06-22")
    assert (code, "does not respond: connection refused; check the address" in line) == (1, True), line
    receipt = receipt_of(catalog, "later-down", "2021-06-22")
    assert (receipt["expected"], receipt["missing"], receipt["unlisted"]) == (4, 4, 0)


def test_a_source_that_is_down_is_no_matter_of_the_day(run_landing, closed):
    """Without a reply there is no clock of the source to compare a later day with."""
    assert run_landing(closed, "a", start="2199-01-01")[0] == 1


@pytest.mark.parametrize(
    ("reply", "message"),
    [
        ((503, b""), "answers HTTP 503; check the address, or run again when it is back"),
        ((403, b""), "answers HTTP 403 to /api/v1/dashboards: check the address"),
        ((404, b""), "answers HTTP 404 to /api/v1/dashboards: check the address"),
        ((200, b"<html>"), "answers /api/v1/dashboards with no list of dashboards"),
        ((200, b'{"dashboards": [7]}'), "answers /api/v1/dashboards with no list of dashboards"),
    ],
)
def test_a_service_that_is_no_testgrid(run_landing, service, reply, message):
    url, replies = service
    replies[LISTING] = reply
    code, line = run_landing(url)
    assert (code, line.startswith(f"cilake: TestGrid at {url} (CILAKE_TESTGRID_URL) {message}")) == (
        1,
        True,
    ), line


def test_what_was_not_obtained_is_counted_with_its_reason(run_landing, service):
    url, replies = service
    replies["/a/summary"] = (200, orjson.dumps({"tab": {}, "other": {}}))
    replies["/a/table"] = (503, b"")
    assert run_landing(url, "a") == (
        1,
        f"cilake: 2 of 3 payloads are missing, more than 10%: TestGrid at {url} (CILAKE_TESTGRID_URL) "
        "answers HTTP 503; see ops.receipts",
    )


def test_a_single_payload_that_is_missing_stops_no_night_however_few_there_are(run_landing, service):
    url, replies = service
    replies["/few/summary"] = (200, orjson.dumps({"tab": {}}))
    replies["/few/table"] = (503, b"")
    code, line = run_landing(url, "few")
    assert (code, line.partition("] ")[2]) == (
        0,
        "warning: the landing is incomplete: 1 of 2 payloads are missing; see ops.receipts",
    )


def test_what_was_not_obtained_keeps_the_status_and_the_time_of_the_source(run_landing, service, catalog):
    """The source's clock is years behind ours, as that of a simulator may be: this is no backfill."""
    url, replies = service
    serve(replies, "lossy", ["kept", "failing", "cut"])
    replies["/lossy/table#failing"] = (500, b"")
    replies["/lossy/table#cut"] = None
    run_landing(url, "lossy")
    found = {
        row["natural_id"]: (row["http_status"], row["served_at"], row["is_backfilled"])
        for row in rows(catalog, "ops.fetches", "fetch_status == 'missing' and natural_id like 'lossy%'")
    }
    served_at = parsedate_to_datetime(DATE)
    assert found == {"lossy/failing": (500, served_at, False), "lossy/cut": (None, served_at, False)}


@pytest.mark.timeout(60)
def test_a_landing_that_fails_ends_although_replies_wait_for_room(run_landing, service, monkeypatch):
    url, replies = service
    serve(replies, "full", [f"tab{number}" for number in range(20)])
    monkeypatch.setattr(land, "PREFETCH_BYTES", 1)
    monkeypatch.setattr(land, "BATCH_BYTES", 1)

    def fail(batch):
        raise land.LandingError("nothing can be stored")

    monkeypatch.setattr(land._Batch, "store", fail)
    assert run_landing(url, "full") == (1, "cilake: nothing can be stored")


def test_two_landings_at_once_store_a_payload_once(run_landing, service, catalog, monkeypatch):
    """The other landing commits after this one has looked what is there, and again while it appends."""
    url, replies = service
    serve(replies, "twice", ["a", "b"])
    append, others = records._append, []

    def after_another_landing(table, declared, rows):
        if table.name()[0] == "raw" and table.name() not in others:
            others.append(table.name())
            monkeypatch.setattr(records, "_append", append)
            assert cli.main(["land", "testgrid", "--start", "2021-06-21"]) == 0
            monkeypatch.setattr(records, "_append", after_another_landing)
        return append(table, declared, rows)

    monkeypatch.setattr(records, "_append", after_another_landing)
    assert run_landing(url, "twice")[0] == 0
    assert len(others) == 2
    for name, count in (("summaries", 1), ("tables", 2)):
        assert len(rows(catalog, f"raw.testgrid__{name}", "natural_id like 'twice%'")) == count


@pytest.mark.parametrize("start", ["9999-12-31", "0001-01-01", "2021-W25-1", "20210621", "2021-6-1"])
def test_days_that_no_ci_has_seen_need_no_second_try(run_landing, service, start):
    code, line = run_landing(service[0], "a", start=start)
    assert (code, line.startswith(f"cilake: '{start}' is")) == (2, True)


CONTENTS = {"A": make_table({"Overall": [1]}), "B": make_table({"Overall": [12]})}


@pytest.mark.parametrize("seed", range(6))
def test_whatever_the_order_of_landings_the_changes_of_a_tab_are_stored(run_landing, service, catalog, seed):
    """Contents A, B, A, A, B as served, landed in any order and again: no change is lost."""
    url, replies = service
    board = f"order{seed}"
    served = list(zip(range(1, 6), "ABAAB", strict=True))
    replies[f"/{board}/summary"] = (200, orjson.dumps({"tab": {}}))
    shuffled = random.Random(seed).sample(served, len(served))
    for hour, content in [*shuffled, shuffled[0]]:
        replies["Date"] = f"Mon, 21 Jun 2021 {12 + hour}:00:00 GMT"
        replies[f"/{board}/table"] = (200, dump(CONTENTS[content]))
        assert run_landing(url, board)[0] == 0
    stored = rows(catalog, "raw.testgrid__tables", f"natural_id == '{board}/tab'")
    in_order = sorted((row["served_at"].hour - 12, row["payload"]) for row in stored)
    assert len(in_order) == len({hour for hour, _ in in_order}), "nothing is stored twice"
    changes = [(hour, body) for hour, body in in_order]
    kept = [one for n, one in enumerate(changes) if n == 0 or changes[n - 1][1] != one[1]]
    names = {dump(table): name for name, table in CONTENTS.items()}
    assert [(hour, names[body]) for hour, body in kept] == [(1, "A"), (2, "B"), (3, "A"), (5, "B")]


@pytest.mark.parametrize(
    ("url", "message"),
    [
        ("testgrid.example", "CILAKE_TESTGRID_URL='testgrid.example' is no address of a service"),
        ("ftp://testgrid.example", "expected http://HOST:PORT or https://HOST"),
        ("http://test grid", "is no address of a service"),
        ("http://", "is no address of a service"),
        ("http://localhost:99999", "is no address of a service"),
        ("http://[::1", "is no address of a service"),
    ],
)
def test_an_address_that_is_none_needs_no_second_try(run_landing, url, message):
    code, line = run_landing(url)
    assert code == 2
    assert message in line


def test_a_dashboard_that_is_unknown_needs_no_second_try_and_is_not_expected(run_landing, service, catalog):
    url, replies = service
    replies[LISTING] = (200, orjson.dumps({"dashboards": [{"name": "a"}]}))
    assert run_landing(url, "z*") == (
        2,
        f"cilake: no dashboard matches 'z*' (CILAKE_TESTGRID_DASHBOARDS): TestGrid at {url} "
        "(CILAKE_TESTGRID_URL) lists 1 dashboards; correct the pattern",
    )
    assert run_landing(url, "nosuch") == (
        2,
        f"cilake: TestGrid at {url} (CILAKE_TESTGRID_URL) has no dashboard nosuch: correct "
        "CILAKE_TESTGRID_DASHBOARDS",
    )
    assert rows(catalog, "ops.receipts", "scope == 'nosuch'") == []
    (fetch,) = rows(catalog, "ops.fetches", "scope == 'nosuch'")
    assert (fetch["fetch_status"], fetch["http_status"]) == ("missing", 404)


def test_a_dashboard_that_is_listed_and_not_served_may_come_yet(run_landing, service, catalog):
    url, replies = service
    replies[LISTING] = (200, orjson.dumps({"dashboards": [{"name": "a"}]}))
    assert run_landing(url, "a*") == (
        1,
        "cilake: 1 of 1 payloads are missing, more than 10%; see ops.receipts",
    )
    assert receipt_of(catalog, "a", "2021-06-21")["missing"] == 1, "the source promised it"


def test_no_dashboard_and_no_day_need_no_second_try(run_landing, service):
    code, line = run_landing(service[0], " , ")
    assert (code, line.partition(":")[0]) == (2, "cilake")
    assert "CILAKE_TESTGRID_DASHBOARDS names no dashboard: set it to names" in line
    assert run_landing(service[0], start="yesterday") == (
        2,
        "cilake: 'yesterday' is not a day; expected YYYY-MM-DD",
    )


def test_a_day_that_has_not_begun_needs_no_second_try(run_landing, service, catalog):
    url, replies = service
    replies["/early/summary"] = (200, orjson.dumps({"tab": {}}))
    replies["/early/table"] = (200, dump(make_table({"Overall": [1]})))
    code, line = run_landing(url, "early", start="2021-06-22")
    assert code == 2
    assert line.startswith("cilake: 2021-06-22 has not begun: the source's clock says 2021-06-21 13:00 UTC")
    assert (
        rows(catalog, "raw.testgrid__tables", "partition_date == '2021-06-22' and natural_id == 'early/tab'")
        == []
    )


def test_a_day_that_is_not_over_is_landed_and_said_to_be(run_landing, service):
    url, replies = service
    replies["/half/summary"] = (200, orjson.dumps({"tab": {}}))
    replies["/half/table"] = (200, dump(make_table({"Overall": [1]})))
    code, line = run_landing(url, "half")
    assert code == 0
    assert line.endswith(
        "warning: 2021-06-21 is not over: the source's clock says 2021-06-21 13:00 UTC; "
        "what it shows later comes with another landing"
    )


def test_a_fault_of_the_program_keeps_its_traceback(run_landing, closed, monkeypatch):
    monkeypatch.setattr(collect, "find_dashboards", lambda client, patterns: [][0])
    with pytest.raises(IndexError):
        run_landing(closed)


@pytest.fixture
def stuck(monkeypatch):
    """Replies that processes do not come to an end with."""
    read = readers.Readers.read
    sleep = partial(time.sleep, 600)
    monkeypatch.setattr(readers.Readers, "read", lambda self, work, size: read(self, sleep, 10_000_000))


def test_a_reply_that_cannot_be_read_in_time_is_rejected(run_landing, service, catalog, stuck, monkeypatch):
    monkeypatch.setattr(readers, "READ_SECONDS", 0.5)
    url, replies = service
    serve(replies, "slow-to-read", ["a"])
    assert run_landing(url, "slow-to-read")[0] == 0
    (row,) = rows(catalog, "ops.fetches", "natural_id == 'slow-to-read/a'")
    assert (row["fetch_status"], row["note"]) == (
        "rejected",
        "odd_payload: SlowReadError: not read within 0 s",
    )


@pytest.mark.timeout(60)
def test_a_landing_ends_at_sigterm_whatever_is_read(run_landing, service, stuck):
    url, replies = service
    serve(replies, "stuck", [f"tab{number}" for number in range(12)])
    before = signal.getsignal(signal.SIGTERM)
    timer = Timer(2, lambda: os.kill(os.getpid(), signal.SIGTERM))
    try:
        timer.start()
        began = time.monotonic()
        with pytest.raises(SystemExit):
            run_landing(url, "stuck")
        assert time.monotonic() - began < 20
    finally:
        timer.cancel()
        signal.signal(signal.SIGTERM, before)


def test_of_many_replies_of_before_the_day_a_few_are_named(run_landing, service, caplog):
    url, replies = service
    serve(replies, "future", [f"tab{number}" for number in range(12)])
    code, line = run_landing(url, "future", start="2021-06-25")
    assert (code, "2021-06-25 has not begun" in line) == (2, True)
    assert [one.getMessage().partition(" ")[0] for one in caplog.records if "before" in one.getMessage()] == [
        "future:",
        "future/tab0:",
        "future/tab1:",
        "replies",
    ]
    caplog.clear()
    for number in range(5):  # a cache replies for some
        replies[f"Date/future/table#tab{number}"] = "Sun, 20 Jun 2021 23:59:59 GMT"
    assert run_landing(url, "future")[0] == 1
    early = [one.getMessage() for one in caplog.records if "before the day began" in one.getMessage()]
    assert (len(early), early[-1]) == (4, "replies of before the day began: 2 more")
