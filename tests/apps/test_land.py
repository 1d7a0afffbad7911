"""A landing that fails is one line with place, setting and way out; its exit code says whether to retry."""

import random
import socket
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread

import orjson
import pytest
from tests.grids import DAY_MS, FIRST_MS, dump, make_table
from tests.lake_session import make_catalog

from cilake import cli
from cilake.apps import land, leave_out, updates
from cilake.lake import records

DATE = "Mon, 21 Jun 2021 13:00:00 GMT"
LISTING = "/api/v1/dashboards"


@pytest.fixture(scope="module")
def catalog(tmp_path_factory):
    return make_catalog(tmp_path_factory.mktemp("lake"))


@pytest.fixture
def run(catalog, monkeypatch, capsys):
    """The exit code and the last line of a landing from the address given."""
    for module in (land, leave_out, updates):
        monkeypatch.setattr(module, "open_catalog", lambda settings: catalog)
    monkeypatch.setattr(land, "SOURCE", land.SOURCE.__class__(**fields(land.SOURCE) | {"attempts": 2}))

    def landed(url, dashboards="*", start="2021-06-21"):
        monkeypatch.setenv("CILAKE_TESTGRID_URL", url)
        monkeypatch.setenv("CILAKE_TESTGRID_DASHBOARDS", dashboards)
        code = cli.main(["land", "testgrid", "--start", start])
        return code, capsys.readouterr().err.splitlines()[-1]

    return landed


def fields(source):
    return {name: getattr(source, name) for name in source.__slots__}


