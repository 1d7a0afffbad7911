"""What every source is held to; its own test says in a class what it shows, and inherits the tests."""

from __future__ import annotations

import copy
import random
from collections.abc import Iterator, Mapping
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any

import orjson
import pyarrow as pa
import pytest
from tests.support.lake_session import make_catalog
from tests.support.reply_service import Replies, closed_port, reply_service

from cilake.commands import land
from cilake.contracts.registry import table
from cilake.contracts.vocabulary.ci import TEST_STATUSES
from cilake.errors import SourceError
from cilake.settings import Settings
from cilake.sources.decoder import DECODED
from cilake.sources.keys import hash_job, hash_name, hash_run
from cilake.sources.registry import source
from cilake.windows import Window

ROOT = Path(__file__).resolve().parents[2]
DAY = date(2021, 6, 21)
SERVED = datetime(2021, 6, 21, 13, tzinfo=UTC)
"""The clock of ``reply_service``."""
MUTATIONS = 400
ODD: list[Any] = [None, True, -1, 0, 2**63, 0.5, 1e300, "", " ", "\x00", "é" * 40, "9" * 400, [], {}, [[]]]


class SourceConformance:
    """The tests of a source of the given ``name``."""

    name: str

    def settings(self, url: str) -> Any:
        """Return the source's own settings for a service at an address."""
        raise NotImplementedError

    def serve(self, replies: Replies) -> None:
        """Set the replies of a service that shows at least two payloads with runs."""
        raise NotImplementedError

    @pytest.fixture
    def own(self) -> Any:
        """The source."""
        return source(self.name)

    @pytest.fixture
    def landing(self, tmp_path, monkeypatch) -> Iterator[Any]:
        """A function that lands the service's day into its own lake, with that lake and the replies."""
        catalog = make_catalog(tmp_path)
        monkeypatch.setattr(land, "open_catalog", lambda settings: catalog)
        own = source(self.name)
        settings = Settings(max_lost_ratio=1.0, landing_seconds=60)
        window = Window(DAY, DAY + timedelta(days=1))
        with reply_service() as (url, replies):
            self.serve(replies)

            def run(address: str = url) -> dict[str, int]:
                return land.land(settings, window, source=own, own=self.settings(address))

            yield run, catalog, replies

    def payloads(self, catalog) -> list[dict[str, Any]]:
        """Return the stored payloads that show runs."""
        return [
            row
            for address in source(self.name).decoders
            for row in catalog.load_table(address).scan().to_arrow().to_pylist()
        ]

    def test_everything_of_it_is_at_its_address(self, own):
        assert own.name == self.name
        folder = ROOT / "jobs/cilake/sources" / self.name
        readme = (folder / "README.md").read_text()
        for endpoint, address in own.endpoints.items():
            raw = table(address)
            assert address.startswith(f"raw.{self.name}__") and raw.made_by == f"land_{self.name}"
            assert endpoint in readme and address in readme
            shows_runs = address in own.decoders
            assert shows_runs is ("core.ci_run_observations" in raw.feeds)
        assert set(own.decoders) <= set(own.endpoints.values())
        assert (ROOT / "dags" / f"land_{self.name}.py").is_file()
        prefix = f"CILAKE_{self.name.upper()}_"
        assert own.scope_setting.startswith(prefix) and own.scope_setting in readme
        assert own.scope_setting.removeprefix(prefix).lower() in own.settings.__dataclass_fields__

    def test_without_settings_it_says_which(self, own, landing):
        with pytest.raises(Exception, match=f"CILAKE_{self.name.upper()}_") as raised:
            land.land(Settings(), Window(DAY, DAY + timedelta(days=1)), source=own, own=own.settings())
        assert raised.value.exit_code == 2

    def test_a_day_is_landed_once_and_what_is_stored_can_be_read(self, own, landing):
        run, catalog, _ = landing
        first = run()
        assert first["landed"] >= 2 and first["landed"] == sum(
            first[state] for state in ("landed", "unchanged", "rejected", "missing", "unlisted")
        )
        payloads = self.payloads(catalog)
        assert len(payloads) >= 2
        runs = [run for row in payloads for run in decode(own, row) if run["reject_reason"] is None]
        assert len(runs) >= 2
        for row in payloads:
            assert own.is_natural_id(row["natural_id"])
            assert own.describe(row["payload"])["status"] == "landed"
        assert run()["unchanged"] == first["landed"], "the same day again"
        assert self.payloads(catalog) == payloads

    def test_what_it_reads_is_what_a_build_takes(self, own, landing):
        run, catalog, _ = landing
        run()
        for row in self.payloads(catalog):
            runs = decode(own, row)
            assert runs == decode(own, row), "the same payload reads the same"
            for one in runs:
                check_run(one)

    def test_a_service_that_fails_loses_what_it_fails_at_and_nothing_else(self, landing):
        run, _, replies = landing
        paths = [path for path, reply in replies.items() if isinstance(reply, tuple)]
        good = run()
        lost = paths[-1]
        replies[lost] = (403, b"")
        counts = run()
        assert counts["missing"] >= 1 and counts["unchanged"] >= good["landed"] - counts["missing"]

    def test_a_service_that_is_down_is_an_error_that_another_try_may_mend(self, landing):
        run, catalog, _ = landing
        with closed_port() as address, pytest.raises(SourceError, match="does not respond") as raised:
            run(address)
        assert raised.value.exit_code == 1
        assert not self.payloads(catalog)

    def test_a_payload_that_is_none_is_refused_with_the_reason(self, own, landing):
        run, catalog, _ = landing
        run()
        (row, *_) = self.payloads(catalog)
        for broken in (b"", b"<html>", b"[]", b"null", b"{}", row["payload"][:-1], b"\xff" * 9):
            description = own.describe(broken)
            rows = decode(own, row | {"payload": broken})
            assert rows and all(one["reject_reason"] for one in rows), broken
            assert description["reason"] if description["status"] == "rejected" else broken == b"{}"

    def test_no_odd_payload_raises(self, own, landing):
        run, catalog, _ = landing
        run()
        (row, *_) = self.payloads(catalog)
        rng = random.Random(0)
        document = orjson.loads(row["payload"])
        for _ in range(MUTATIONS):
            payload = orjson.dumps(mutate(document, rng), option=orjson.OPT_PASSTHROUGH_SUBCLASS)
            for one in decode(own, row | {"payload": payload}):
                check_run(one)
            assert own.describe(payload)["status"] in ("landed", "rejected")


