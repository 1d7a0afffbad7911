"""The command line of the lake: the analyst's verbs read it, all others make it.

Jobs run as ``cilake <verb> <address> --start YYYY-MM-DD [--end YYYY-MM-DD]``.
"""

from __future__ import annotations

import argparse
import json
import signal
import sys
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from cilake.client.examples import EXAMPLES
from cilake.commands.steps import find_work, objects_of
from cilake.contracts.registry import tables
from cilake.errors import CilakeError
from cilake.settings import find_settings, read_settings
from cilake.sources.registry import source_names
from cilake.windows import parse_day, parse_window

READING = {
    "tables": "the tables, with their rows and newest change",
    "describe": "what a table and its columns mean",
    "read": "rows of a table as CSV",
    "export": "rows of a table into a Parquet or CSV file",
    "sql": "the answer of Trino to a statement, as CSV",
}
HELP = {
    "land": "payloads of a source into raw tables",
    "build": "tables from the tables before them: validated, then published",
    "train": "train a challenger and promote it if it passes the gate",
    "score": "tonight's predictions",
    "measure": "outcomes and accuracy of past predictions",
    "maintain": "merge small files, remove old snapshots and files that nothing needs",
}

EXIT_CODES = """exit codes:
  0  done
  1  failed: another try may succeed, such as after an outage of a source
  2  a setting, a day, an argument or the data is wrong: another try fails, too, until it is corrected
"""


def main(argv: list[str] | None = None) -> int:
    """Run the command line and return its exit code, which is explained in ``EXIT_CODES``.

    What a person can mend is one line on standard error; a fault of the program keeps its traceback.
    """
    arguments = _parser().parse_args(argv)
    try:
        if arguments.verb in READING:
            from cilake.client.verbs import answer

            return answer(arguments)
        if arguments.verb == "parse":
            return _parse(arguments)
        counts = _run(arguments)
    except CilakeError as error:
        return _say(error)
    except Exception as error:
        if outage := _outage_of(arguments, error):
            return _say(outage)
        raise
    print(json.dumps(counts, default=str))
    return 0


def _say(error: CilakeError) -> int:
    """Write the error as one line, and return the exit code that it stands for."""
    sys.stderr.write(f"cilake: {'; '.join([str(error), *getattr(error, '__notes__', [])])}\n")
    return error.exit_code


def _outage_of(arguments: argparse.Namespace, error: Exception) -> CilakeError | None:
    """Return the outage of a service of the lake that explains the error, if it is one."""
    from cilake.lake.outages import find_outage

    reads = arguments.verb in READING
    return find_outage(find_settings(arguments.settings) if reads else read_settings(), error)


def _parse(arguments: argparse.Namespace) -> int:
    from cilake.commands.parse import parse_files
    from cilake.sources.registry import source

    parse_files(source(arguments.source), arguments.files)
    return 0


def _run(arguments: argparse.Namespace) -> object:
    if arguments.verb == "render":
        return _render_aws(arguments)
    settings = read_settings()
    signal.signal(signal.SIGTERM, _end_politely)
    if arguments.verb == "bootstrap":
        from cilake.commands.bootstrap import bootstrap

        return bootstrap(settings)
    if arguments.verb == "leave-out":
        from cilake.commands.leave_out import leave_out_payload
        from cilake.sources.registry import source

        today = datetime.now(UTC).date()
        end = parse_day(arguments.end) if arguments.end else None
        start = parse_day(arguments.start) if arguments.start else min(today, end or today)
        return leave_out_payload(
            settings,
            source(arguments.source),
            arguments.natural_id,
            reason=arguments.reason,
            start=start,
            end=end,
        )
    if arguments.verb == "night":
        from cilake.commands.night import run_night

        window = parse_window(arguments.start, arguments.end)
        sources, skip = (_names(text) for text in (arguments.sources, arguments.skip))
        return run_night(settings, window, sources=sources, skip=skip)
    if arguments.verb == "rollback":
        from cilake.commands.rebuild import rollback

        return rollback(settings, arguments.restatement_id)
    if arguments.verb == "rebuild":
        from cilake.commands.rebuild import rebuild

        window = parse_window(arguments.start, arguments.end)
        return rebuild(settings, window, names=arguments.names, reason=arguments.reason)
    if arguments.verb == "docs":
        from cilake.quality.suite import write_suites
        from cilake.render.dictionary import write_docs
        from cilake.render.trino_rules import write_rules

        return {
            "suites": len(write_suites()),
            "pages": len(write_docs(arguments.root / "docs" / "tables")),
            "rules": int(write_rules(arguments.root / "deploy" / "trino" / "rules.json", tables())),
        }
    from cilake.commands.recorded import run_recorded

    window = parse_window(arguments.start, arguments.end)
    verb, of = arguments.verb, arguments.object
    return run_recorded(find_work(verb, of), settings, window, verb=verb, of=of)


