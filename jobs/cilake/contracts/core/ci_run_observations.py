"""What each source showed of a run, and when: ``core.ci_runs`` and ``core.test_results`` follow from it."""

from cilake.contracts.core.ci_runs import FACTS
from cilake.contracts.model import Column, Table
from cilake.contracts.vocabulary.ci import JOB_KEY, RUN_DATE, RUN_KEY, STARTED_AT
from cilake.contracts.vocabulary.payload import DECODER_VERSION, LANDED_DATE, NATURAL_ID

TABLE = Table(
    address="core.ci_run_observations",
    title="Observations of CI runs",
    grain="One row per content of a run that a part of a source began to show.",
    description="A row is added when a payload shows a run otherwise than the payload before it did; contents "
    "A, B, A are three rows. Nothing is changed or removed, so what was known at any instant can be queried; only a "
    "rebuild replaces what the same version of the decoder had read otherwise from the same payload.",
    columns=(
        RUN_KEY,
        Column("source", "string", "Source that showed the run.", example="testgrid"),
        NATURAL_ID,
        Column(
            "seen_at",
            "timestamp",
            "When the payload was served, by the source's own clock, UTC.",
            example="2021-06-22T00:00:00Z",
        ),
        DECODER_VERSION,
        JOB_KEY,
        Column("build_id", "string", "Build id in the CI system.", example="1321"),
        STARTED_AT,
        RUN_DATE,
        *FACTS,
        LANDED_DATE,
        Column("test_keys", "array<bigint>", "Keys of the tests with a result, verdict rows included.", example=[31, 32]),
        Column("test_statuses", "array<string>", "Their statuses, in the same order.", example=["passed", "passed"]),
        Column("messages", "array<string>", "Their messages or null, in the same order.", example=[None, None]),
    ),
    primary_key=("run_key", "source", "natural_id", "seen_at", "content_hash", "decoder_version"),
    write_mode="append",
    partition_by=("months(run_date)",),
    sort_by=("job_key", "started_at"),
    made_by="build_core_ci",
    freshness_hours=36,
    shown_on="ci-health",
    caveats=(
        "A run shown by several tabs has rows of each; core.ci_runs has the content that changed last.",
        "A content is known from seen_at on, whatever day it was landed for (landed_date).",
    ),
    example_query="select run_key, count(*) as content_count from core.ci_run_observations group by 1 "
    "having count(*) > 1 order by 2 desc limit 10",
)
