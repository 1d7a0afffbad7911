"""CI jobs, with what their names say about them."""

from cilake.contracts.model import Column, Table
from cilake.contracts.vocabulary.ci import JOB_KEY, JOB_NAME, PLATFORM, RELEASE


def _variant(name: str, description: str, example: str) -> Column:
    return Column(name, "string", f"{description}, parsed from the job name.", nullable=True, example=example)


TABLE = Table(
    address="core.ci_jobs",
    title="CI jobs",
    grain="One row per job of a CI system.",
    description="Every job that any landed payload mentions, with the variants its name declares.",
    columns=(
        JOB_KEY,
        Column("ci_system", "string", "CI system that runs the job.", example="prow"),
        Column(
            "ci_instance",
            "string",
            "Installation of the CI system: the system alone, or with a name after a colon; part of the keys.",
            example="prow",
        ),
        JOB_NAME,
        RELEASE,
        _variant("from_release", "Release an upgrade job starts from", "4.7"),
        PLATFORM,
        _variant("network", "Network plug-in, address family or proxy set-up", "ovn"),
        _variant("architecture", "Processor architecture, when not the default", "s390x"),
        Column("is_upgrade", "boolean", "The job upgrades the product under test.", example=False),
        Column("is_serial", "boolean", "The job runs its tests one after another.", example=False),
        Column("is_fips", "boolean", "The job runs in FIPS mode.", example=False),
    ),
    primary_key=("job_key",),
    write_mode="merge",
    made_by="build_core_ci",
    freshness_hours=36,
    shown_on="ci-health",
    caveats=(
        "Variants come from naming habits; a name that says nothing leaves them null.",
        "Jobs of two CI instances may have one name: join and group by job_key; a filter by name shows both.",
    ),
    example_query="select release, platform, count(*) as job_count from core.ci_jobs group by 1, 2 order by 3 desc",
)
