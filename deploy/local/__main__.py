"""The commands of the embedded stack; `make help` lists them by purpose."""

from __future__ import annotations

import argparse
import importlib
import os
import subprocess
import sys
from collections.abc import Callable

if sys.version_info < (3, 11):  # noqa: UP036 - what an older Python must say
    sys.exit("cilake needs Python 3.11 or newer: run make with PYTHON=python3.11 (or newer)")

from deploy.local import configuration, layout
from deploy.local.commands import checks, scaffold
from deploy.local.commands import dist as bundle
from deploy.local.commands import env as env_file
from deploy.local.commands import up as stack
from deploy.local.errors import StackError
from deploy.local.install import environments
from deploy.local.services import superset

HELP = """\
See it work
  make demo                        set up, start everything, play synthetic nights, show predictions
  make nights FROM= START= NIGHTS= play nights: FROM=synthetic, a folder of recorded payloads, an address

The stack
  make up [ONLY=postgres,s3,…]     start PostgreSQL, S3, Spark, Trino, Airflow, Superset; wait for them
  make status                      every service with its state, health and the memory of all
  make urls [JSON=1]               addresses, users and the files that hold the passwords
  make sql Q="select …"            query Trino; CSV with a header on stdout
  make airflow ARGS="backfill …"   a command of Airflow on this stack; ARGS="--help" lists them
  make logs S=trino [F=1]          the end of a service's log; F=1 follows it
  make down                        stop everything; no process is left
  make clean [ALL=1]               stop and remove data, logs and secrets; ALL=1 the environments too

Development
  make setup                       environments, jars, Trino and Java, without starting anything
  make test [T="tests/quality …"]  everything that CI runs; T: only these tests, in words of pytest
  make soak [STOPS=100]            many kills, orders and fuzzed payloads: about an hour; prints its table
  make lint                        the linters and type checks only
  make new-source NAME=my_ci       the files of a source, which pass all checks: docs/howto goes on
  make new-table NAME=kpi.my_table the same for a table
  make new-model NAME=my_model     the same for a model
  make requirements                compile requirements/*.in into the hashed requirements/*.txt
  make quality [DIR=]              the model next to its baselines on recorded data
  make bench [DIR=]                performance next to its baselines
  make bench SCALE=N               what a night costs in a lake of N times 13 million results
  make dist                        dist/: what spark-submit, EMR Serverless and MWAA need of us
  make env                         .env and deploy/private with generated secrets, for docker-compose.yaml
  make dashboards-export           write what was changed in Superset back to dashboards/
  make dashboards-import           bring the dashboards of the files back, over what was changed in Superset
  make dashboards-bench [PICTURES=] how long every chart takes, in Chromium; PICTURES: a folder for pictures
  make docs                        generate the data dictionary and the pages of the validation results

Ports: CILAKE_PORT_POSTGRES, _S3 (a block of 16), _SPARK, _TRINO, _AIRFLOW, _SUPERSET, _CIWORLD in the
environment of `make up`. State is in .local (CILAKE_HOME names another folder)."""


