"""The model survives its bytes, refuses foreign ones, and knows when to abstain."""

import hashlib
import io
import math
import os
import zipfile
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pytest
import skops.io
from sklearn.linear_model import LogisticRegression
from threadpoolctl import threadpool_limits

from cilake.commands.train import collect_evidence
from cilake.models import gate
from cilake.models.base import OutdatedModelError
from cilake.models.test_failure import fit, fitted, forecaster, predict, sample
from cilake.models.test_failure.features.compute import FEATURES_SCHEMA
from cilake.models.test_failure.spec import FEATURES, MODEL

START = datetime(2021, 3, 1, tzinfo=UTC)
DAY = timedelta(days=1)


def decisions(count: int, seed: int = 0) -> pa.Table:
    """Decisions whose outcome depends on the last results and on other jobs."""
    rng = np.random.default_rng(seed)
    columns = {name: rng.poisson(0.2, count).astype(np.float32) for name in FEATURES}
    columns["own_run_count"] = rng.integers(1, 60, count).astype(np.float32)
    columns["own_fail_count_5"] = rng.binomial(5, 0.06, count).astype(np.float32)
    columns["own_fail_count_20"] = columns["own_fail_count_5"] + rng.binomial(3, 0.1, count)
    columns["own_fail_count"] = np.minimum(columns["own_fail_count_20"], columns["own_run_count"])
    columns["own_failed_last_1"] = (rng.random(count) < columns["own_fail_count_5"] / 5).astype(np.float32)
    columns["own_hours_since_result"] = rng.exponential(8, count).astype(np.float32)
    columns["elsewhere_fail_count_24h"] = rng.binomial(8, 0.03, count).astype(np.float32)
    columns["elsewhere_result_count_24h"] = np.full(count, 8, dtype=np.float32)
    columns["job_run_count"] = rng.integers(1, 99, count).astype(np.float32)
    columns["own_hours_since_failure"] = np.where(columns["own_fail_count"] > 0, 5, np.nan).astype(np.float32)
    odds = -5.0 + 1.6 * columns["own_fail_count_5"] + 1.2 * columns["elsewhere_fail_count_24h"]
    failed = rng.random(count) < 1 / (1 + np.exp(-odds))
    started = START + np.arange(count) * (30 * DAY / count)
    keys = {
        "run_key": pa.array(np.arange(count)),
        "job_key": pa.array(rng.integers(-5, 5, count)),
        "test_key": pa.array(rng.integers(-(2**60), 2**60, count)),
        "started_at": pa.array(started.tolist(), FEATURES_SCHEMA.field("started_at").type),
        "has_failed": pa.array(failed),
    }
    arrays = [keys[f.name] if f.name in keys else pa.array(columns[f.name], f.type) for f in FEATURES_SCHEMA]
    return pa.Table.from_arrays(arrays, schema=FEATURES_SCHEMA)


@pytest.fixture(scope="module")
def past():
    return decisions(40_000)


def sampled(features: pa.Table) -> pa.Table:
    return sample.sample(features, sample.TRAINING_SHARES, total=len(features))


@pytest.fixture(scope="module")
def model(past):
    return fit.fit_sample(sampled(past))


def test_the_model_passes_its_gate_on_later_decisions(model):
    later = decisions(20_000, seed=1)
    evidence = collect_evidence(MODEL, forecaster, model, sampled(later), None)
    verdict = gate.judge_challenger(evidence, MODEL.gate)
    assert verdict.passed, verdict.reasons
    against_itself = gate.judge_challenger(
        collect_evidence(MODEL, forecaster, model, sampled(later), model), MODEL.gate
    )
    assert "log_loss is 0.0% below that of champion, not 5% or more" in against_itself.reasons


