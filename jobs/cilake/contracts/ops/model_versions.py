"""The registry of trained models."""

from cilake.contracts.columns import MODEL_NAME
from cilake.contracts.model import Column, Table

TABLE = Table(
    address="ops.model_versions",
    title="Model versions",
    grain="One row per trained version of a model.",
    description="Every trained version with its gate verdict. The champion is the newest promoted version.",
    columns=(
        MODEL_NAME,
        Column("model_version", "string", "Version of the model: training day and content hash.", example="2021-06-21-abcdef12"),
        Column("trained_through_date", "date", "Last day whose results were used.", example="2021-06-21"),
        Column("is_promoted", "boolean", "The version passed the gate and serves.", example=True),
        Column("gate_reasons", "string", "Why it passed or failed the gate.", example="log loss 12 % below shrunken_history"),
        Column("artifact_url", "string", "Address of the artifact.", nullable=True, example="s3://lake/models/x"),
        Column("artifact_sha256", "string", "SHA-256 of the artifact.", nullable=True, example="0" * 64),
        Column("manifest", "string", "Code version, contract versions, data snapshots, counts and metrics, as JSON.", example="{}"),
        Column("trained_at", "timestamp", "When training ended, by our clock, UTC.", example="2021-06-22T00:01:00Z"),
    ),
    primary_key=("model_name", "model_version"),
    write_mode="append",
    inputs=("core.test_results", "core.ci_runs"),
    made_by="train_test_failure",
    example_query="select model_version, is_promoted, gate_reasons from ops.model_versions order by trained_at desc",
)  # fmt: skip