def main() -> int:
    """Run the command of the command line; its exit status."""
    parser = argparse.ArgumentParser(prog="python3 -m deploy.local")
    commands = parser.add_subparsers(dest="command", required=True)
    for name in (
        "help",
        "setup",
        "down",
        "status",
        "lint",
        "requirements",
        "docs",
        "dist",
        "env",
        "dashboards-export",
        "dashboards-import",
    ):
        commands.add_parser(name)
    commands.add_parser("up").add_argument("--only", default="", help="comma-separated services")
    commands.add_parser("test").add_argument("--only", default="", help="words for pytest, a path first")
    commands.add_parser("soak").add_argument("--stops", type=int, default=100)
    commands.add_parser("urls").add_argument("--json", action="store_true")
    commands.add_parser("sql").add_argument("statement", nargs="?", help="default: the variable Q")
    commands.add_parser("airflow")
    commands.add_parser("clean").add_argument("--all", action="store_true")
    logs = commands.add_parser("logs")
    logs.add_argument("service")
    logs.add_argument("--follow", action="store_true")
    for kind in scaffold.EXAMPLES:
        commands.add_parser(f"new-{kind}").add_argument("--name", required=True)
    for name in _WITH_OWN_ARGS:
        commands.add_parser(name, add_help=False).add_argument("rest", nargs=argparse.REMAINDER)
    args = sys.argv[1:]
    passed_on = args[:1] and args[0] in _WITH_OWN_ARGS
    arguments = parser.parse_args(args[:1] if passed_on else args)
    if passed_on:
        arguments.rest = args[1:]
    try:
        return _COMMANDS[arguments.command](arguments, layout.current())
    except StackError as error:
        print(f"cilake: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("cilake: interrupted; what was started goes on: `make down` stops it", file=sys.stderr)
        return 130


def _help(arguments: argparse.Namespace, here: layout.Layout) -> int:
    print(HELP)
    return 0


def _setup(arguments: argparse.Namespace, here: layout.Layout) -> int:
    environments.setup(here)
    return 0


def _up(arguments: argparse.Namespace, here: layout.Layout) -> int:
    stack.up(here, [name for name in arguments.only.split(",") if name])
    return 0


def _down(arguments: argparse.Namespace, here: layout.Layout) -> int:
    stack.down(here)
    return 0


def _status(arguments: argparse.Namespace, here: layout.Layout) -> int:
    return 0 if stack.status(here) else 1


def _urls(arguments: argparse.Namespace, here: layout.Layout) -> int:
    stack.urls(here, as_json=arguments.json)
    return 0


def _logs(arguments: argparse.Namespace, here: layout.Layout) -> int:
    stack.logs(here, arguments.service, follow=arguments.follow)
    return 0


def _sql(arguments: argparse.Namespace, here: layout.Layout) -> int:
    return stack.sql(here, arguments.statement or os.environ.get("Q", ""))


def _airflow(arguments: argparse.Namespace, here: layout.Layout) -> int:
    return stack.airflow(here, os.environ.get("ARGS", ""))


def _clean(arguments: argparse.Namespace, here: layout.Layout) -> int:
    stack.clean(here, everything=arguments.all)
    return 0


def _new(arguments: argparse.Namespace, here: layout.Layout) -> int:
    environments.setup(here)
    scaffold.create(here, arguments.command.removeprefix("new-"), arguments.name)
    return 0


def _lint(arguments: argparse.Namespace, here: layout.Layout) -> int:
    environments.setup(here)
    return 0 if checks.run(here, checks.LINT) else 1


def _test(arguments: argparse.Namespace, here: layout.Layout) -> int:
    environments.setup(here, *environments.ONLY_TESTED)
    if arguments.only:
        return 0 if checks.run(here, checks.chosen(arguments.only)) else 1
    return 0 if checks.run(here, checks.LINT + checks.TESTS, checks.INTEGRATION) else 1


def _soak(arguments: argparse.Namespace, here: layout.Layout) -> int:
    environments.setup(here)
    return 0 if checks.run(here, (checks.soak(arguments.stops),)) else 1


def _requirements(arguments: argparse.Namespace, here: layout.Layout) -> int:
    environments.compile_requirements(here)
    return 0


def _dist(arguments: argparse.Namespace, here: layout.Layout) -> int:
    bundle.write()
    return 0


def _env(arguments: argparse.Namespace, here: layout.Layout) -> int:
    env_file.write()
    return 0


def _dashboards_export(arguments: argparse.Namespace, here: layout.Layout) -> int:
    superset.export_dashboards(here, configuration.require(here))
    return 0


def _dashboards_import(arguments: argparse.Namespace, here: layout.Layout) -> int:
    superset.import_dashboards(here, configuration.require(here), overwrite=True)
    return 0


def _docs(arguments: argparse.Namespace, here: layout.Layout) -> int:
    environments.setup(here)
    stack.run_work(here, stack.work_settings(here), ["docs"])
    return 0


def _nights(arguments: argparse.Namespace, here: layout.Layout) -> int:
    nights = importlib.import_module(
        "deploy.local.commands.nights.play"
    )  # only it needs the simulator and Airflow
    args = ["--demo", *arguments.rest] if arguments.command == "demo" else arguments.rest
    return int(nights.main(args) or 0)


def _dashboards_bench(arguments: argparse.Namespace, here: layout.Layout) -> int:
    environment = checks.environment(here) | {"CILAKE_HOME": str(here.home)}
    script = layout.REPO / "benchmarks" / "dashboards.py"
    command = [str(here.bin("jobs", "python")), str(script), *arguments.rest]
    environment["PYTHONPATH"] = str(layout.REPO)
    return subprocess.run(command, cwd=layout.REPO, env=environment, check=False).returncode


def _benchmark(arguments: argparse.Namespace, here: layout.Layout) -> int:
    environments.setup(here)
    name = "growth" if "--scale" in arguments.rest else arguments.command
    script = layout.REPO / "benchmarks" / f"{name}.py"
    command = [str(here.bin("jobs", "python")), str(script), *arguments.rest]
    return subprocess.run(command, cwd=layout.REPO, env=checks.environment(here), check=False).returncode


_WITH_OWN_ARGS = ("nights", "demo", "bench", "quality", "dashboards-bench")
_COMMANDS: dict[str, Callable[[argparse.Namespace, layout.Layout], int]] = {
    "help": _help,
    "setup": _setup,
    "up": _up,
    "down": _down,
    "status": _status,
    "urls": _urls,
    "logs": _logs,
    "sql": _sql,
    "airflow": _airflow,
    "clean": _clean,
    "lint": _lint,
    "test": _test,
    "soak": _soak,
    "new-source": _new,
    "new-table": _new,
    "new-model": _new,
    "requirements": _requirements,
    "docs": _docs,
    "dist": _dist,
    "env": _env,
    "dashboards-export": _dashboards_export,
    "dashboards-import": _dashboards_import,
    "nights": _nights,
    "demo": _nights,
    "bench": _benchmark,
    "quality": _benchmark,
    "dashboards-bench": _dashboards_bench,
}

if __name__ == "__main__":
    sys.exit(main())
