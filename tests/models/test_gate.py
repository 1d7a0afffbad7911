"""The gate lets nothing through that is worse, by chance better, or says what does not happen."""

from dataclasses import fields, replace

import numpy as np
import pytest

from cilake.contracts.model_spec import Gate
from cilake.models.comparison import relative_gain
from cilake.models.gate import (
    Evidence,
    Served,
    blocks_of,
    judge_challenger,
    judge_champion,
)
from cilake.models.test_failure.spec import MODEL

SIZE, BLOCKS = 60_000, 300
RULE = MODEL.gate


def odds(probability):
    return np.log(probability / (1 - probability))


def chance(values):
    return 1 / (1 + np.exp(-values))


def world(*, noise=1.0, seed=0, **forecasts):
    """Decisions whose chances the model knows, and the baseline knows with noise in the log-odds."""
    rng = np.random.default_rng(seed)
    truth = rng.beta(0.3, 12.0, SIZE).clip(1e-4, 0.99)
    usual = {"model": truth, "shrunken_history": chance(odds(truth) + rng.normal(0, noise, SIZE))}
    base = {"base_rate": np.full(SIZE, truth.mean()), "last_value": np.where(truth > 0.5, 0.999, 0.001)}
    given = {name: value(truth, rng) if callable(value) else value for name, value in forecasts.items()}
    failed = rng.random(SIZE) < truth
    return Evidence(usual | base | given, failed, np.arange(SIZE) % BLOCKS, np.ones(SIZE))


def reasons(evidence, rule=RULE):
    verdict = judge_challenger(evidence, rule)
    assert verdict.passed is (not verdict.reasons)
    return " | ".join(verdict.reasons)


def test_a_better_model_passes_and_the_verdict_says_how_much_better():
    verdict = judge_challenger(world(), RULE)
    assert verdict.passed, verdict.reasons
    gain = verdict.gains["shrunken_history"]
    assert gain.lower > 0.05 and gain.lower < gain.point < gain.upper
    assert verdict.text.startswith("gain over shrunken_history ")


def test_the_baseline_itself_does_not_pass():
    evidence = world()
    own = {**evidence.forecasts, "model": evidence.forecasts["shrunken_history"]}
    assert "0.0% below that of shrunken_history" in reasons(replace(evidence, forecasts=own))


def test_forecasting_nothing_for_everybody_does_not_pass_and_is_not_calibrated():
    text = reasons(world(model=np.zeros(SIZE)))
    assert "calibration: 0.1 failures forecast where" in text


@pytest.mark.parametrize("factor", [0.3, 3.0])
def test_forecasts_that_are_off_by_a_factor_are_not_calibrated(factor):
    text = reasons(world(model=lambda truth, rng: np.minimum(truth * factor, 0.99)))
    assert "(probabilities all)" in text


def test_what_the_baseline_forecasts_even_worse_is_not_held_against_the_model():
    """Refused, the model would leave the same decisions to the baseline, which is further off."""

    def off_by(factor):
        return lambda truth, rng: np.minimum(truth * factor, 0.99)

    assert "calibration" not in reasons(world(model=off_by(3.0), shrunken_history=off_by(6.0)))
    assert "(probabilities all)" in reasons(world(model=off_by(6.0), shrunken_history=off_by(3.0)))


def test_one_outage_is_not_held_against_the_calibration():
    """A broken run of a thousand rows is one event: whole blocks are what chance is measured by."""
    evidence = world()
    failed = evidence.has_failed.copy()
    failed[evidence.block == 7] = True
    text = reasons(replace(evidence, has_failed=failed))
    assert "calibration" not in text


def test_a_gain_that_one_lucky_block_brought_does_not_pass():
    evidence = world()
    rng = np.random.default_rng(5)
    model = chance(odds(evidence.forecasts["shrunken_history"]) + rng.normal(0, 0.1, SIZE))
    failed = evidence.has_failed.copy()
    lucky = evidence.block == 7
    failed[lucky] = True
    model[lucky] = 0.9
    lucky_evidence = replace(evidence, forecasts={**evidence.forecasts, "model": model}, has_failed=failed)
    verdict = judge_challenger(lucky_evidence, RULE)
    assert verdict.gains["shrunken_history"].point >= RULE.minimum_improvement
    assert "it may be chance that log_loss is below that of shrunken_history" in verdict.reasons


def test_the_champion_is_to_be_beaten_too():
    assert "that of champion" in reasons(world(champion=lambda truth, rng: truth))
    noisy = world(champion=lambda truth, rng: chance(odds(truth) + rng.normal(0, 1.0, SIZE)))
    assert reasons(noisy) == ""


@pytest.mark.parametrize("scorer", ["base_rate", "last_value"])
def test_no_baseline_may_be_better(scorer):
    evidence = world(model=lambda truth, rng: chance(odds(truth) + rng.normal(0, 0.2, SIZE)))
    rival = {**evidence.forecasts, scorer: evidence.has_failed * 0.998 + 0.001}
    assert reasons(replace(evidence, forecasts=rival)) == f"log_loss is not below that of {scorer}"