@pytest.fixture
def service():
    """The address of a service and its replies by path: status, body."""
    replies = {}

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self):
            path, _, query = self.path.partition("?")
            tab = query.rpartition("tab=")[2]
            status, body = replies.get(f"{path}#{tab}") or replies.get(path, (404, b""))
            self.send_response_only(status)
            date = replies.get(f"Date{path}#{tab}") or replies.get("Date", DATE)
            self.send_header("Date", date)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *args):
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    Thread(target=server.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{server.server_port}", replies
    server.shutdown()
    server.server_close()


@pytest.fixture
def closed():
    """The address of a port that nobody listens on: bound, so that nobody else takes it meanwhile."""
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        yield f"http://127.0.0.1:{taken.getsockname()[1]}"


@pytest.mark.parametrize("dashboards", ["*", "a", "a,b"])
def test_a_source_that_is_down(run, closed, dashboards):
    assert run(closed, dashboards) == (
        1,
        f"cilake: TestGrid at {closed} (CILAKE_TESTGRID_URL) does not answer: connection refused; "
        "check the address, or run again when it is back",
    )


def test_a_source_that_is_down_is_said_to_be_down_also_after_better_days(run, service, closed, catalog):
    url, replies = service
    serve(replies, "later-down", ["a", "b", "c"])
    assert run(url, "later-down")[0] == 0
    code, line = run(closed, "later-down", start="2021-06-22")
    assert (code, "does not answer: connection refused; check the address" in line) == (1, True), line
    receipt = receipt_of(catalog, "later-down", "2021-06-22")
    assert (receipt["expected"], receipt["missing"], receipt["unlisted"]) == (4, 4, 0)


def test_tabs_of_a_summary_that_cannot_be_read_are_missing(run, service, catalog):
    url, replies = service
    serve(replies, "unread", ["a"])
    assert run(url, "unread")[0] == 0
    replies["/unread/summary"] = (200, b"[")
    replies["Date"] = NEXT_DATE
    run(url, "unread", start="2021-06-22")
    receipt = receipt_of(catalog, "unread", "2021-06-22")
    assert (receipt["expected"], receipt["missing"], receipt["rejected"]) == (2, 1, 1)


def test_a_source_that_is_down_is_no_matter_of_the_day(run, closed):
    """Without an answer there is no clock of the source to compare a later day with."""
    assert run(closed, "a", start="2199-01-01")[0] == 1


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
def test_a_service_that_is_no_testgrid(run, service, reply, message):
    url, replies = service
    replies[LISTING] = reply
    code, line = run(url)
    assert (code, line.startswith(f"cilake: TestGrid at {url} (CILAKE_TESTGRID_URL) {message}")) == (
        1,
        True,
    ), line


def test_what_was_not_obtained_is_counted_with_its_reason(run, service):
    url, replies = service
    replies["/a/summary"] = (200, orjson.dumps({"tab": {}}))
    replies["/a/table"] = (503, b"")
    assert run(url, "a") == (
        1,
        f"cilake: 1 of 2 payloads are missing, more than 10%: TestGrid at {url} (CILAKE_TESTGRID_URL) "
        "answers HTTP 503; see ops.receipts",
    )


def test_one_tab_that_is_down_does_not_stop_the_night(run, service, catalog):
    url, replies = service
    tabs = [f"tab{number}" for number in range(20)]
    replies["/many/summary"] = (200, orjson.dumps({tab: {} for tab in tabs}))
    for tab in tabs:
        replies[f"/many/table#{tab}"] = (200, dump(make_table({"Overall": [1]}, job=tab)))
    replies["/many/table#tab7"] = (500, b"")
    code, line = run(url, "many")
    assert code == 0
    assert "the landing is incomplete: 1 of 21 payloads are missing; see ops.receipts" in line
    (fetch,) = rows(catalog, "ops.fetches", "fetch_status == 'missing' and scope == 'many'")
    assert fetch["note"] == "answers HTTP 500"


def serve(replies, board, tabs, date=DATE):
    """Let the dashboard list these tabs, each with a table."""
    replies["Date"] = date
    replies[f"/{board}/summary"] = (200, orjson.dumps({tab: {} for tab in tabs}))
    for tab in tabs:
        table = make_table({"Overall": [1]}, job=tab, timestamps=[FIRST_MS - DAY_MS])
        replies[f"/{board}/table#{tab}"] = (200, dump(table))


def receipt_of(catalog, scope, day):
    (row,) = rows(catalog, "ops.latest_receipts", f"scope == '{scope}' and partition_date == '{day}'")
    return {name.removesuffix("_count"): count for name, count in row.items() if name.endswith("_count")}


NEXT_DATE = "Tue, 22 Jun 2021 13:00:00 GMT"


def test_tabs_that_left_the_listing_are_expected_for_a_week(run, service, catalog):
    url, replies = service
    serve(replies, "shrunk", ["a", "b", "c"])
    assert run(url, "shrunk")[0] == 0
    serve(replies, "shrunk", ["a", "c"], NEXT_DATE)
    for attempt in ("first", "repeated"):
        code, line = run(url, "shrunk", start="2021-06-22")
        assert code == 0, attempt
        assert "the landing is incomplete: 1 of 4 payloads are unlisted; see ops.fetches" in line
        receipt = receipt_of(catalog, "shrunk", "2021-06-22")
        assert (receipt["expected"], receipt["unlisted"], receipt["missing"]) == (4, 1, 0), attempt
    (fetch, *_) = rows(catalog, "ops.fetches", "fetch_status == 'unlisted' and scope == 'shrunk'")
    assert (fetch["natural_id"], fetch["note"]) == ("shrunk/b", "no longer in the summary of its dashboard")
    replies["Date"] = "Tue, 29 Jun 2021 13:00:00 GMT"
    assert run(url, "shrunk", start="2021-06-29")[0] == 0
    assert receipt_of(catalog, "shrunk", "2021-06-29")["expected"] == 3


def test_an_empty_listing_is_no_complete_night(run, service, catalog):
    url, replies = service
    serve(replies, "emptied", ["a", "b", "c"])
    assert run(url, "emptied")[0] == 0
    serve(replies, "emptied", [], NEXT_DATE)
    for _ in range(2):  # a retry must not take the empty listing for what is to be expected
        code, line = run(url, "emptied", start="2021-06-22")
        assert (code, line.partition(":")[2][:58]) == (
            1,
            " 3 of 4 payloads of the week before are no longer listed: ",
        )
    serve(replies, "emptied", [], "Wed, 23 Jun 2021 13:00:00 GMT")
    code, line = run(url, "emptied", start="2021-06-23")
    assert code == 0, "it stops the first day alone"
    assert line.endswith("the landing is incomplete: 3 of 4 payloads are unlisted; see ops.fetches")


def test_a_dashboard_that_a_wildcard_no_longer_finds_is_stated(run, service, catalog):
    url, replies = service
    for board in ("team-a", "team-b", "team-c"):
        serve(replies, board, ["e2e"])
    replies[LISTING] = (200, orjson.dumps({"dashboards": [{"name": f"team-{x}"} for x in "abc"]}))
    assert run(url, "team-*")[0] == 0
    replies[LISTING] = (200, orjson.dumps({"dashboards": [{"name": f"team-{x}"} for x in "ac"]}))
    replies["Date"] = NEXT_DATE
    code, line = run(url, "team-*", start="2021-06-22")
    assert code == 0
    assert line.endswith("the landing is incomplete: 2 of 6 payloads are unlisted; see ops.fetches")
    assert receipt_of(catalog, "team-b", "2021-06-22")["unlisted"] == 2


def test_a_listing_that_shrinks_within_the_day_is_no_complete_day(run, service, catalog):
    url, replies = service
    serve(replies, "sameday", ["a", "b", "c"])
    assert run(url, "sameday")[0] == 0
    serve(replies, "sameday", ["a", "b"])
    assert run(url, "sameday")[0] == 0
    assert receipt_of(catalog, "sameday", "2021-06-21")["unlisted"] == 1
    serve(replies, "sameday", [])
    assert run(url, "sameday")[0] == 1


def test_what_is_stale_has_a_gap_or_comes_late_is_counted_and_marked(run, service, catalog):
    url, replies = service
    serve(replies, "flawed", ["a", "b"])
    assert run(url, "flawed")[0] == 0
    receipt = receipt_of(catalog, "flawed", "2021-06-21")
    assert (receipt["stale"], receipt["gap"]) == (0, 0)
    newest = make_table({"Overall": [1]}, job="b", timestamps=[FIRST_MS + 20 * DAY_MS], first_build=2000)
    replies["/flawed/table#b"] = (200, dump(newest))
    replies["/flawed/summary"] = (200, orjson.dumps({"a": {"overall_status": "STALE"}, "b": {}}))
    replies["Date"] = "Tue, 13 Jul 2021 13:00:00 GMT"
    code, line = run(url, "flawed", start="2021-06-22")
    assert (code, "1 of 3 payloads have a gap before them" in line) == (0, True), line
    receipt = receipt_of(catalog, "flawed", "2021-06-22")
    assert (receipt["stale"], receipt["gap"]) == (1, 1)
    fetches = rows(catalog, "ops.fetches", "scope == 'flawed' and partition_date == '2021-06-22'")
    assert all(fetch["is_backfilled"] for fetch in fetches), "three weeks after the day"
    assert not any(
        fetch["is_backfilled"]
        for fetch in rows(catalog, "ops.fetches", "scope == 'flawed' and partition_date == '2021-06-21'")
    )


def test_not_modified_is_no_answer_to_a_request_without_a_tag(run, service, catalog):
    url, replies = service
    replies["/never/summary"] = (304, b"")
    code, line = run(url, "never")
    assert code == 1
    assert "answers HTTP 304" in line
    replies["/tabs/summary"] = (200, orjson.dumps({"a": {}}))
    replies["/tabs/table"] = (304, b"")
    assert run(url, "tabs")[0] == 1
    assert receipt_of(catalog, "tabs", "2021-06-21")["missing"] == 1


@pytest.mark.timeout(60)
def test_a_landing_that_fails_ends_although_replies_wait_for_room(run, service, monkeypatch):
    url, replies = service
    serve(replies, "full", [f"tab{number}" for number in range(20)])
    monkeypatch.setattr(land, "AHEAD_BYTES", 1)
    monkeypatch.setattr(land, "BATCH_BYTES", 1)

    def fail(batch):
        raise land.LandingError("nothing can be stored")

    monkeypatch.setattr(land._Batch, "store", fail)
    assert run(url, "full") == (1, "cilake: nothing can be stored")


def test_two_landings_at_once_store_a_payload_once(run, service, catalog, monkeypatch):
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
    assert run(url, "twice")[0] == 0
    assert len(others) == 2
    for name, count in (("summaries", 1), ("tables", 2)):
        assert len(rows(catalog, f"raw.testgrid__{name}", "natural_id like 'twice%'")) == count


@pytest.mark.parametrize("start", ["9999-12-31", "0001-01-01", "2021-W25-1", "20210621", "2021-6-1"])
def test_days_that_no_ci_has_seen_need_no_second_try(run, service, start):
    code, line = run(service[0], "a", start=start)
    assert (code, line.startswith(f"cilake: '{start}' is")) == (2, True)


def test_a_tab_that_is_left_out_is_neither_asked_for_nor_expected(run, service, catalog, capsys):
    url, replies = service
    serve(replies, "cut", ["good", "broken"])
    replies["/cut/table#broken"] = (500, b"")
    assert run(url, "cut")[0] == 1
    words = ["leave-out", "cut/broken", "--reason", "always 500", "--start", "2021-06-21"]
    assert cli.main([*words, "--end", "2021-06-22"]) == 0
    assert run(url, "cut")[0] == 0
    assert receipt_of(catalog, "cut", "2021-06-21")["expected"] == 2
    replies["Date"] = NEXT_DATE
    assert run(url, "cut", start="2021-06-22")[0] == 1, "the days are over"
    assert cli.main(words) == 0, "the newest decision holds"
    assert run(url, "cut", start="2021-06-22")[0] == 0
    assert "no landing has asked for" not in capsys.readouterr().err
    assert cli.main(["leave-out", "cut/brokn", "--reason", "a typing error"]) == 0
    assert "no landing has asked for cut/brokn so far" in capsys.readouterr().err
    for wrong in (["leave-out", "cut", "--reason", "x"], ["leave-out", "cut/a", "--reason", " "]):
        assert cli.main(wrong) == 2


def rows(catalog, address, condition):
    return catalog.load_table(address).scan(row_filter=condition).to_arrow().to_pylist()


CONTENTS = {"A": make_table({"Overall": [1]}), "B": make_table({"Overall": [12]})}


@pytest.mark.parametrize("seed", range(6))
def test_whatever_the_order_of_landings_the_changes_of_a_tab_are_stored(run, service, catalog, seed):
    """Contents A, B, A, A, B as served, landed in any order and again: no change is lost."""
    url, replies = service
    board = f"order{seed}"
    served = list(zip(range(1, 6), "ABAAB", strict=True))
    replies[f"/{board}/summary"] = (200, orjson.dumps({"tab": {}}))
    shuffled = random.Random(seed).sample(served, len(served))
    for hour, content in [*shuffled, shuffled[0]]:
        replies["Date"] = f"Mon, 21 Jun 2021 {12 + hour}:00:00 GMT"
        replies[f"/{board}/table"] = (200, dump(CONTENTS[content]))
        assert run(url, board)[0] == 0
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
def test_an_address_that_is_none_needs_no_second_try(run, url, message):
    code, line = run(url)
    assert code == 2
    assert message in line


def test_a_dashboard_that_is_unknown_needs_no_second_try_and_is_not_expected(run, service, catalog):
    url, replies = service
    replies[LISTING] = (200, orjson.dumps({"dashboards": [{"name": "a"}]}))
    assert run(url, "z*") == (
        2,
        f"cilake: no dashboard matches 'z*' (CILAKE_TESTGRID_DASHBOARDS): TestGrid at {url} "
        "(CILAKE_TESTGRID_URL) lists 1 dashboards; correct the pattern",
    )
    assert run(url, "nosuch") == (
        2,
        f"cilake: TestGrid at {url} (CILAKE_TESTGRID_URL) has no dashboard nosuch: correct "
        "CILAKE_TESTGRID_DASHBOARDS",
    )
    assert rows(catalog, "ops.receipts", "scope == 'nosuch'") == []
    (fetch,) = rows(catalog, "ops.fetches", "scope == 'nosuch'")
    assert (fetch["fetch_status"], fetch["http_status"]) == ("missing", 404)


def test_a_dashboard_that_is_listed_and_not_served_may_come_yet(run, service, catalog):
    url, replies = service
    replies[LISTING] = (200, orjson.dumps({"dashboards": [{"name": "a"}]}))
    assert run(url, "a*") == (1, "cilake: 1 of 1 payloads are missing, more than 10%; see ops.receipts")
    assert receipt_of(catalog, "a", "2021-06-21")["missing"] == 1, "the source promised it"


def test_no_dashboard_and_no_day_need_no_second_try(run, service):
    code, line = run(service[0], " , ")
    assert (code, line.partition(":")[0]) == (2, "cilake")
    assert "CILAKE_TESTGRID_DASHBOARDS names no dashboard: set it to names" in line
    assert run(service[0], start="yesterday") == (2, "cilake: 'yesterday' is not a day; expected YYYY-MM-DD")


def test_a_day_that_has_not_begun_needs_no_second_try(run, service, catalog):
    url, replies = service
    replies["/early/summary"] = (200, orjson.dumps({"tab": {}}))
    replies["/early/table"] = (200, dump(make_table({"Overall": [1]})))
    code, line = run(url, "early", start="2021-06-22")
    assert code == 2
    assert line.startswith("cilake: 2021-06-22 has not begun: the source's clock says 2021-06-21 13:00 UTC")
    assert (
        rows(catalog, "raw.testgrid__tables", "partition_date == '2021-06-22' and natural_id == 'early/tab'")
        == []
    )


def test_a_reply_of_before_the_day_among_others_is_missing_and_stops_nothing(run, service, catalog):
    url, replies = service
    serve(replies, "clocks", [f"tab{number}" for number in range(12)])
    replies["Date/clocks/table#tab3"] = "Thu, 01 Jan 1970 00:00:00 GMT"
    code, line = run(url, "clocks")
    assert code == 0, line
    receipt = receipt_of(catalog, "clocks", "2021-06-21")
    assert (receipt["landed"], receipt["missing"]) == (12, 1)
    (fetch, *_) = rows(catalog, "ops.fetches", "fetch_status == 'missing' and scope == 'clocks'")
    assert fetch["note"] == "answers with a reply of 1970-01-01 00:00 UTC, before the day began"


def test_a_name_that_is_no_dashboard_does_not_stop_the_others(run, service, catalog):
    url, replies = service
    serve(replies, "other", ["a"])
    code, line = run(url, "other,nowhere")
    assert code == 0, line
    assert receipt_of(catalog, "other", "2021-06-21")["landed"] == 2


def test_a_fault_of_the_program_keeps_its_traceback(run, closed, monkeypatch):
    monkeypatch.setattr(land, "find_dashboards", lambda client, patterns: [][0])
    with pytest.raises(IndexError):
        run(closed)