def _names(text: str) -> list[str]:
    return [name.strip() for name in text.split(",") if name.strip()]


def _end_politely(number: int, frame: object) -> None:
    """End on SIGTERM as on an error, so that what is under way on a server is interrupted.

    Raises:
        SystemExit: always, with the exit code that shells use for the signal.

    """
    raise SystemExit(128 + number)


def _render_aws(arguments: argparse.Namespace) -> object:
    from cilake.render.aws import render_aws
    from cilake.render.aws_place import AwsPlace

    names = ("account", "region", "bucket", "name", "catalog", "application_id")
    place = AwsPlace(**{name: getattr(arguments, name) for name in names})
    written = render_aws(place, arguments.out, arguments.iceberg_jar)
    return {"folder": str(arguments.out), "files": written}


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="cilake",
        description=__doc__,
        epilog=EXIT_CODES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    verbs = parser.add_subparsers(dest="verb", required=True, metavar="VERB")
    _add_reading(verbs)
    for verb, text in HELP.items():
        command = verbs.add_parser(verb, help=text, description=text)
        command.add_argument("object", choices=objects_of(verb))
        command.add_argument("--start", required=True, metavar="YYYY-MM-DD", help="first day, UTC")
        command.add_argument("--end", metavar="YYYY-MM-DD", help="day after the last (default: one day)")
    _add_night(verbs)
    _add_restating(verbs)
    out = verbs.add_parser(
        "leave-out",
        help="no longer ask for what cannot be had",
        description="Leave a payload of a source out of landings and receipts. The decision is kept in "
        "ops.left_out; a later one about the same payload replaces it: with an --end that has passed, it is "
        "asked for again.",
        epilog="examples:\n"
        '  cilake leave-out SOURCE ci-blocking/e2e-gcp --reason "its job was removed" --start 2026-03-01\n'
        '  cilake leave-out SOURCE ci-blocking/e2e-gcp --reason "it is back" --end 2026-03-08',
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    out.add_argument("source", choices=source_names())
    out.add_argument("natural_id", metavar="PAYLOAD", help="as natural_id in ops.fetches names it")
    out.add_argument("--reason", required=True, metavar="TEXT", help="why, for those who miss it")
    out.add_argument(
        "--start",
        metavar="YYYY-MM-DD",
        help="first day, UTC (default: today, or --end where that is earlier)",
    )
    out.add_argument(
        "--end", metavar="YYYY-MM-DD", help="day after the last (default: until decided otherwise)"
    )
    verbs.add_parser("bootstrap", help="create the tables that do not exist")
    _add_render(verbs)
    docs = verbs.add_parser("docs", help="write the data dictionary")
    docs.add_argument("--root", type=Path, default=Path(), help="folder that holds docs/ (default: here)")
    return parser


def _add_night(verbs: Any) -> None:
    night = verbs.add_parser(
        "night",
        help="all steps of a day in order, without Airflow",
        description="Run the steps of each day in order in this process: land, build, score and measure, and "
        "on Mondays train. A step that fails ends it; repeat the command when the cause is mended.",
        epilog="examples:\n"
        "  cilake night --start 2026-03-01\n"
        "  cilake night --start 2026-03-01 --end 2026-03-08 --skip score,measure,train",
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    night.add_argument("--start", required=True, metavar="YYYY-MM-DD", help="first day, UTC")
    night.add_argument("--end", metavar="YYYY-MM-DD", help="day after the last (default: one day)")
    night.add_argument("--sources", default="", metavar="A,B", help="land only these (default: all)")
    night.add_argument("--skip", default="", metavar="A,B", help="leave out these steps or verbs")
    parse = verbs.add_parser(
        "parse",
        help="how payloads in files would be read, without a lake",
        description="Print for each file one JSON line: whether the payload can be read, and what it holds.",
        epilog="example:\n  cilake parse SOURCE table.json.gz",
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parse.add_argument("source", choices=source_names())
    parse.add_argument(
        "files", nargs="+", type=Path, metavar="FILE", help="a payload, also compressed by gzip"
    )


def _add_restating(verbs: Any) -> None:
    again = verbs.add_parser(
        "rebuild",
        help="make published tables again, after the code was corrected",
        description="Make published tables again from the inputs of some days: on branches, audited, with "
        "what changed in ops.restatements. Raise DECODER_VERSION with a correction of the decoder.",
        epilog="examples:\n"
        '  cilake rebuild core --start 2026-03-01 --end 2026-03-08 --reason "verdicts of jobs"\n'
        '  cilake rebuild kpi.daily_job_health kpi.failing_pairs --start 2026-03-01 --reason "sums"',
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    again.add_argument(
        "names",
        nargs="+",
        metavar="TABLE",
        help="an address, or core, kpi or predictions for all tables of them that can be made again; "
        "the core tables belong together: where one is named, all are made",
    )
    again.add_argument("--start", required=True, metavar="YYYY-MM-DD", help="first day, UTC")
    again.add_argument("--end", metavar="YYYY-MM-DD", help="day after the last (default: one day)")
    again.add_argument(
        "--reason", required=True, metavar="TEXT", help="why, for those who see the figures change"
    )
    back = verbs.add_parser("rollback", help="make tables what they were before a rebuild")
    back.add_argument("restatement_id", help="the rebuild, as it printed it and as ops.restatements lists it")


def _add_render(verbs: Any) -> None:
    from cilake.render.aws import ICEBERG_JAR
    from cilake.render.aws_place import AwsPlace

    command = verbs.add_parser("render", help="the files that a deployment elsewhere needs")
    command.add_argument("address", choices=["aws"])
    command.add_argument("--out", type=Path, required=True, metavar="DIR", help="folder for the files")
    command.add_argument("--account", required=True, help="the twelve digits of the account")
    command.add_argument("--region", required=True, help="such as eu-central-1")
    command.add_argument("--bucket", required=True, help="bucket for tables, models, code, logs and DAGs")
    command.add_argument("--catalog", default="glue", choices=["glue", "s3tables"], help="default: glue")
    for name, text in (
        ("name", "what roles, application, environment and table bucket are called"),
        ("application_id", "the EMR Serverless application, once it is created"),
    ):
        default = AwsPlace.__dataclass_fields__[name].default
        command.add_argument(f"--{name.replace('_', '-')}", default=default, help=f"{text} ({default})")
    command.add_argument("--iceberg-jar", default=ICEBERG_JAR, help=f"Iceberg on EMR ({ICEBERG_JAR})")


def _add_reading(verbs: Any) -> None:
    commands = {}
    for verb, text in READING.items():
        commands[verb] = verbs.add_parser(
            verb,
            help=text,
            description=text,
            epilog=EXAMPLES[verb],
            formatter_class=argparse.RawDescriptionHelpFormatter,
        )
    for command in commands.values():
        command.add_argument(
            "--settings", metavar="FILE", help="reader.env of the lake (default: the checkout's)"
        )
    for verb in ("describe", "read", "export"):
        commands[verb].add_argument("address", help="a table, such as core.test_results")
    commands["sql"].add_argument("statement", help="one statement in Trino's SQL")
    commands["export"].add_argument("path", type=Path, help="the file: .parquet or .csv")
    for verb in ("read", "export"):
        command = commands[verb]
        command.add_argument("--start", metavar="YYYY-MM-DD", help="first day, UTC")
        command.add_argument("--end", metavar="YYYY-MM-DD", help="first day left out")
        command.add_argument("--columns", metavar="A,B", help="only these columns")
        command.add_argument("--where", default="", metavar="CONDITION", help="a condition, see below")
        command.add_argument("--as-of", metavar="WHEN", help="the table as it was on a day or at an instant")
        command.add_argument("--limit", type=int, metavar="N", help="at most so many rows")


if __name__ == "__main__":
    sys.exit(main())
