"""The declaration of the model: what it forecasts, about what, when, from what, and when it is believed."""

from __future__ import annotations

from dataclasses import dataclass

from cilake.contracts.model_spec import Gate, Model

#: Entities without a result for this long are not scored: the job or the test is gone.
ACTIVE_DAYS = 14
#: Below this many earlier results the history says too little for a probability.
MINIMUM_RUNS = 3
#: A job is silent when its newest known run is older than this many of its usual intervals, and than so many
#: hours: its runs are missing or it has stopped, and what is known of it is not what it is like now.
SILENT_INTERVALS = 3
SILENT_HOURS = 48
#: Pseudo-runs behind every shrunken rate.
SHRINKAGE_RUNS = 2.0
#: Failures assumed in those pseudo-runs where a feature needs a constant (1 % of results fail).
FEATURE_PRIOR = 0.02
#: Results of one test in one job that the flip rate looks back on.
FLIP_WINDOW = 20
#: A failure in a run in which less than this share of the tests failed is the test's own doing.
ISOLATED_RATIO = 0.05


@dataclass(frozen=True, slots=True)
class Feature:
    """One input column, known before the run of which it foretells a result."""

    name: str
    description: str
    group: str


def _group(group: str, **descriptions: str) -> tuple[Feature, ...]:
    return tuple(Feature(name, text, group) for name, text in descriptions.items())


FEATURE_LIST = (
    *_group(
        "recent",
        own_failed_last_1="1 if the test's previous result in the job was a failure",
        own_fail_count_3="failures among the last 3 results",
        own_fail_count_5="failures among the last 5 results",
        own_fail_count_10="failures among the last 10 results",
        own_fail_count_20="failures among the last 20 results",
        own_decayed_fail_score="failures of the last 24 results, each counting half after 4 further results",
        own_isolated_fail_count_10="failures of the last 10 results in runs where few other tests failed",
        own_fail_streak_count="failures in a row up to the previous result",
        own_clean_streak_count="results in a row without a failure up to the previous result",
        own_hours_since_failure="hours since the test last failed in the job (missing if never)",
        own_last_failure_run_ratio="share of tests that failed together with it when it last failed",
    ),
    *_group(
        "history",
        own_run_count="all earlier results of the test in the job",
        own_fail_count="all earlier failures of the test in the job",
        own_fail_log_odds="log-odds of the shrunken rate of failure over all earlier results",
        own_flaky_count_10="flaky results among the last 10",
        own_flaky_ratio="share of flaky results among all earlier ones",
        own_flip_rate="flip rate (0-100) of the last 20 results, newest first",
        own_hours_since_result="hours since the test last had a result in the job",
        own_age_days="days since the test's first result in the job",
    ),
    *_group(
        "elsewhere",
        elsewhere_result_count_24h="results of the test in other jobs in the last 24 hours",
        elsewhere_fail_count_6h="failures of the test in other jobs in the last 6 hours",
        elsewhere_fail_count_24h="failures of the test in other jobs in the last 24 hours",
        elsewhere_fail_log_odds_24h="log-odds of the shrunken rate of failure in other jobs, last 24 hours",
        elsewhere_fail_log_odds_7d="log-odds of the shrunken rate of failure in other jobs, last 7 days",
        elsewhere_flaky_ratio_7d="share of flaky results of the test in other jobs, last 7 days",
        elsewhere_failing_job_count="other jobs whose latest result of the test failed, at most 3 days ago",
        test_fail_count_last_10="failures among the last 10 results of the test in any job",
        test_fail_count_last_50="failures among the last 50 results of the test in any job",
        test_fail_log_odds="log-odds of the shrunken rate of failure of the test in all jobs, all time",
        test_hours_since_failure="hours since the test last failed in any job (missing if never)",
        test_age_days="days since the test's first result in any job",
    ),
    *_group(
        "job",
        job_fail_ratio_last_1="share of the tests that ran in the job's previous run that failed",
        job_fail_ratio_last_3="mean share of failed tests in the job's last 3 runs",
        job_fail_ratio_last_10="mean share of failed tests in the job's last 10 runs",
        job_fail_count_last_1="tests that failed in the job's previous run",
        job_mass_failure_count_10="of the job's last 10 runs, those where over 5 % of the tests failed",
        job_test_count_change="tests that ran in the job's previous run relative to the mean of its last 10",
        job_hours_since_run="hours since the job's previous run",
        job_run_count="earlier runs of the job",
        job_age_days="days since the job's first run",
        platform_fail_ratio_6h="share of failed results in the runs of all jobs in the last 6 hours",
        platform_fail_ratio_24h="share of failed results in the runs of all jobs in the last 24 hours",
    ),
)

MODEL = Model(
    name="test_failure",
    question="Will this test fail (status `failed`) in the next run of this job that reports it?",
    # A build publishes observations, then results, then runs.
    inputs=("core.ci_runs", "core.test_results", "core.ci_run_observations", "core.tests"),
    label="has_failed",
    scorers={
        "model": "failure_probability",
        "shrunken_history": "shrunken_probability",
        "base_rate": "base_rate_probability",
        "last_value": "last_value_probability",
    },
    gate=Gate(
        metric="log_loss",
        baseline="shrunken_history",
        block_by="job_key",
        pooled_days=28,
        minimum_improvement=0.05,
        tail=0.05,
        resamples=1000,
        minimum_failures=100,
        minimum_failing_blocks=20,
        must_not_worsen=("brier", "average_precision"),
        calibration_factor=2.0,
        calibration_deviations=3.0,
        probation_nights=14,
        champion_days=56,
    ),
)

#: Feature columns in the order the estimator is given them.
FEATURES: tuple[str, ...] = tuple(feature.name for feature in FEATURE_LIST)
