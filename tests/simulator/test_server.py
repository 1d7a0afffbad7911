import gzip
import subprocess
import sys

import httpx
import orjson
import pytest
from tests.simulator.process import serving_process

from ciworld.faults import parse_fault
from ciworld.server import accepts_gzip

BOARD = "ciworld-release-1.1-blocking"
TAB = "periodic-ci-ciworld-release-master-nightly-1.1-e2e-aws"
TABLE = f"/{BOARD}/table?show-stale-tests=&tab={TAB}"


def test_dashboards_and_summaries_lead_to_tables(client):
    boards = client.get("/api/v1/dashboards").json()["dashboards"]
    assert len(boards) == 4
    for board in boards:
        for tab in client.get(f"/{board['name']}/summary").json():
            assert client.get(f"/{board['name']}/table", params={"tab": tab}).json()["changelists"]


def test_names_of_dashboards_are_normalised_and_tabs_may_be_encoded(client):
    plain = client.get(TABLE)
    quoted = "".join(f"%{byte:02X}" for byte in TAB.encode())
    same = client.get(f"/CIworld_release11BLOCKING/table?tab={quoted}&graph-metrics=test-duration-minutes")
    assert same.headers["ETag"] == plain.headers["ETag"]


def test_volatile_keys_differ_while_the_etag_stays(client):
    one, two = client.get(TABLE), client.get(TABLE)
    assert one.headers["ETag"] == two.headers["ETag"]
    a, b = one.json(), two.json()
    assert a["phase-timer"] != b["phase-timer"]
    assert a["cached"] != b["cached"]
    for key in ("status", "phase-timer", "cached"):
        del a[key], b[key]
    assert a == b


def test_a_known_etag_is_not_modified_until_time_moves(client):
    etag = client.get(TABLE).headers["ETag"]
    again = client.get(TABLE, headers={"If-None-Match": f'"other", {etag}'})
    assert (again.status_code, again.content) == (304, b"")
    assert client.post("/_ciworld/clock", json={"as_of": "2026-03-09T00:00:00Z"}).status_code == 200
    assert client.get(TABLE, headers={"If-None-Match": etag}).status_code == 200


def test_gzip_only_when_asked(client):
    plain = client.get(TABLE, headers={"Accept-Encoding": "identity"})
    assert "Content-Encoding" not in plain.headers
    with client.stream("GET", TABLE, headers={"Accept-Encoding": "gzip"}) as answer:
        raw = b"".join(answer.iter_raw())
        assert answer.headers["Content-Encoding"] == "gzip"
    assert orjson.loads(gzip.decompress(raw))["tests"] == plain.json()["tests"]
    assert accepts_gzip("br, gzip;q=0.5")
    assert not accepts_gzip("gzip;q=0, br")


def test_the_date_header_is_the_simulated_time(client):
    assert client.get(TABLE).headers["Date"] == "Tue, 03 Mar 2026 00:00:00 GMT"
    assert client.get("/_ciworld/clock").json() == {"as_of": "2026-03-03T00:00:00Z"}


@pytest.mark.parametrize(
    ("method", "path", "status"),
    [
        ("GET", "/unknown/summary", 404),
        ("GET", f"/{BOARD}/table?tab=unknown", 404),
        ("GET", f"/{BOARD}/table", 400),
        ("GET", "/", 404),
        ("GET", f"/{BOARD}/other", 404),
        ("POST", f"/{BOARD}/summary", 405),
        ("DELETE", TABLE, 405),
        ("PUT", "/_ciworld/clock", 405),
        ("GET", "/_ciworld/nothing", 404),
    ],
)
def test_other_requests_are_refused(client, method, path, status):
    answer = client.request(method, path)
    assert answer.status_code == status
    if status == 405:
        assert "GET" in answer.headers["Allow"]
    assert client.get("/_ciworld/health").json() == {"ok": True}