def test_forecasts_that_are_missing_are_named():
    evidence = world()
    alone = {"model": evidence.forecasts["model"]}
    assert reasons(replace(evidence, forecasts=alone)) == "no forecasts of shrunken_history"


#: For every threshold of the gate a value under which good evidence fails, and the reason given then.
STRICT = {
    "metric": ("brier", "brier is"),
    "baseline": ("base_rate", None),
    "minimum_improvement": (0.9, "not 90% or more"),
    "tail": (1e-9, None),
    "resamples": (1, None),
    "minimum_failures": (10**6, "fewer than the 1,000,000"),
    "minimum_failing_blocks": (BLOCKS + 1, "fewer than the 301"),
    "must_not_worsen": (("calibration_error",), "calibration_error"),
    "calibration_factor": (1.0, "calibration:"),
    "calibration_deviations": (0.0, None),
}
ELSEWHERE = {"block_by", "pooled_days", "probation_nights", "champion_days"}


def test_every_threshold_is_tried():
    assert set(STRICT) | ELSEWHERE == {field.name for field in fields(Gate)}


@pytest.mark.parametrize("name", [name for name, (_, reason) in STRICT.items() if reason])
def test_every_threshold_of_the_declaration_decides(name):
    value, reason = STRICT[name]
    evidence = world()
    rule = replace(RULE, **{name: value})
    if name == "metric":
        rule = replace(rule, minimum_improvement=0.9)
    if name == "must_not_worsen":
        off = world(model=lambda truth, rng: np.minimum(truth * 1.3, 0.99), shrunken_history=lambda t, r: t)
        evidence = off
    if name == "calibration_factor":
        evidence = world(
            model=lambda truth, rng: np.minimum(truth * 1.2, 0.99),
            shrunken_history=lambda truth, rng: np.full(SIZE, truth.mean()),
        )
    assert reason in reasons(evidence, rule)


def test_the_thresholds_of_chance_decide():
    slight = world(model=lambda truth, rng: np.minimum(truth * 1.9, 0.99), seed=3)
    exact = replace(RULE, calibration_factor=1.88)
    assert "calibration" not in reasons(slight, exact)
    assert "(probabilities all)" in reasons(slight, replace(exact, calibration_deviations=0.0))
    narrow = judge_challenger(world(), replace(RULE, tail=0.4)).gains["shrunken_history"]
    wide = judge_challenger(world(), RULE).gains["shrunken_history"]
    assert wide.lower < narrow.lower < narrow.upper < wide.upper
    single = judge_challenger(world(), replace(RULE, resamples=1)).gains["shrunken_history"]
    assert single.lower == single.upper
    assert list(judge_challenger(world(), replace(RULE, baseline="base_rate")).gains) == ["base_rate"]


def test_bounds_hold_what_they_say_and_repeat():
    rng = np.random.default_rng(0)
    lower = []
    for _ in range(200):
        theirs = rng.gamma(0.5, size=200)
        ours = theirs * 0.9 + rng.normal(0, 0.3, size=200)
        gain = relative_gain(ours, theirs, tail=0.05, resamples=300)
        lower.append(gain.lower > 0.1)
        assert gain == relative_gain(ours, theirs, tail=0.05, resamples=300)
    assert 0.01 < np.mean(lower) < 0.12
    with pytest.raises(ValueError, match="2 and 3 blocks"):
        relative_gain(np.ones(2), np.ones(3), tail=0.05, resamples=9)


def served(gain, *, nights=28, blocks=200, failures=2.0, spread=0.05):
    rng = np.random.default_rng(1)
    baseline = rng.gamma(2.0, size=blocks)
    model = baseline * (1 - gain + rng.normal(0, spread, blocks))
    return Served(model, baseline, np.full(blocks, failures), nights)


def test_a_champion_goes_on_while_it_is_surely_better():
    assert judge_champion(served(0.1), RULE).passed


def test_a_champion_that_is_worse_is_demoted_at_once():
    verdict = judge_champion(served(-0.1, nights=3), RULE)
    assert not verdict.passed
    assert verdict.text.startswith("worse than shrunken_history on what it predicted; gain over shrunken")


@pytest.mark.parametrize(
    ("nights", "passed"), [(RULE.probation_nights - 1, True), (RULE.probation_nights, False)]
)
def test_doubt_demotes_after_the_probation(nights, passed):
    assert judge_champion(served(0.0, nights=nights, spread=0.3), RULE).passed is passed


def test_too_few_failures_demote_nobody():
    assert judge_champion(served(-0.5, failures=0.1), RULE).passed
    assert judge_champion(served(-0.5, blocks=RULE.minimum_failing_blocks - 1, failures=50.0), RULE).passed


def test_a_block_is_a_day_of_a_job():
    import pyarrow as pa
    from tests.models.test_failure.worlds import hours

    started = pa.chunked_array([pa.array([hours(1), hours(20), hours(1), hours(30)])])
    block = blocks_of(started, pa.chunked_array([pa.array([5, 5, 6, 5])]))
    assert block[0] == block[1]
    assert len(set(block.tolist())) == 3
