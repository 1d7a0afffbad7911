"""Collecting from a misbehaving service: what is landed, refused, retried and counted."""

import gzip
import socket
import time
import tracemalloc
from concurrent.futures import ThreadPoolExecutor, wait
from contextlib import suppress
from dataclasses import replace
from datetime import date, timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Event, Thread

import orjson
import pytest
from tests.support.grids import dump, make_table

from cilake.errors import SourceError
from cilake.landing.budget import ByteBudget
from cilake.landing.envelope import Fetch, StoredContent
from cilake.landing.readers import Readers
from cilake.sources.http import Client, FetchError
from cilake.sources.testgrid.collect import extract_dashboards
from cilake.sources.testgrid.dashboards import find_dashboards

TABLE = dump(make_table({"Overall": [1]}))
DAY = date(2021, 6, 21)


@pytest.fixture
def service():
    """A service whose replies a test sets by path, each a list used up to its last."""
    replies: dict[str, list[tuple[int, dict[str, str], bytes]]] = {}
    asked: list[tuple[str, dict[str, str]]] = []

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self):
            asked.append((self.path, dict(self.headers)))
            queue = replies.get(self.path.partition("?")[0] + _tab(self.path), [(404, {}, b"")])
            status, headers, body = queue.pop(0) if len(queue) > 1 else queue[0]
            self.send_response_only(status)
            for name, value in headers.items():
                self.send_header(name, value)
            if "Content-Length" not in headers:
                self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            if "X-Drips" in headers:
                drip(self.wfile)
            self.wfile.write(body)

        def log_message(self, *args):
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    Thread(target=server.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{server.server_port}", replies, asked
    server.shutdown()
    server.server_close()


def drip(stream):
    """Write a byte now and then, until the other side has gone."""
    with suppress(OSError):
        while not Event().wait(0.01):
            stream.write(b" ")


def _tab(path):
    return "#" + path.rpartition("tab=")[2] if "tab=" in path else ""


def make_client(url, waits=None, seconds=30, **limits):
    options = {"attempts": 3, "limit_bytes": 10_000_000} | limits
    wait = waits.append if waits is not None else (lambda seconds: None)
    return Client(url, deadline=time.monotonic() + seconds, wait=wait, **options)


def collect(url, known=None, dashboards=None, budget=None, **limits):
    return list(extract(url, known, dashboards, budget, **limits))


def extract(url, known=None, dashboards=None, budget=None, **limits):
    """Yield the envelopes as they come."""
    client = make_client(url, **limits)
    known = known or {"summary": {}, "table": {}}
    options = {"day": DAY, "prefetch": 3, "budget": budget or ByteBudget(1_000_000)}
    options["readers"] = Readers(__name__)
    with ThreadPoolExecutor(2) as pool:
        yield from extract_dashboards(client, pool, dashboards or ["d"], known, **options)


def states(envelopes):
    return {envelope.natural_id: envelope.state for envelope in envelopes}


def test_every_tab_of_the_summary_makes_one_envelope(service):
    url, replies, _ = service
    replies["/d/summary"] = [(200, {}, orjson.dumps({t: {} for t in ("ok", "cut", "gone")}))]
    replies["/d/table#ok"] = [(200, {"ETag": '"1"', "Date": "Mon, 21 Jun 2021 13:00:00 GMT"}, TABLE)]
    replies["/d/table#cut"] = [(200, {}, TABLE[:-5])]
    envelopes = collect(url)
    assert states(envelopes) == {"d": "landed", "d/ok": "landed", "d/cut": "rejected", "d/gone": "missing"}
    landed = next(e for e in envelopes if e.natural_id == "d/ok")
    assert landed.payload == TABLE
    assert landed.served_at.isoformat() == "2021-06-21T13:00:00+00:00"
    assert "malformed_json" in next(e.reason for e in envelopes if e.state == "rejected")


def test_the_bytes_that_wait_are_bounded_and_nobody_waits_for_ever(service):
    url, replies, _ = service
    tabs = [f"t{number}" for number in range(9)]
    replies["/d/summary"] = [(200, {}, orjson.dumps({tab: {} for tab in tabs}))]
    for tab in tabs:
        replies[f"/d/table#{tab}"] = [(200, {}, TABLE)]
    budget = ByteBudget(len(TABLE) + 10)
    held = [budget.held_bytes for _ in extract(url, budget=budget)]
    assert len(held) == 10
    assert max(held) <= 2 * len(TABLE) + 10, "the bound, and the first one in the order"
    assert budget.held_bytes == 0
    stopped = extract(url, budget=budget)
    next(stopped)
    stopped.close()  # as an error of the landing does: the requests under way end
    assert budget.held_bytes == 0


def fetch_before(envelope):
    """The reply as one that was served an hour earlier."""
    earlier = envelope.served_at - timedelta(hours=1)
    return Fetch(earlier, envelope.content_sha256, True, earlier.date(), earlier)


def test_unchanged_content_is_recognised_by_etag_and_by_digest(service):
    url, replies, asked = service
    replies["/d/summary"] = [(200, {}, b'{"a": {}, "b": {}}')]
    replies["/d/table#a"] = [(304, {}, b"")]
    replies["/d/table#b"] = [(200, {}, TABLE)]
    first = {e.natural_id: e for e in collect(url)}
    later = make_table({"Overall": [1]}) | {"status": "Served 9 results"}
    replies["/d/table#b"] = [(200, {}, dump(later))]
    known = {
        "summary": {},
        "table": {
            "d/a": StoredContent((replace(fetch_before(first["d/a"]), content_sha256="x"),), '"tag"', "x"),
            "d/b": StoredContent((fetch_before(first["d/b"]),)),
        },
    }
    assert states(collect(url, known)) == {"d": "landed", "d/a": "unchanged", "d/b": "unchanged"}
    assert any(headers.get("If-None-Match") == '"tag"' for _, headers in asked)
    unchanged = {e.natural_id: e.content_sha256 for e in collect(url, known)}
    assert unchanged["d/a"] == "x", "the content of the tag"


def test_a_content_that_returns_after_another_one_is_asked_for_whole(service):
    """A, B, A: the tag of the first A still holds, but its content starts again."""
    url, replies, asked = service
    replies["/d/summary"] = [(200, {}, b'{"a": {}}')]
    replies["/d/table#a"] = [(200, {}, TABLE)]
    (_, first) = collect(url)
    before = fetch_before(first)
    between = replace(before, content_sha256="b", served_at=first.served_at - timedelta(minutes=1))
    known = {"summary": {}, "table": {"d/a": StoredContent((before, between), '"a"', first.content_sha256)}}
    replies["/d/table#a"] = [(304, {}, b""), (200, {}, TABLE)]
    assert states(collect(url, known))["d/a"] == "landed"
    tags = [headers.get("If-None-Match") for path, headers in asked if "tab=a" in path]
    assert tags == [None, '"a"', None]


def test_unreadable_summary_is_rejected_and_stops_nothing_else(service):
    url, replies, _ = service
    replies["/d/summary"] = [(200, {}, b'{"tab": 3}')]
    assert states(collect(url)) == {"d": "rejected"}


def test_refusals_are_waited_out_as_asked(service):
    url, replies, _ = service
    replies["/x"] = [(429, {"Retry-After": "7"}, b""), (503, {}, b""), (200, {}, b"{}")]
    waits: list[float] = []
    assert make_client(url, waits).get("/x").status == 200
    assert waits[0] >= 7 and len(waits) == 2


def test_a_wait_past_the_time_bound_is_refused(service):
    url, replies, _ = service
    replies["/x"] = [(429, {"Retry-After": "3600"}, b"")]
    with pytest.raises(FetchError, match="time bound"):
        make_client(url).get("/x")


def test_truncated_bodies_are_retried_and_never_taken(service):
    url, replies, _ = service
    replies["/x"] = [(200, {"Content-Length": "100", "Connection": "close"}, b"{"), (200, {}, b"{}")]
    assert make_client(url).get("/x").body == b"{}"


def test_bodies_over_the_limit_are_refused(service):
    url, replies, _ = service
    replies["/x"] = [(200, {}, b"x" * 2000)]
    with pytest.raises(FetchError, match="larger than"):
        make_client(url, limit_bytes=1000).get("/x")


def test_a_reply_that_drips_ends_with_the_time_bound(service):
    url, replies, _ = service
    replies["/x"] = [(200, {"X-Drips": "1", "Content-Length": "1000000"}, b"")]
    with pytest.raises(FetchError, match="too slowly: .* within the time bound"):
        make_client(url, seconds=2).get("/x")


def test_a_client_sends_its_own_headers_with_every_request(service):
    url, replies, asked = service
    replies["/d/summary"] = [(503, {}, b""), (200, {}, b"{}")]
    client = make_client(url, headers={"Authorization": "Bearer t", "Accept": "application/vnd.ci+json"})
    assert client.get("/d/summary").status == 200
    own = ("Authorization", "Accept", "User-Agent")
    assert [[headers[name] for name in own] for _, headers in asked] == [
        ["Bearer t", "application/vnd.ci+json", "cilake"]
    ] * 2


def test_headers_that_drip_end_with_the_time_bound(dripping):
    began = time.monotonic()
    with pytest.raises(FetchError, match="too slowly: no complete reply within the time bound"):
        make_client(dripping, seconds=1).get("/x")
    assert time.monotonic() - began < 30


def test_a_client_that_is_closed_ends_what_waits_in_other_threads(dripping):
    client = make_client(dripping, seconds=600)
    with ThreadPoolExecutor(1) as pool:
        waiting = pool.submit(client.get, "/x")
        assert wait([waiting], 0.5).not_done
        client.close()
        assert wait([waiting], 10).done
    assert isinstance(waiting.exception(), FetchError)


@pytest.fixture
def dripping():
    """The address of a service that sends one byte of its headers after the other, without end."""
    ended = Event()

    def serve():
        while not ended.is_set():
            try:
                connection, _ = listening.accept()
            except OSError:
                return
            Thread(target=drip, args=(connection,), daemon=True).start()

    def drip(connection):
        with connection, suppress(OSError):
            connection.sendall(b"HTTP/1.1 200 OK\r\nX-A: ")
            while not ended.wait(0.05):
                connection.sendall(b"a")

    with socket.create_server(("127.0.0.1", 0)) as listening:
        Thread(target=serve, daemon=True).start()
        yield f"http://127.0.0.1:{listening.getsockname()[1]}"
        ended.set()


def test_gzip_is_read_whole_also_in_several_members(service):
    url, replies, _ = service
    text = TABLE * 30
    gzipped = gzip.compress(text[:100]) + gzip.compress(text[100:])
    replies["/x"] = [(200, {"Content-Encoding": "gzip"}, gzipped)]
    assert make_client(url).get("/x").body == text
    replies["/x"] = [(304, {"Content-Encoding": "gzip"}, b"")]
    assert make_client(url).get("/x").status == 304


@pytest.mark.parametrize("broken", [gzip.compress(TABLE)[:-9], b"{}" + gzip.compress(TABLE), b"\x1f\x8b\xff"])
def test_gzip_that_cannot_be_read_is_asked_for_again(service, broken):
    url, replies, _ = service
    encoded = {"Content-Encoding": "gzip"}
    replies["/x"] = [(200, encoded, broken), (200, encoded, gzip.compress(b"{}"))]
    assert make_client(url).get("/x").body == b"{}"
    replies["/x"] = [(200, encoded, broken)]
    with pytest.raises(FetchError, match="its gzip"):
        make_client(url).get("/x")


def test_a_small_reply_that_unfolds_without_end_takes_little_memory(service):
    url, replies, _ = service
    bomb = gzip.compress(bytes(300_000_000))
    replies["/x"] = [(200, {"Content-Encoding": "gzip"}, bomb)]
    tracemalloc.start()
    try:
        with pytest.raises(FetchError, match="larger than 10,000,000 bytes"):
            make_client(url).get("/x")
        assert tracemalloc.get_traced_memory()[1] < 40_000_000
    finally:
        tracemalloc.stop()
    replies["/x"] = [(200, {"Content-Encoding": "gzip, gzip"}, gzip.compress(bomb))]
    with pytest.raises(FetchError, match="in the encoding 'gzip, gzip', where gzip was asked for"):
        make_client(url).get("/x")


def test_patterns_name_dashboards(service):
    url, replies, asked = service
    client = make_client(url)
    assert find_dashboards(client, ["a", "b"]) == (["a", "b"], []) and not asked
    replies["/api/v1/dashboards"] = [
        (200, {}, b'{"dashboards": [{"name": "x-1"}, {"name": "y"}, {"name": "x-2"}]}')
    ]
    assert find_dashboards(client, ["x-*", "x-1"]) == (["x-1", "x-2"], [])
    assert find_dashboards(client, ["z*", "x-*", "w?"]) == (["x-1", "x-2"], ["z*", "w?"])
    assert find_dashboards(client, ["z*", "literal"]) == (["literal"], ["z*"])
    with pytest.raises(LookupError, match=r"no dashboard matches 'z\*', 'w\?' .* lists 3 dashboards"):
        find_dashboards(client, ["z*", "w?"])


def test_a_listing_of_other_things_is_refused(service):
    url, replies, _ = service
    replies["/api/v1/dashboards"] = [(200, {}, b'{"dashboards": [{"name": 7}, {"name": "x"}]}')]
    with pytest.raises(SourceError, match="no list of dashboards"):
        find_dashboards(make_client(url), ["*"])


@pytest.mark.parametrize(
    "value", ["\u00b2", "1e400", "-5", "soon", "Mon, 01 Jan 0001 00:00:00 +2300", "9" * 400, "nan"]
)
def test_a_wait_that_is_none_is_no_fault(service, value):
    url, replies, _ = service
    replies["/x"] = [(503, {"Retry-After": value, "Date": value}, b""), (200, {}, b"{}")]
    assert make_client(url).get("/x").body == b"{}"


def test_a_tag_that_cannot_be_sent_back_is_none(service):
    url, replies, _ = service
    replies["/x"] = [(200, {"ETag": '"\u00e9"'}, b"{}"), (200, {"ETag": '"a"'}, b"{}")]
    assert [make_client(url).get("/x").etag for _ in range(2)] == [None, '"a"']


def test_a_tab_of_endless_name_is_missing_and_stops_nothing_else(service):
    url, replies, _ = service
    replies["/d/summary"] = [(200, {}, orjson.dumps({"x" * 70_000: {}, "ok": {}}))]
    replies["/d/table#ok"] = [(200, {}, TABLE)]
    assert list(states(collect(url)).values()) == ["landed", "missing", "landed"]


@pytest.mark.parametrize(
    "payload",
    [
        b'{"changelists": 1}',
        TABLE[:-1] + b',"deep":' + b"[" * 400 + b"]" * 400 + b"}",
        TABLE[:-1] + b',"deep":' + b"[" * 5000 + b"]" * 5000 + b"}",
        TABLE.replace(b'"messages":[""]', b'"messages":[[]]').replace(b'"count":1', b'"count":1.5'),
    ],
)
def test_payloads_that_used_to_stop_the_landing_are_rejected(service, payload):
    url, replies, _ = service
    replies["/d/summary"] = [(200, {}, b'{"bad": {}, "ok": {}}')]
    replies["/d/table#bad"] = [(200, {}, payload)]
    replies["/d/table#ok"] = [(200, {}, TABLE)]
    assert states(collect(url)) == {"d": "landed", "d/bad": "rejected", "d/ok": "landed"}


def test_a_table_with_an_odd_column_is_landed_and_says_so(service):
    url, replies, _ = service
    replies["/d/summary"] = [(200, {}, b'{"odd": {}}')]
    replies["/d/table#odd"] = [(200, {}, dump(make_table({"Overall": [1, 1]}, changelists=["1", ""])))]
    envelope = collect(url)[-1]
    assert (envelope.state, envelope.reason) == ("landed", "1 columns or rows refused: blank_build_id: ''")


def test_a_tab_that_fails_with_and_without_stale_rows_is_missing(service):
    url, replies, asked = service
    replies["/d/summary"] = [(200, {}, b'{"a": {}, "busy": {}}')]
    replies["/d/table#a"] = [(500, {}, b"")]
    replies["/d/table#busy"] = [(503, {}, b"")]
    _, failing, busy = collect(url)
    assert (failing.state, failing.reason) == ("missing", "answers HTTP 500")
    assert (busy.state, busy.reason) == ("missing", "answers HTTP 503")
    of_tabs = [path.rpartition("/")[2] for path, _ in asked if "tab=" in path]
    assert of_tabs.count("table?tab=a") == 3, "asked again without"
    assert "table?tab=busy" not in of_tabs, "a service that is busy is busy for every request"


def test_dashboards_follow_each_other_in_order_whatever_arrives_first(service):
    url, replies, _ = service
    for board in ("a", "b", "c"):
        replies[f"/{board}/summary"] = [(200, {}, orjson.dumps({tab: {} for tab in "vwxyz"}))]
        for tab in "vwxyz":
            replies[f"/{board}/table#{tab}"] = [(200, {}, TABLE)]
    replies["/b/summary"] = [(404, {}, b"")]
    envelopes = collect(url, dashboards=["a", "b", "c"])
    names = [e.natural_id for e in envelopes]
    assert names == ["a", *(f"a/{t}" for t in "vwxyz"), "b", "c", *(f"c/{t}" for t in "vwxyz")]
