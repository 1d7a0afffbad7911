"""What every model is held to; its own test says in a class which it is, and inherits the tests."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from tests.support.predicted_world import World, lake_of

from cilake.commands import measure, score, train
from cilake.contracts.model_spec import MODEL_SCORER
from cilake.contracts.registry import made_by, table, tables
from cilake.models.as_of import HISTORY as HISTORY_TABLES
from cilake.models.as_of import pin_history, read_history
from cilake.models.base import WEIGHT, Forecaster
from cilake.models.registry import forecaster, model

ROOT = Path(__file__).resolve().parents[2]
HISTORY = 45
VERBS = ("train", "score", "measure")


class ModelConformance:
    """The tests of a model of the given ``name``, on a world in which something can be foretold."""

    name: str

    @pytest.fixture
    def world(self) -> World:
        """What has run."""
        return World(jobs=4, tests=12)

    @pytest.fixture
    def lake(self, spark, tmp_path, world, monkeypatch) -> Any:
        """A lake with a history, in which nothing was trained."""
        with lake_of(spark, tmp_path, monkeypatch) as lake:
            world.name(lake)
            world.land(lake, range(HISTORY))
            yield lake

    @pytest.fixture
    def work(self) -> Forecaster:
        """The functions of the model."""
        return forecaster(self.name)

    def test_everything_of_it_is_at_its_address(self):
        spec = model(self.name)
        ledger, outcomes = table(spec.ledger), table(spec.outcomes)
        assert ledger.made_by == f"score_{self.name}" and ledger.write_mode == "ledger"
        assert outcomes.made_by == f"measure_{self.name}" and spec.ledger in outcomes.inputs
        assert {one.address for one in HISTORY_TABLES} <= set(spec.inputs) <= set(tables())
        assert spec.question.endswith("?")
        for verb in VERBS:
            assert (ROOT / "dags" / f"{verb}_{self.name}.py").is_file()
        card = (ROOT / "jobs/cilake/models" / self.name / "CARD.md").read_text()
        assert spec.question in re.sub(r"\s+", " ", card)
        assert "predictions.accuracy" in {one.address for one in made_by(f"measure_{self.name}")}

    def test_its_tables_have_the_columns_that_the_declaration_names(self):
        spec = model(self.name)
        ledger, outcomes = table(spec.ledger), table(spec.outcomes)
        assert {"prediction_date", "model_version", "scored_at", "abstain_reason"} <= set(ledger.column_names)
        assert {"prediction_date", "model_version", "has_abstained"} <= set(outcomes.column_names)
        assert ledger.primary_key[-1] == outcomes.primary_key[-1] == "prediction_date"
        assert ledger.primary_key == outcomes.primary_key, "an outcome of each prediction"
        for column in spec.scorers.values():
            assert ledger.column(column).type == outcomes.column(column).type == "double"
        assert outcomes.column(spec.label).type == "boolean"
        assert spec.gate.block_by in outcomes.column_names
        assert spec.gate.baseline in spec.scorers and MODEL_SCORER in spec.scorers
        assert {"predictions.accuracy", "kpi.calibration_bins"} <= set(outcomes.feeds)
        assert "predictions.accuracy" in ledger.feeds and ledger.change_columns

    @pytest.mark.spark
    def test_it_learns_from_earlier_decisions_the_same_each_time(self, lake, world, work):
        spec = model(self.name)
        pins = pin_history(lake.catalog, spec.inputs)
        history = read_history(lake.spark, lake.catalog, pins, world.day(HISTORY - 1))
        split = work.read_decisions(history)
        for part in (split.earlier, split.later):
            names = {spec.label, "started_at", spec.gate.block_by, WEIGHT.name}
            assert names <= set(part.column_names) and part.num_rows
        assert max(split.earlier["started_at"].to_pylist()) < split.evaluated_from
        assert min(split.later["started_at"].to_pylist()) >= split.evaluated_from
        fitted = work.fit(split)
        data, digest = work.to_bytes(fitted)
        assert work.to_bytes(work.fit(split)) == (data, digest)
        loaded = work.from_bytes(data, digest)
        forecasts, again = work.forecast(fitted, split.later), work.forecast(loaded, split.later)
        assert forecasts.keys() == spec.scorers.keys()
        for scorer, probability in forecasts.items():
            assert np.array_equal(probability, again[scorer])
            assert len(probability) == split.later.num_rows
            assert ((probability >= 0) & (probability <= 1)).all(), scorer
        for broken, wrong in ((data[:-9], None), (data, "0" * 64)):
            with pytest.raises(ValueError, match=r"."):
                work.from_bytes(broken, wrong or digest)

    @pytest.mark.spark
    def test_a_night_is_predicted_measured_and_never_changed(self, spark, tmp_path, world):
        """The future is in the lake when a day is scored again: a prediction knows nothing of it."""
        spec, day = model(self.name), world.day(HISTORY - 1)
        night = world.night(HISTORY - 1)
        own = [name for name in table(spec.ledger).column_names if not _is_of_the_try(name)]
        with pytest.MonkeyPatch.context() as patch, lake_of(spark, tmp_path / "lake", patch) as lake:
            world.name(lake)
            assert set(score.score(lake.settings, night, model=spec).values()) == {0}, "nothing has run"
            forecasts = train.train(lake.settings, night, model=spec)
            assert forecasts["model_version"] is None and forecasts["reason"]
            world.land(lake, range(HISTORY))
            counts = score.score(lake.settings, night, model=spec)
            before = lake.rows(spec.ledger, *own)
            assert counts == {spec.ledger: len(before)} and before
            measured = measure.measure(lake.settings, night, model=spec)
            assert measured[spec.outcomes] == 0
            world.land(lake, range(HISTORY, HISTORY + 2))
            assert set(score.score(lake.settings, night, model=spec).values()) == {0}
            measured = measure.measure(lake.settings, world.night(HISTORY + 1), model=spec)
            assert measured[spec.outcomes] > 0 and measured["predictions.accuracy"] == len(spec.scorers)
            lake.catalog.load_table(spec.ledger).delete(f"prediction_date = '{day}'")
            score.score(lake.settings, night, model=spec)
            assert lake.rows(spec.ledger, *own) == before


def _is_of_the_try(name: str) -> bool:
    """Return whether a column says when or from which snapshots a row was made."""
    return name == "scored_at" or name.endswith("_snapshot_id")
