"""For every hand-written rule, rows in which it fails; and what a good row needs besides the examples."""

from __future__ import annotations

from typing import Any

Sample = list[dict[str, Any]]

GOOD: dict[str, dict[str, Any]] = {
    "core.ci_jobs": {"is_upgrade": True},
    "predictions.test_failure_outcomes": {"known_at": "2021-06-23T00:00:00Z"},
    "predictions.accuracy": {"failure_count": 1},
}

ALIKE: dict[str, Sample] = {
    "core.ci_jobs": [
        {"job_key": 1, "job_name": "a", "ci_instance": "prow"},
        {"job_key": 2, "job_name": "a", "ci_instance": "prow:kubernetes"},
    ],
    # A name may be of blanks that are no spaces: Spark takes these for letters, and so must all.
    "core.tests": [{"test_name": "\u00a0"}, {"test_key": 2, "test_name": "\u3000"}],
    # Two runs of a job may start at the same instant.
    "kpi.weekly_test_health": [
        {"last_good_at": "2021-06-21T12:00:00Z", "started_failing_at": "2021-06-21T12:00:00Z"}
    ],
}
"""Rows that look as if they were one and are not: all rules of their tables hold."""

BAD: dict[str, dict[str, Sample]] = {
    "core.ci_jobs": {
        "job_name_not_blank": [{"job_name": "  "}],
        "job_name_unique": [{"job_key": 1, "job_name": "a"}, {"job_key": 2, "job_name": "a"}],
        "from_release_needs_upgrade": [{"from_release": "4.7", "is_upgrade": False}],
    },
    "core.ci_runs": {
        "counts_add_up": [{"test_count": 1, "passed_count": 1, "failed_count": 1}, {"result_count": 0}],
        "started_at_plausible": [{"started_at": "2013-12-31T23:59:59Z"}],
        "started_at_mostly_plausible": [
            {"started_at": "2021-06-24T00:00:00Z", "known_at": "2021-06-22T00:00:00Z"}
        ],
        "run_date_is_start_day": [{"started_at": "2021-06-21T23:59:59Z", "run_date": "2021-06-22"}],
        "build_id_not_blank": [{"build_id": ""}],
        "build_unique": [{"run_key": 1, "build_id": "7"}, {"run_key": 2, "build_id": "7"}],
        "most_runs_have_results": [{"result_count": 0}, {"result_count": 0}, {"result_count": 2}],
    },
    "core.tests": {
        "test_name_not_blank": [{"test_name": " "}],
        "test_name_unique": [{"test_key": 1, "test_name": "a"}, {"test_key": 2, "test_name": "a"}],
        "test_name_short": [{"test_name": "x" * 4001}],
    },
    "core.test_results": {
        "run_date_is_start_day": [{"started_at": "2021-06-21T00:00:00Z", "run_date": "2021-06-20"}],
        "known_after_start": [{"started_at": "2021-06-21T13:00:00Z", "known_at": "2021-06-21T12:59:59Z"}],
        "failed_share_below_half": [
            {"test_status": "failed"},
            {"test_status": "timed_out"},
            {"test_status": "passed"},
        ],
        "running_share_small": [{"test_status": "running"}, {"test_status": "passed"}],
    },
    "kpi.daily_job_health": {
        "run_parts_add_up": [{"run_count": 1, "run_passed_count": 1, "run_failed_count": 1}],
        "has_runs": [{"run_count": 0, "run_passed_count": 0}],
        "pass_ratio_consistent": [
            {"passed_count": 1, "failed_count": 1, "pass_ratio": 1.0},
            {"passed_count": 0, "failed_count": 0, "pass_ratio": 0.0},
            {"passed_count": 1, "failed_count": 1, "pass_ratio": None},
        ],
        "last_failure_known": [{"last_failed_at": "2021-06-21T13:00:00Z"}],
        "failing_tests_have_failures": [{"failing_test_count": 1, "failed_count": 0}],
        "failing_tests_match_their_keys": [{"failing_test_count": 1, "failed_count": 1}],
        "job_name_not_blank": [{"job_name": ""}],
        "few_jobs_are_down": [{"pass_ratio": 0.0}, {"pass_ratio": 1.0}],
    },
    "kpi.weekly_test_health": {
        "parts_add_up": [{"result_count": 4}],
        "has_results": [{"result_count": 0}],
        "stretches_have_failures": [{"stretch_count": 2}],
        "breaks_begin_stretches": [{"broken_count": 2}],
        "last_failure_known": [{"last_failed_at": None}],
        "start_of_failing_known": [
            {"started_failing_at": None},
            {"good_before_count": 4},
            {"failed_since_count": 9},
            {"result_since_count": 1},
            {"last_good_at": "2021-06-22T00:00:00Z"},
            {"broken_count": 0},
        ],
        "failing_needs_failures": [{"failed_count": 0, "is_failing": True}],
        "fix_time_needs_fix": [{"fixed_count": 0, "fix_seconds": 1.0}],
        "week_begins_on_monday": [{"week_date": "2021-06-22"}],
        "names_not_blank": [{"job_name": " "}, {"test_name": ""}],
    },
    "kpi.failing_pairs": {
        "together_within_failures": [{"together_count": 5}, {"together_count": 4, "failed_count": 9}],
        "failures_within_runs": [{"failed_count": 101}],
        "pair_fails_together": [{"together_count": 2}, {"failure_correlation": 0.4}],
        "no_pair_with_itself": [{"test_key": 7, "other_test_key": 7}],
        "week_begins_on_monday": [{"week_date": "2021-06-22"}],
        "names_not_blank": [{"other_test_name": " "}, {"test_name": ""}],
    },
    "kpi.likely_failures": {
        "likely_enough": [{"failure_probability": 0.001}, {"failure_probability": 1.0}],
        "names_not_blank": [{"job_name": " "}, {"test_name": ""}],
        "failed_before_decision": [{"last_failed_at": "2021-06-22T00:00:00Z"}],
    },
    "kpi.daily_predictions": {
        "abstentions_within_predictions": [{"too_few_runs_count": 4, "measured_count": 0}],
        "measured_were_answered": [{"measured_count": 3}],
        "failures_were_measured": [{"failure_count": 3}, {"expected_failures": 2.5}],
        "losses_not_negative": [{"model_loss": -1.0}],
    },
    "kpi.calibration_bins": {
        "bin_holds_its_forecasts": [{"expected_failures": 0.5}],
        "failures_within_decisions": [{"failure_count": 11}],
    },
    "predictions.test_failure": {
        "probability_not_certain": [{"failure_probability": 1.0}, {"failure_probability": 0.0}],
        "abstains_on_a_minority": [{"abstain_reason": "stale_input"}],
        "scored_after_decision_day": [{"prediction_date": "2021-06-21", "scored_at": "2021-06-20T23:00:00Z"}],
        "likely_failures_have_reasons": [{"failure_probability": 0.4, "top_reasons": None}],
        "model_version_not_blank": [{"model_version": ""}],
    },
    "predictions.test_failure_outcomes": {
        "outcome_after_decision_day": [
            {"prediction_date": "2021-06-21", "outcome_at": "2021-06-21T23:59:59Z"}
        ],
        "outcome_within_horizon": [{"prediction_date": "2021-06-21", "outcome_at": "2021-07-07T00:00:00Z"}],
        "known_after_outcome": [{"outcome_at": "2021-06-22T05:00:00Z", "known_at": "2021-06-22T04:59:59Z"}],
        "failed_share_below_half": [{"has_failed": True}, {"has_failed": True}, {"has_failed": False}],
    },
    "predictions.accuracy": {
        "brier_in_range": [{"brier": 1.5}],
        "calibration_error_in_range": [{"calibration_error": -0.1}],
        "average_precision_in_range": [{"average_precision": 1.01}],
        "log_loss_finite": [{"log_loss": -1.0}, {"log_loss": float("nan")}, {"log_loss": float("inf")}],
        "failures_within_decisions": [{"failure_count": 2, "decision_count": 1}],
        "precision_needs_failures": [{"failure_count": 1, "average_precision": None}],
    },
}
