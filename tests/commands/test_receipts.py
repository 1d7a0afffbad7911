"""Receipts say what of a day was not obtained, and why; the rest of it is landed."""

import orjson
from tests.support.grids import DAY_MS, FIRST_MS, dump, make_table
from tests.support.landing_service import DATE, NEXT_DATE, receipt_of, rows, serve

from cilake import cli
from cilake.landing.incomplete import log_if_incomplete
from cilake.windows import parse_window

LISTING = "/api/v1/dashboards"
PATCHY_DATE = "Mon, 05 Jul 2021 13:00:00 GMT"


def test_tabs_of_a_summary_that_cannot_be_read_are_missing(run_landing, service, catalog):
    url, replies = service
    serve(replies, "unread", ["a"])
    assert run_landing(url, "unread")[0] == 0
    replies["/unread/summary"] = (200, b"[")
    replies["Date"] = NEXT_DATE
    run_landing(url, "unread", start="2021-06-22")
    receipt = receipt_of(catalog, "unread", "2021-06-22")
    assert (receipt["expected"], receipt["missing"], receipt["rejected"]) == (2, 1, 1)


def test_one_tab_that_is_down_does_not_stop_the_night(run_landing, service, catalog):
    url, replies = service
    tabs = [f"tab{number}" for number in range(20)]
    replies["/many/summary"] = (200, orjson.dumps({tab: {} for tab in tabs}))
    for tab in tabs:
        replies[f"/many/table#{tab}"] = (200, dump(make_table({"Overall": [1]}, job=tab)))
    replies["/many/table#tab7"] = (500, b"")
    code, line = run_landing(url, "many")
    assert code == 0
    assert "the landing is incomplete: 1 of 21 payloads are missing; see ops.receipts" in line
    (fetch,) = rows(catalog, "ops.fetches", "fetch_status == 'missing' and scope == 'many'")
    assert fetch["note"] == "answers HTTP 500"


def test_what_follows_an_incomplete_landing_says_so_until_it_is_whole(run_landing, service, catalog, capsys):
    url, replies = service
    serve(replies, "patchy", ["a", "b", "c"], PATCHY_DATE)
    whole = replies["/patchy/table#b"]
    output = []
    for reply in ((500, b""), (200, b"["), whole):
        replies["/patchy/table#b"] = reply
        run_landing(url, "patchy", start="2021-07-05")
        capsys.readouterr()
        log_if_incomplete(catalog, parse_window("2021-07-04", "2021-07-07"))
        output.append(capsys.readouterr().err.partition("] ")[2])
    day = "warning: 2021-07-05 is incomplete: of 4 payloads"
    assert output == [f"{day} 1 missing; see ops.fetches\n", f"{day} 1 rejected; see ops.fetches\n", ""]


def test_tabs_that_left_the_listing_are_expected_for_a_week(run_landing, service, catalog):
    url, replies = service
    serve(replies, "shrunk", ["a", "b", "c"])
    assert run_landing(url, "shrunk")[0] == 0
    serve(replies, "shrunk", ["a", "c"], NEXT_DATE)
    for attempt in ("first", "repeated"):
        code, line = run_landing(url, "shrunk", start="2021-06-22")
        assert code == 0, attempt
        assert "the landing is incomplete: 1 of 4 payloads are unlisted; see ops.fetches" in line
        receipt = receipt_of(catalog, "shrunk", "2021-06-22")
        assert (receipt["expected"], receipt["unlisted"], receipt["missing"]) == (4, 1, 0), attempt
    (fetch, *_) = rows(catalog, "ops.fetches", "fetch_status == 'unlisted' and scope == 'shrunk'")
    assert (fetch["natural_id"], fetch["note"]) == ("shrunk/b", "no longer in the summary of its dashboard")
    replies["Date"] = "Tue, 29 Jun 2021 13:00:00 GMT"
    assert run_landing(url, "shrunk", start="2021-06-29")[0] == 0
    assert receipt_of(catalog, "shrunk", "2021-06-29")["expected"] == 3


def test_an_empty_listing_is_no_complete_night(run_landing, service, catalog):
    """Whatever another dashboard has lost on the day before."""
    url, replies = service
    for tabs in (["a", "b", "c"], []):
        serve(replies, "elsewhere", tabs)
        run_landing(url, "elsewhere")
    assert receipt_of(catalog, "elsewhere", "2021-06-21")["unlisted"] == 3
    serve(replies, "emptied", ["a", "b", "c"])
    assert run_landing(url, "emptied")[0] == 0
    serve(replies, "emptied", [], NEXT_DATE)
    for _ in range(2):  # a retry must not take the empty listing for what is to be expected
        code, line = run_landing(url, "emptied", start="2021-06-22")
        assert (code, line.partition(":")[2][:58]) == (
            1,
            " 3 of 4 payloads of the week before are no longer listed: ",
        )
    serve(replies, "emptied", [], "Wed, 23 Jun 2021 13:00:00 GMT")
    code, line = run_landing(url, "emptied", start="2021-06-23")
    assert code == 0, "it stops the first day alone"
    assert line.endswith("the landing is incomplete: 3 of 4 payloads are unlisted; see ops.fetches")