def test_of_many_decisions_a_sample_with_weights_stands_for_all(past):
    picked = sample.sample(past, sample.TRAINING_SHARES, total=sample.SHARES_FOR)
    assert len(picked) < len(past) / 5
    assert picked.schema == sample.SAMPLE_SCHEMA
    failed, weight = picked["has_failed"].to_numpy(), picked["weight"].to_numpy().astype(float)
    assert failed.sum() == past["has_failed"].to_numpy().sum()
    assert set(weight[failed]) == {1.0}
    assert weight.sum() == pytest.approx(len(past))
    mean = np.average(picked["own_fail_count_5"].to_numpy(), weights=weight)
    assert mean == pytest.approx(past["own_fail_count_5"].to_numpy().mean(), rel=0.1)
    shuffled = past.take(pa.array(np.random.default_rng(0).permutation(len(past))))
    again = sample.sample(shuffled, sample.TRAINING_SHARES, total=sample.SHARES_FOR)
    assert set(again["run_key"].to_pylist()) == set(picked["run_key"].to_pylist())


def test_of_more_decisions_than_fit_into_memory_smaller_shares_stand_for_all(past, monkeypatch):
    monkeypatch.setattr(sample, "MAX_ROWS", len(past) // 20)
    failures = pc.sum(past["has_failed"]).as_py()
    assert failures < len(past) / 25, "there is room for others"
    picked = sample.sample(past, (0.5, 0.5, 0.5), total=len(past))
    assert len(picked) == pytest.approx(len(past) / 20, rel=0.1)
    assert pc.sum(picked["has_failed"]).as_py() == failures
    assert pc.sum(picked["weight"]).as_py() == pytest.approx(len(past))
    monkeypatch.setattr(sample, "MAX_ROWS", failures // 2)
    crowded = sample.sample(past, (0.5, 0.5, 0.5), total=len(past))
    assert len(crowded) == pytest.approx(failures / 2, rel=0.1)
    assert pc.sum(crowded["weight"]).as_py() == pytest.approx(len(past))
    weights = crowded.filter(crowded["has_failed"])["weight"]
    assert pc.sum(weights).as_py() == pytest.approx(failures)


def test_few_decisions_are_all_taken(past):
    assert len(sampled(past)) == len(past)
    assert sampled(past.slice(0, 0)).num_rows == 0


def test_a_sample_trains_a_model_as_calibrated_as_all(past, monkeypatch):
    monkeypatch.setattr(sample, "MAX_ROWS", sample.SHARES_FOR)
    small = fit.fit_sample(sample.sample(past, (0.3, 0.3, 0.3), total=sample.SHARES_FOR))
    later = decisions(20_000, seed=1)
    expected = predict.probabilities(small, later).sum()
    assert small.decision_count == len(past)
    assert expected == pytest.approx(later["has_failed"].to_numpy().sum(), rel=0.08)


def test_training_repeats(past, model):
    again = fit.fit_sample(sampled(past))
    rows = past.slice(0, 500)
    assert np.array_equal(predict.probabilities(again, rows), predict.probabilities(model, rows))


def test_round_trip_through_bytes(past, model):
    data, digest = fitted.to_bytes(model)
    assert digest == hashlib.sha256(data).hexdigest()
    loaded = fitted.from_bytes(data, digest)
    assert predict.predict(loaded, past.slice(0, 999)).equals(predict.predict(model, past.slice(0, 999)))
    assert np.array_equal(loaded.uneventful, model.uneventful, equal_nan=True)
    bare = {"estimator": None, "uneventful": ()}
    assert replace(loaded, **bare) == replace(model, **bare)
    fallback = fit.baseline(sampled(past))
    assert fitted.from_bytes(*fitted.to_bytes(fallback)) == fallback


class Hostile:
    """What an attacker would put into the file."""

    def __reduce__(self):
        return os.system, ("true",)


def altered(model, **changes):
    content = skops.io.loads(fitted.to_bytes(model)[0], trusted=list(fitted.TRUSTED_TYPES))
    return skops.io.dumps({**content, **changes})


def test_how_many_threads_learned_changes_no_byte():
    def stored(threads):
        with threadpool_limits(limits=threads):
            return fitted.to_bytes(fit.fit_sample(sampled(decisions(20_000))))

    assert stored(1) == stored(2)


def test_foreign_bytes_are_refused(model):
    data, digest = fitted.to_bytes(model)
    with pytest.raises(ValueError, match="SHA-256"):
        fitted.from_bytes(data[:-1], digest)
    with pytest.raises(ValueError, match="Hostile"):
        fitted.from_bytes(altered(model, estimator=Hostile()))
    with pytest.raises(ValueError, match="unexpected estimator"):
        fitted.from_bytes(altered(model, estimator=LogisticRegression()))
    with pytest.raises(ValueError, match="other features"):
        fitted.from_bytes(altered(model, feature_names=["a"]))
    with pytest.raises(ValueError, match="unknown layout"):
        fitted.from_bytes(altered(model, format=99))
    with pytest.raises(OutdatedModelError, match="layout 1, this version reads 3"):
        fitted.from_bytes(altered(model, format=1, slope=1.0))
    with pytest.raises(OutdatedModelError, match="layout 2, this version reads 3"):
        fitted.from_bytes(altered(model, format=2))
    with pytest.raises(ValueError, match="unknown layout"):
        fitted.from_bytes(skops.io.dumps([1, 2]))
    with pytest.raises(ValueError, match="no model"):
        fitted.from_bytes(b"not a model")
    hollow = io.BytesIO()
    with zipfile.ZipFile(hollow, "w") as archive:
        archive.writestr("readme", "nothing")
    with pytest.raises(ValueError, match="no model"):
        fitted.from_bytes(hollow.getvalue())


def test_too_few_failures_give_the_baseline(past):
    few = past.slice(0, 200)
    fallback = fit.fit_sample(sampled(few))
    assert fallback.estimator is None
    scored = predict.predict(fallback, few)
    assert scored["failure_probability"].equals(scored["shrunken_probability"])
    with pytest.raises(ValueError, match="no decided outcome"):
        fit.baseline(sampled(past.slice(0, 0)))


def test_pending_rows_teach_nothing(past, model):
    index = FEATURES_SCHEMA.get_field_index("has_failed")
    pending = past.slice(0, 3000).set_column(index, FEATURES_SCHEMA.field(index), pa.nulls(3000, pa.bool_()))
    again = fit.fit_sample(sampled(pa.concat_tables([past, pending])))
    assert again.decision_count == model.decision_count
    assert again.base_rate == model.base_rate


def with_values(row: pa.Table, **values: float) -> pa.Table:
    for name, value in values.items():
        index = row.schema.get_field_index(name)
        row = row.set_column(index, row.schema.field(index), pa.array([value] * len(row), pa.float32()))
    return row


def test_abstention(past, model):
    calm = {"own_run_count": 30, "own_fail_count": 0, "own_hours_since_result": 5, "job_run_count": 31}
    calm |= {"job_hours_since_run": 5, "job_age_days": 30}  # a run a day
    row = with_values(past.slice(0, 1), **calm)
    cases = [
        ({}, None),
        ({"own_run_count": 3}, None),
        ({"own_run_count": 2}, "too_few_runs"),
        ({"own_hours_since_result": 24 * 14}, None),
        ({"own_hours_since_result": 24 * 14 + 1}, "stale_input"),
        ({"job_run_count": 3}, None),
        ({"job_run_count": 2, "own_run_count": 2}, "unseen_job"),
        ({"job_run_count": 0, "job_hours_since_run": math.nan, "job_age_days": 0}, "unseen_job"),
        ({"job_hours_since_run": 60}, None),  # two and a half of its usual intervals
        ({"job_hours_since_run": 73}, "stale_input"),
        ({"job_hours_since_run": 40, "job_run_count": 300}, None),  # under two days
        ({"job_hours_since_run": 49, "job_run_count": 300}, "stale_input"),
        ({"job_hours_since_run": 73, "job_run_count": 7}, None),  # a run in five days
    ]
    scored = predict.predict(model, pa.concat_tables([with_values(row, **change) for change, _ in cases]))
    assert scored.schema == predict.PREDICTIONS_SCHEMA
    assert scored["abstain_reason"].to_pylist() == [reason for _, reason in cases]


def test_a_job_that_was_not_obtained_gets_the_history_rate(past, model):
    some = past.slice(0, 200)
    calm = predict.predict(model, some)
    scored = predict.predict(model, some, not_obtained={3})
    is_lost = np.array(some["job_key"].to_pylist()) == 3
    assert set(scored.filter(pa.array(is_lost))["abstain_reason"].to_pylist()) == {"stale_input"}
    assert scored.filter(pa.array(~is_lost)).equals(calm.filter(pa.array(~is_lost)))
    shrunken = scored.filter(pa.array(is_lost))
    assert shrunken["failure_probability"].equals(shrunken["shrunken_probability"])
    assert predict.predict(model, some, not_obtained=set()).equals(calm)


def test_baselines_by_hand(past):
    row = with_values(past.slice(0, 1), own_run_count=8, own_fail_count=3, own_failed_last_1=1)
    values = predict.baseline_probabilities(row, 0.01)
    assert values["shrunken_history"] == pytest.approx([3.02 / 10])
    assert values["last_value"] == pytest.approx([0.999])
    assert values["base_rate"] == pytest.approx([0.01])


def test_reasons_are_readable_and_only_given_when_they_matter(past, model):
    broken = with_values(
        past.slice(0, 1),
        own_run_count=30,
        own_fail_count=6,
        own_fail_count_5=4,
        own_fail_streak_count=2,
        elsewhere_fail_count_24h=0,
    )
    calm = with_values(
        broken, own_fail_count_5=0, own_fail_count_20=0, own_fail_count=0, own_fail_streak_count=0
    )
    reasons = predict.predict(model, pa.concat_tables([broken, calm]))["top_reasons"].to_pylist()
    assert reasons[0][0] == "failed in 4 of last 5 runs"
    assert not [text for text in reasons[1] if not text or text.startswith("failed in")]
    assert len(reasons[0]) <= predict.MAX_REASONS


def test_the_baseline_gives_the_failures_it_counts_as_reasons(past, model):
    failing = with_values(
        past.slice(0, 1),
        own_run_count=30,
        own_fail_count=6,
        own_fail_count_5=0,
        own_fail_count_20=0,
        own_fail_streak_count=0,
    )
    calm = with_values(failing, own_fail_count=0)
    baseline = replace(model, estimator=None)
    reasons = predict.predict(baseline, pa.concat_tables([failing, calm]))["top_reasons"].to_pylist()
    assert [[text.split(",")[0] for text in texts] for texts in reasons] == [
        ["failed in 6 of all 30 runs"],
        [],
    ]


@pytest.mark.parametrize(
    ("failed", "total", "jobs", "text"),
    [
        (2, 8, 1, "failed 2 of 8 times in other jobs in 24 hours, now failing in 1"),
        (0, 8, 2, "now failing in 2 other jobs"),
        (0, 0, 2, "now failing in 2 other jobs"),
        (0, 8, 0, ""),
        (0, 0, 0, ""),
    ],
)
def test_what_happened_in_other_jobs_is_told_in_words(past, failed, total, jobs, text):
    row = with_values(
        past.slice(0, 1),
        elsewhere_fail_count_24h=failed,
        elsewhere_result_count_24h=total,
        elsewhere_failing_job_count=jobs,
    )
    assert predict.reason_texts(row)["elsewhere"] == [text]


def test_shares_are_told_with_one_decimal(past):
    row = with_values(past.slice(0, 1), job_fail_ratio_last_1=0.006, job_mass_failure_count_10=0)
    assert predict.reason_texts(row)["job"] == [
        "0.6 % of the job's tests failed in its previous run, 0 of its last 10 runs broke widely"
    ]


def test_nothing_to_score(past, model):
    assert predict.predict(model, past.slice(0, 0)).to_pylist() == []
