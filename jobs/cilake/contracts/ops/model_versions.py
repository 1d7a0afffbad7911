"""The registry of trained models."""

from cilake.contracts.model import Column, Table
from cilake.contracts.vocabulary.prediction import MODEL_NAME

TABLE = Table(
    address="ops.model_versions",
    title="Model versions",
    grain="One row per verdict on a version of a model: the gate's at its training, and its demotion if it came to that.",
    description="Every trained version with its gate verdict. The champion is the newest promoted version unless it was demoted or is "
    "too old; then the baseline serves. `train` appends the gate's verdict; `measure` judges the champion every night by what "
    "it predicted and appends its demotion.",
    columns=(
        MODEL_NAME,
        Column("model_version", "string", "Version of the model: training day and content hash.", example="2021-06-21-abcdef12"),
        Column("trained_through_date", "date", "Last day whose results were used.", example="2021-06-21"),
        Column("status", "string", "The verdict.", allowed=("promoted", "rejected", "demoted"), example="promoted"),
        Column("decided_date", "date", "Day of the verdict; a demotion holds for the predictions of later days.", example="2021-06-21"),
        Column("is_promoted", "boolean", "The version passed the gate; of a demotion false.", example=True),
        Column("gate_reasons", "string", "What the verdict is based on.", example="log loss 12 % below shrunken_history"),
        Column("artifact_url", "string", "Address of the artifact.", nullable=True, example="s3://lake/models/x"),
        Column("artifact_sha256", "string", "SHA-256 of the artifact.", nullable=True, example="0" * 64),
        Column("manifest", "string", "Code version, contract versions, data snapshots, counts and metrics, as JSON; of a demotion empty.", example="{}"),
        Column("trained_at", "timestamp", "When the verdict was given, by our clock, UTC.", example="2021-06-22T00:01:00Z"),
    ),
    primary_key=("model_name", "model_version", "status"),
    write_mode="append",
    caveats=(
        "The snapshots that a version was trained on are kept for 400 days by the tag `train_<model_name>_<trained_through_date>` on "
        "the tables that the manifest names.",
    ),
    made_by="train",
    shown_on="predictions",
    example_query="select model_version, status, decided_date, gate_reasons from ops.model_versions order by trained_at desc",
)