def test_a_dashboard_that_a_wildcard_no_longer_finds_is_stated(run_landing, service, catalog):
    url, replies = service
    for board in ("team-a", "team-b", "team-c"):
        serve(replies, board, ["e2e"])
    replies[LISTING] = (200, orjson.dumps({"dashboards": [{"name": f"team-{x}"} for x in "abc"]}))
    assert run_landing(url, "team-*")[0] == 0
    replies[LISTING] = (200, orjson.dumps({"dashboards": [{"name": f"team-{x}"} for x in "ac"]}))
    replies["Date"] = NEXT_DATE
    code, line = run_landing(url, "team-*", start="2021-06-22")
    assert code == 0
    assert line.endswith("the landing is incomplete: 2 of 6 payloads are unlisted; see ops.fetches")
    assert receipt_of(catalog, "team-b", "2021-06-22")["unlisted"] == 2


def test_a_listing_that_shrinks_within_the_day_is_no_complete_day(run_landing, service, catalog):
    url, replies = service
    serve(replies, "sameday", ["a", "b", "c"])
    assert run_landing(url, "sameday")[0] == 0
    serve(replies, "sameday", ["a", "b"])
    assert run_landing(url, "sameday")[0] == 0
    assert receipt_of(catalog, "sameday", "2021-06-21")["unlisted"] == 1
    serve(replies, "sameday", [])
    assert run_landing(url, "sameday")[0] == 1


def test_what_is_stale_has_a_gap_or_comes_late_is_counted_and_marked(run_landing, service, catalog):
    url, replies = service
    serve(replies, "flawed", ["a", "b"])
    assert run_landing(url, "flawed")[0] == 0
    receipt = receipt_of(catalog, "flawed", "2021-06-21")
    assert (receipt["stale"], receipt["gap"]) == (0, 0)
    newest = make_table({"Overall": [1]}, job="b", timestamps=[FIRST_MS + 20 * DAY_MS], first_build=2000)
    replies["/flawed/table#b"] = (200, dump(newest))
    replies["/flawed/summary"] = (200, orjson.dumps({"a": {"overall_status": "STALE"}, "b": {}}))
    replies["Date"] = "Tue, 13 Jul 2021 13:00:00 GMT"
    code, line = run_landing(url, "flawed", start="2021-06-22")
    assert (code, "1 of 3 payloads have a gap before them" in line) == (0, True), line
    receipt = receipt_of(catalog, "flawed", "2021-06-22")
    assert (receipt["stale"], receipt["gap"]) == (1, 1)
    fetches = rows(catalog, "ops.fetches", "scope == 'flawed' and partition_date == '2021-06-22'")
    assert all(fetch["is_backfilled"] for fetch in fetches), "three weeks after the day"
    assert not any(
        fetch["is_backfilled"]
        for fetch in rows(catalog, "ops.fetches", "scope == 'flawed' and partition_date == '2021-06-21'")
    )


def test_not_modified_is_no_answer_to_a_request_without_a_tag(run_landing, service, catalog):
    url, replies = service
    replies["/never/summary"] = (304, b"")
    code, line = run_landing(url, "never")
    assert code == 1
    assert "answers HTTP 304" in line
    replies["/tabs/summary"] = (200, orjson.dumps({"a": {}}))
    replies["/tabs/table"] = (304, b"")
    run_landing(url, "tabs")
    assert receipt_of(catalog, "tabs", "2021-06-21")["missing"] == 1


def test_a_slash_in_the_name_of_a_dashboard_is_none_between_it_and_a_tab(run_landing, service, catalog):
    """Dashboards ``sl`` and ``sl/ci``: neither misses tabs of the other, and two tabs never share an id."""
    url, replies = service
    serve(replies, "sl", ["unit", "ci/unit"])
    serve(replies, "sl/ci", ["unit", "smoke"])
    for day, date in (("2021-06-21", DATE), ("2021-06-22", NEXT_DATE)):
        replies["Date"] = date
        assert run_landing(url, "sl,sl/ci", start=day)[0] == 0
        for board in ("sl", "sl/ci"):
            receipt = receipt_of(catalog, board, day)
            assert (receipt["expected"], receipt["unlisted"]) == (3, 0), (board, day)
    stored = {row["natural_id"] for row in rows(catalog, "raw.testgrid__tables", "source == 'testgrid'")}
    assert stored >= {"sl/unit", "sl/ci/unit", "sl%2Fci/unit", "sl%2Fci/smoke"}


