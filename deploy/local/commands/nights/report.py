"""What nights that were played came to, as tables on the terminal."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from deploy.local.commands import urls
from deploy.local.layout import Layout
from deploy.local.services.trino_client import ask

LAND = "land_testgrid"
COUNTED = (
    (LAND, "landed"),
    (LAND, "unchanged"),
    ("build_core_ci", "core.ci_runs"),
    ("build_core_ci", "core.test_results"),
    ("build_kpi_ci_health", "kpi.daily_job_health"),
    ("score_test_failure", "predictions.test_failure"),
    ("measure_test_failure", "predictions.test_failure_outcomes"),
    ("measure_test_failure", "predictions.accuracy"),
)
"""The counts of the closing table, as the jobs return them: payloads landed, then rows written."""
LOST = ("missing", "rejected", "unlisted", "stale", "gap")
"""The counts of payloads that a landing did not obtain, or not whole."""

_PREDICTIONS = """
select j.job_name, t.test_name, round(p.failure_probability, 4) as failure_probability,
       p.top_reasons, p.abstain_reason, p.model_version
from predictions.test_failure p
join core.ci_jobs j on j.job_key = p.job_key
join core.tests t on t.test_key = p.test_key
where p.prediction_date = date '{last}'
order by p.abstain_reason is not null, p.failure_probability desc, 1, 2
limit 12
"""
_ACCURACY = """
select prediction_date, model_name, model_version, scorer, decision_count, failure_count,
       round(brier, 5) as brier, round(log_loss, 5) as log_loss,
       round(average_precision, 4) as average_precision, round(calibration_error, 5) as calibration_error
from predictions.accuracy
where prediction_date > date '{last}' - interval '28' day and prediction_date <= date '{last}'
order by prediction_date, model_name, model_version, scorer
"""


@dataclass(frozen=True)
class Night:
    """One played night: what each DAG returned and how long it all took."""

    day: str
    counts: Mapping[str, Mapping[str, Any]]
    seconds: float


def report(here: Layout, settings: Mapping[str, str], played: Sequence[Night]) -> None:
    """Print what each night wrote, what is predicted, what came of it, and where to look next."""
    trino = settings["CILAKE_TRINO_URL"]
    print("\nRows written per night, corrected ones included")
    names = ["night", *(key for _, key in COUNTED), "seconds"]
    print_table(names, [_row(night) for night in played])
    for night in played:
        landed = night.counts.get(LAND, {})
        if lost := ", ".join(f"{landed[key]} {key}" for key in LOST if landed.get(key)):
            print(f"{night.day} is incomplete: {lost}; see ops.fetches")
    print("\nPredictions of the last night, read through Trino (likeliest failures first)")
    last = played[-1].day
    _print_answer(trino, _PREDICTIONS.format(last=last), "(none: nothing is known that could be predicted)")
    print("\nWhat came of earlier predictions: the model next to its baselines")
    print("(the model is shrunken_history itself until one that is better was trained)")
    _print_answer(
        trino, _ACCURACY.format(last=last), "(nothing yet: the next night brings the first outcomes)"
    )
    print("\nWhere to look next", flush=True)
    urls.print_urls(here, as_json=False)


def _print_answer(trino: str, query: str, nothing: str) -> None:
    columns, rows = ask(trino, query)
    if rows:
        print_table(columns, rows)
    else:
        print(nothing)


def _row(night: Night) -> list[Any]:
    """Return what each DAG counted, by the address of the table; blank where it counted nothing."""
    return [
        night.day,
        *(night.counts.get(dag_id, {}).get(key, "") for dag_id, key in COUNTED),
        round(night.seconds),
    ]


def print_table(columns: Sequence[str], rows: Sequence[Sequence[Any]], widest: int = 60) -> None:
    """Print rows under their column names, aligned; long values are cut in the middle.

    Names come from outside: what is no sign to be printed, such as an escape, is replaced.
    """

    def text(value: Any) -> str:
        word = "" if value is None else str(value)
        word = "".join(sign if sign.isprintable() else "\N{REPLACEMENT CHARACTER}" for sign in word)
        return word if len(word) <= widest else f"{word[: widest // 2 - 1]}…{word[-widest // 2 :]}"

    cells = [[text(value) for value in row] for row in rows]
    widths = [max(map(len, column)) for column in zip(columns, *cells, strict=True)]
    for row in [list(columns), ["-" * width for width in widths], *cells]:
        print("  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip())