def decode(own, row: Mapping[str, Any]) -> list[dict[str, Any]]:
    """Return what the decoder of the row's raw table makes of a stored payload."""
    decoder = own.decoders[own.endpoints[row["endpoint"]]]()
    batch = pa.RecordBatch.from_pydict(
        {
            "payload": [row["payload"]],
            "served_at": pa.array([row["served_at"]], pa.timestamp("us", tz="UTC")),
            "partition_date": [row["partition_date"]],
            "origin": ["origin"],
            "natural_id": [row["natural_id"]],
        }
    )
    return pa.Table.from_batches(list(decoder(iter([batch]))), schema=DECODED).to_pylist()


def check_run(one: Mapping[str, Any]) -> None:
    """Check what holds for everything that is read: a whole run with the keys of its names, or a reason."""
    if one["reject_reason"]:
        assert one["reject_reason"].partition(":")[0].isidentifier(), one["reject_reason"]
        assert one["run_key"] is None
        return
    assert one["job_key"] == hash_job(one["ci_instance"], one["job_name"])
    assert one["run_key"] == hash_run(one["ci_instance"], one["job_name"], one["build_id"])
    assert one["started_at"].year >= 2014 and one["started_at"] <= SERVED + timedelta(days=1)
    assert len(one["test_keys"]) == len(one["test_statuses"]) == len(one["messages"]) == one["result_count"]
    assert len(set(one["test_keys"])) == one["result_count"]
    assert set(one["test_statuses"]) <= set(TEST_STATUSES) and one["content_hash"]
    ended = one["passed_count"] + one["failed_count"] + one["flaky_count"] + one["running_count"]
    assert ended <= one["test_count"] <= one["result_count"]
    assert one["decoder_version"] >= 1
    names = {hash_name(name) for name in one["test_names"] or ()}
    assert not names or set(one["test_keys"]) <= names == set(one["test_name_keys"])


def mutate(document: Any, rng: random.Random) -> Any:
    """Return a copy of a JSON document in which one to three places hold something else, or nothing."""
    changed = copy.deepcopy(document)
    for _ in range(rng.randint(1, 3)):
        locations = list(_locations(changed))
        container, key = rng.choice(locations)
        action = rng.random()
        if action < 0.7:
            container[key] = rng.choice(ODD)
        elif action < 0.9:
            del container[key]
        elif isinstance(container, list):
            container.append(copy.deepcopy(container[key]))
        if not changed:
            return changed
    return changed


def _locations(document: Any) -> Iterator[tuple[Any, Any]]:
    keys = list(document) if isinstance(document, dict) else range(len(document))
    for key in keys:
        yield document, key
        if isinstance(document[key], dict | list):
            yield from _locations(document[key])