def test_a_tab_of_a_dashboard_with_a_slash_is_left_out_by_its_id(run_landing, service, catalog, caplog):
    url, replies = service
    serve(replies, "cut/ci", ["good", "broken"])
    args = ["leave-out", "testgrid", "cut%2Fci/broken", "--reason", "r", "--start", "2021-06-21"]
    assert cli.main(args) == 0
    assert run_landing(url, "cut/ci")[0] == 0
    assert receipt_of(catalog, "cut/ci", "2021-06-21")["expected"] == 2
    assert "cut%2Fci/broken: left out, r (since 2021-06-21)" in caplog.text


def test_a_tab_that_is_left_out_is_neither_asked_for_nor_expected(run_landing, service, catalog, capsys):
    url, replies = service
    serve(replies, "cut", ["good", "broken"])
    replies["/cut/table#broken"] = (500, b"")

    def counts(day):
        assert run_landing(url, "cut", start=day)[0] == 0
        receipt = receipt_of(catalog, "cut", day)
        return receipt["expected"], receipt["missing"]

    def leave_out(*args):
        return cli.main(["leave-out", "testgrid", *args])

    assert counts("2021-06-21") == (3, 1)
    args = ["cut/broken", "--reason", "always 500", "--start", "2021-06-21"]
    assert leave_out(*args, "--end", "2021-06-22") == 0
    assert counts("2021-06-21") == (2, 0)
    replies["Date"] = NEXT_DATE
    assert counts("2021-06-22") == (3, 1), "the days are over"
    assert leave_out(*args) == 0
    assert counts("2021-06-22") == (2, 0), "the newest decision holds"
    assert leave_out("cut/broken", "--reason", "it is back", "--end", "2021-06-21") == 0
    assert counts("2021-06-22") == (3, 1), "it is requested again"
    assert "no landing has requested" not in capsys.readouterr().err
    assert leave_out("cut/brokn", "--reason", "a typing error") == 0
    output = capsys.readouterr()
    assert "no landing has requested cut/brokn so far" in output.err
    landed = max(row["partition_date"] for row in rows(catalog, "ops.receipts", "source == 'testgrid'"))
    assert f'"from": "{landed}"' in output.out, "the newest landed day"
    assert leave_out("cut", "--reason", "x") == leave_out("cut/a", "--reason", " ") == 2


def test_a_reply_that_is_to_come_among_others_is_missing(run_landing, service, catalog):
    url, replies = service
    serve(replies, "prophets", [f"tab{number}" for number in range(24)])
    for wrong in ("summary#", "table#tab3"):  # the first of all, too
        replies[f"Date/prophets/{wrong}"] = "Thu, 01 Jan 2099 00:00:00 GMT"
    code, line = run_landing(url, "prophets")
    assert code == 0, line
    missing = rows(catalog, "ops.fetches", "fetch_status == 'missing' and natural_id like 'prophets%'")
    assert sorted(row["natural_id"] for row in missing) == ["prophets", "prophets/tab3"]
    for row in missing:
        assert row["served_at"].year == 2021
        assert "2099-01-01 00:00 UTC, which is to come" in row["note"]


def test_any_text_can_be_stored(run_landing, service, catalog):
    url, replies = service
    serve(replies, "texts", ["plain", "t" * 9 + "\ud7ff" + "t" * 20, "\U0010ffff" * 30])
    assert run_landing(url, "texts")[0] == 0
    assert receipt_of(catalog, "texts", "2021-06-21")["expected"] == 4


def test_a_reply_of_before_the_day_among_others_is_missing_and_stops_nothing(run_landing, service, catalog):
    url, replies = service
    serve(replies, "clocks", [f"tab{number}" for number in range(12)])
    replies["Date/clocks/table#tab3"] = "Thu, 01 Jan 1970 00:00:00 GMT"
    code, line = run_landing(url, "clocks")
    assert code == 0, line
    receipt = receipt_of(catalog, "clocks", "2021-06-21")
    assert (receipt["landed"], receipt["missing"]) == (12, 1)
    (fetch, *_) = rows(catalog, "ops.fetches", "fetch_status == 'missing' and scope == 'clocks'")
    assert fetch["note"] == "answers with a reply of 1970-01-01 00:00 UTC, before the day began"
    del replies["Date/clocks/table#tab3"]
    assert run_landing(url, "clocks")[0] == 0
    assert receipt_of(catalog, "clocks", "2021-06-21")["landed"] == 1, "it was not stored before"
    assert len(rows(catalog, "raw.testgrid__tables", "natural_id == 'clocks/tab3'")) == 1


def test_a_name_that_is_no_dashboard_does_not_stop_the_others(run_landing, service, catalog):
    url, replies = service
    serve(replies, "other", ["a"])
    code, line = run_landing(url, "other,nowhere")
    assert code == 0, line
    assert receipt_of(catalog, "other", "2021-06-21")["landed"] == 2
