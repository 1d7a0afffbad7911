"""The command line: ``cilake <verb> <address> --start YYYY-MM-DD [--end YYYY-MM-DD]``."""

from __future__ import annotations

import argparse
import importlib
import json
import sys
from pathlib import Path

from cilake.settings import SettingsError, read_settings
from cilake.windows import parse_window

# Verb and address to the function that does it and the DAG that the tables it makes name; imported only
# when asked for, since Spark is slow to import.
VERBS = {
    ("land", "testgrid"): ("cilake.apps.land", "land_testgrid", "ingest_testgrid"),
    ("build", "core"): ("cilake.apps.build", "build_core", "refine_ci"),
    ("build", "kpi"): ("cilake.apps.build", "build_kpi", "report_ci_health"),
    ("train", "test_failure"): ("cilake.apps.train", "train_test_failure", "train_test_failure"),
    ("score", "test_failure"): ("cilake.apps.score", "score_test_failure", "score_test_failure"),
    ("measure", "test_failure"): ("cilake.apps.measure", "measure_test_failure", "measure_predictions"),
}
HELP = {
    "land": "payloads of a source into raw tables",
    "build": "tables from the tables before them: validated, then published",
    "train": "train a challenger and promote it if it passes the gate",
    "score": "tonight's predictions",
    "measure": "outcomes and accuracy of past predictions",
}


def main(argv: list[str] | None = None) -> int:
    """The exit code: 0 when the work is done, 1 with one line on standard error when it is not."""
    arguments = _parser().parse_args(argv)
    try:
        counts = _run(arguments)
    except (SettingsError, ValueError, LookupError, RuntimeError) as error:
        sys.stderr.write(f"cilake: {type(error).__name__}: {error}\n")
        return 1
    print(json.dumps(counts, default=str))
    return 0


def _run(arguments: argparse.Namespace) -> object:
    settings = read_settings()
    if arguments.verb == "bootstrap":
        from cilake.apps.bootstrap import bootstrap

        return bootstrap(settings)
    if arguments.verb == "docs":
        from cilake.apps.docs import write_docs
        from cilake.quality.suite import write_suites

        return {"suites": len(write_suites()), "pages": len(write_docs(arguments.root / "docs" / "tables"))}
    module, function, made_by = VERBS[arguments.verb, arguments.address]
    window = parse_window(arguments.start, arguments.end)
    from cilake.apps.updates import run_recorded

    work = getattr(importlib.import_module(module), function)
    command = f"{arguments.verb} {arguments.address}"
    return run_recorded(work, settings, window, command=command, made_by=made_by)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="cilake", description=__doc__)
    verbs = parser.add_subparsers(dest="verb", required=True, metavar="VERB")
    for verb, text in HELP.items():
        command = verbs.add_parser(verb, help=text, description=text)
        command.add_argument("address", choices=[a for v, a in VERBS if v == verb])
        command.add_argument("--start", required=True, metavar="YYYY-MM-DD", help="first day, UTC")
        command.add_argument("--end", metavar="YYYY-MM-DD", help="day after the last (default: one day)")
    verbs.add_parser("bootstrap", help="create the tables that do not exist")
    docs = verbs.add_parser("docs", help="write the data dictionary")
    docs.add_argument("--root", type=Path, default=Path(), help="folder that holds docs/ (default: here)")
    return parser


if __name__ == "__main__":
    sys.exit(main())
