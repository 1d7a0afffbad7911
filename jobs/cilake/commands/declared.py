"""The commands as data: their help, examples and arguments, and the function that does each.

The function is imported when it is called, as Spark is slow to import. It is given what its parameters
name: ``settings``, ``window`` (of ``--start`` and ``--end``), the arguments of the command, or all of them as
``arguments``. What it returns is printed as JSON.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from cilake.commands.steps import OF_MODELS, objects_of
from cilake.models.registry import model
from cilake.sources.registry import source_names

CONDITIONS = """\
conditions:
  run_count >= 3                             a number; also: = != < <= >
  test_status = 'failed'                     a text; write a quote in it twice
  run_date >= '2026-02-20'                   a day
  started_at < '2026-02-20T12:00:00+00:00'   an instant, with seconds and zone
  is_upgrade = true                          or false
  run_count between 1 and 3                  both included
  test_status in ('failed', 'flaky')         also: not in
  job_name like 'periodic-%'                 begins with: % at the end only, _ is no wildcard; also: not like
  release is null                            also: is not null
  pass_ratio is nan                          also: is not nan, which nulls meet as well
  run_count > 1 and (release = '4.8' or not pass_ratio < 0.5)
A null meets no other condition. Columns are written as `cilake describe` shows them."""
"""The conditions that can be written to read rows."""


@dataclass(frozen=True, slots=True)
class Argument:
    """An argument of a command, in words of ``argparse``."""

    names: tuple[str, ...]
    options: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Command:
    """A command: ``work`` is ``module:function``; one that ``reads`` finds its settings as an analyst's.

    Work that ``is_handed_over`` is done by the job server where there is one.
    """

    name: str
    help: str
    work: str
    arguments: tuple[Argument, ...] = ()
    examples: tuple[str, ...] = ()
    description: str = ""
    notes: str = ""
    reads: bool = False
    is_handed_over: bool = False

    @property
    def epilog(self) -> str:
        """What its help ends with."""
        return "\n".join([*([self.notes, ""] if self.notes else []), "examples:", *self._lines])

    @property
    def _lines(self) -> list[str]:
        return [f"  cilake {example}" for example in self.examples]


def argument(*names: str, **options: Any) -> Argument:
    """Return an argument."""
    return Argument(names, options)


def name_list(text: str) -> list[str]:
    """Return the names in a text that separates them by commas."""
    return [name.strip() for name in text.split(",") if name.strip()]


DAYS = (
    argument("--start", required=True, metavar="YYYY-MM-DD", help="first day, UTC"),
    argument("--end", metavar="YYYY-MM-DD", help="day after the last (default: one day)"),
)
REASON = argument("--reason", required=True, metavar="TEXT", help="why, for those who see the figures change")
SETTINGS = argument("--settings", metavar="FILE", help="reader.env of the lake (default: the checkout's)")
ADDRESS = argument("address", help="a table, such as core.test_results")
ROWS = (
    argument("--start", metavar="YYYY-MM-DD", help="first day, UTC"),
    argument("--end", metavar="YYYY-MM-DD", help="first day left out"),
    argument("--columns", metavar="A,B", help="only these columns"),
    argument("--where", default="", metavar="CONDITION", help="a condition, see below"),
    argument("--as-of", metavar="WHEN", help="the table as it was on a day or at an instant"),
    argument("--limit", type=int, metavar="N", help="at most so many rows"),
)


def _reading(
    name: str, text: str, *arguments: Argument, examples: tuple[str, ...], notes: str = ""
) -> Command:
    return Command(
        name, text, "cilake.client.verbs:answer", (SETTINGS, *arguments), examples, notes=notes, reads=True
    )


def _step(verb: str, text: str) -> Command:
    objects = objects_of(verb)
    questions = [f"  {name}: {model(name).question}" for name in objects] if verb in OF_MODELS else []
    days = ("--start 2026-03-01", "--start 2026-03-01 --end 2026-03-08")
    return Command(
        verb,
        text,
        "cilake.commands.steps:run_step",
        (argument("object", choices=objects), *DAYS),
        tuple(f"{verb} {objects[-1]} {words}" for words in days),
        notes="\n".join(["models:", *questions]) if questions else "",
        is_handed_over=True,
    )


COMMANDS = (
    _reading(
        "tables",
        "the tables, with their rows and newest change",
        examples=("tables", "tables --settings reader.env"),
    ),
    _reading(
        "describe",
        "what a table and its columns mean",
        ADDRESS,
        examples=("describe core.test_results",),
    ),
    _reading(
        "read",
        "rows of a table as CSV",
        ADDRESS,
        *ROWS,
        notes=CONDITIONS,
        examples=(
            "read kpi.daily_job_health --start 2026-02-20 --columns job_name,pass_ratio",
            "read core.test_results --start 2026-02-20 --end 2026-02-21 --where \"test_status = 'failed'\"",
            'read kpi.daily_job_health --as-of "$(date -u +%FT%TZ)" --limit 10',
        ),
    ),
    _reading(
        "export",
        "rows of a table into a Parquet or CSV file",
        ADDRESS,
        argument("path", type=Path, help="the file: .parquet or .csv"),
        *ROWS,
        notes=CONDITIONS,
        examples=(
            "export core.test_results failures.parquet --start 2026-02-20 --where \"test_status = 'failed'\"",
            "export core.ci_jobs jobs.csv",
        ),
    ),
    _reading(
        "sql",
        "the result of a statement in Trino, as CSV",
        argument("statement", help="one statement in Trino's SQL"),
        examples=(
            'sql "select release, count(*) from core.ci_jobs group by 1"',
            'sql "show columns from core.test_results"',
        ),
    ),
    _step("land", "payloads of a source into raw tables"),
    _step("build", "tables from the tables before them: validated, then published"),
    _step("train", "train a challenger and promote it if it passes the gate"),
    _step("score", "tonight's predictions"),
    _step("measure", "outcomes and accuracy of past predictions"),
    _step("maintain", "merge small files, remove old snapshots and files that nothing needs"),
    Command(
        "night",
        "all steps of a day in order, without Airflow",
        "cilake.commands.night:run_night",
        (
            *DAYS,
            argument(
                "--sources",
                type=name_list,
                default=[],
                metavar="A,B",
                help="land only these (default: those that are configured)",
            ),
            argument(
                "--skip", type=name_list, default=[], metavar="A,B", help="leave out these steps or verbs"
            ),
        ),
        (
            "night --start 2026-03-01",
            "night --start 2026-03-01 --end 2026-03-08 --skip score,measure,train",
        ),
        description="Run the steps of each day in order in this process: land, build, score and measure, and "
        "on Mondays train. A step that fails ends it; repeat the command when the cause is fixed.",
    ),
    Command(
        "parse",
        "how payloads in files would be read, without a lake",
        "cilake.commands.parse:parse_files",
        (
            argument("source", choices=source_names()),
            argument(
                "files", nargs="+", type=Path, metavar="FILE", help="a payload, also compressed by gzip"
            ),
        ),
        (f"parse {source_names()[-1]} table.json.gz",),
        description="Print for each file one JSON line: whether the payload can be read, and what it holds.",
    ),
    Command(
        "rebuild",
        "make published tables again, after the code was corrected",
        "cilake.commands.rebuild:rebuild",
        (
            argument(
                "names",
                nargs="+",
                metavar="TABLE",
                help="an address, or core, kpi or predictions for all tables of them that can be made again; "
                "the core tables belong together: where one is named, all are made",
            ),
            *DAYS,
            REASON,
        ),
        (
            'rebuild core --start 2026-03-01 --end 2026-03-08 --reason "verdicts of jobs"',
            'rebuild kpi.daily_job_health kpi.failing_pairs --start 2026-03-01 --reason "sums"',
        ),
        description="Make published tables again from the inputs of some days: on branches, audited, with "
        "what changed in ops.restatements. Raise DECODER_VERSION with a correction of the decoder.",
    ),
    Command(
        "rollback",
        "make tables what they were before a rebuild",
        "cilake.commands.rebuild:rollback",
        (argument("restatement_id", help="the rebuild, as it printed it and as ops.restatements lists it"),),
        ("rollback core_2026-03-01_20260309T101500",),
    ),
    Command(
        "leave-out",
        "leave a payload out of landings from a day on",
        "cilake.commands.leave_out:leave_out_payload",
        (
            argument("source", choices=source_names()),
            argument("natural_id", metavar="PAYLOAD", help="as natural_id in ops.fetches names it"),
            argument("--reason", required=True, metavar="TEXT", help="why, for those who miss it"),
            argument(
                "--start",
                metavar="YYYY-MM-DD",
                help="first day, UTC (default: the source's newest landed day, or an earlier --end)",
            ),
            argument(
                "--end", metavar="YYYY-MM-DD", help="day after the last (default: until decided otherwise)"
            ),
        ),
        (
            f'leave-out {source_names()[-1]} ci/e2e-gcp --reason "its job was removed" --start 2026-03-01',
            f'leave-out {source_names()[-1]} ci/e2e-gcp --reason "it is back" --end 2026-03-08',
        ),
        description="Leave a payload of a source out of landings and receipts. The decision is kept in "
        "ops.left_out; a later one about the same payload replaces it: with an --end that has passed, it is "
        "requested again.",
    ),
    Command(
        "bootstrap",
        "create the tables that do not exist",
        "cilake.commands.bootstrap:bootstrap",
        examples=("bootstrap",),
    ),
    Command(
        "serve",
        "run other commands in forks of a process that has imported everything",
        "cilake.job_server.server:serve",
        (argument("socket_path", type=Path, metavar="SOCKET", help="where commands are handed over"),),
        ("serve /run/cilake/jobs.sock",),
        description="Most of a small step is Python's imports. Commands that find the path of the socket in "
        "CILAKE_JOB_SERVER are handed over; they print, end and are killed as if they did it alone.",
    ),
    Command(
        "render",
        "the files that a deployment elsewhere needs",
        "cilake.render.aws.write:render",
        (
            argument("address", choices=["aws"]),
            argument("--out", type=Path, required=True, metavar="DIR", help="folder for the files"),
            argument("--account", required=True, help="the twelve digits of the account"),
            argument("--region", required=True, help="such as eu-central-1"),
            argument("--bucket", required=True, help="bucket for tables, models, code, logs and DAGs"),
            argument("--catalog", default="glue", choices=["glue", "s3tables"], help="default: glue"),
            argument(
                "--name",
                default="cilake",
                help="what roles, application, environment and table bucket are called (cilake)",
            ),
            argument("--application-id", help="the EMR Serverless application, once it is created"),
            argument("--iceberg-jar", help="Iceberg on EMR (default: where EMR's releases have it)"),
        ),
        ("render aws --out aws --account 123456789012 --region eu-central-1 --bucket team-lake",),
    ),
    Command(
        "docs",
        "write the data dictionary",
        "cilake.render.pages:write_pages",
        (
            argument("--root", type=Path, default=Path(), help="folder that holds docs/ (default: here)"),
            argument(
                "--baseline",
                default="",
                metavar="NAME",
                help="let the data changelog tell of changes from now on, such as after a release",
            ),
        ),
        ("docs", 'docs --baseline "release 0.2.0"'),
    ),
)