@pytest.mark.parametrize(
    "body",
    [b"nonsense", b"[]", b'{"as_of": 5}', b'{"as_of": "soon"}', b'{"as_of": "9999-01-01"}', b"{}"],
)
def test_a_wrong_clock_is_refused(client, body):
    assert client.post("/_ciworld/clock", content=body).status_code == 400


def plan(client, **fault):
    assert client.post("/_ciworld/faults", json=[fault]).status_code == 200


def test_429_says_when_to_come_back_as_often_as_planned(client):
    plan(client, match="/table", kind="429", times=2, retry_after=3)
    assert client.get(f"/{BOARD}/summary").status_code == 200
    answers = [client.get(TABLE) for _ in range(3)]
    assert [answer.status_code for answer in answers] == [429, 429, 200]
    assert answers[0].headers["Retry-After"] == "3"
    assert client.get("/_ciworld/faults").json()["faults"][0]["hits"] == 2


def test_500_has_an_html_page(client):
    plan(client, match=TAB, kind="500")
    answer = client.get(TABLE)
    assert (answer.status_code, answer.headers["Content-Type"]) == (500, "text/html")


def test_slow_answers_outlast_an_impatient_client(client):
    plan(client, match="table", kind="slow", seconds=0.5)
    with pytest.raises(httpx.ReadTimeout):
        client.get(TABLE, timeout=0.1)
    assert client.get(TABLE).status_code == 200


def test_truncated_bodies_are_shorter_than_announced(client):
    plan(client, match="table", kind="truncate")
    with pytest.raises(httpx.RemoteProtocolError):
        client.get(TABLE)
    assert client.get(TABLE).status_code == 200


def test_malformed_answers_are_200_and_no_json(client):
    plan(client, match="table", kind="malformed", times=None)
    for _ in range(3):
        answer = client.get(TABLE)
        assert answer.status_code == 200
        with pytest.raises(orjson.JSONDecodeError):
            orjson.loads(answer.content)
    assert client.delete("/_ciworld/faults").json() == {"faults": []}
    assert client.get(TABLE).json()["tests"]


@pytest.mark.parametrize(
    "item",
    [
        [],
        {"kind": "explode"},
        {"kind": "500", "match": "("},
        {"kind": "500", "times": 0},
        {"kind": "slow", "seconds": 1e9},
        {"kind": "slow", "seconds": "1"},
        {"kind": "500", "often": 2},
    ],
)
def test_unclear_faults_are_refused(client, item):
    with pytest.raises(ValueError, match=r"."):
        parse_fault(item)
    assert client.post("/_ciworld/faults", json=[item]).status_code == 400
    assert client.get("/_ciworld/faults").json() == {"faults": []}


def test_the_truth_can_be_asked_over_http(client, truth):
    assert client.get("/_ciworld/truth").json() == truth


def test_the_command_prints_its_address_and_stops_on_sigterm():
    fault = '{"match": "summary", "kind": "500"}'
    command = [sys.executable, "-m", "ciworld.cli", "serve", "--synthetic", "--seed", "3", "--fault", fault]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        try:
            url = process.stdout.readline().strip()
            assert httpx.get(f"{url}/_ciworld/clock").json() == {"as_of": "2026-03-01T00:00:00Z"}
            assert httpx.get(f"{url}/{BOARD}/summary").status_code == 500
            process.terminate()
            assert process.wait(10) == 0
        finally:
            process.kill()


def test_the_command_refuses_what_it_cannot_serve(tmp_path):
    command = [sys.executable, "-m", "ciworld.cli", "serve", "--recorded", str(tmp_path)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=30, check=False)
    assert done.returncode == 2
    assert "no dashboard" in done.stderr


def test_a_clock_before_the_first_day_is_said():
    with serving_process("--synthetic", "--as-of", "2020-01-01") as process:
        process.terminate()
        _, output = process.communicate(timeout=30)
    assert output == (
        "ciworld: simulator clock: 2020-01-01T00:00:00Z is before the first day of the world, 2026-01-15:"
        " nothing shows yet\n"
    )
