"""`make help`: every target of the Makefile, by purpose."""

from __future__ import annotations

import argparse

from deploy.local.commands.command import Command
from deploy.local.layout import Layout

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


def _help(arguments: argparse.Namespace, here: Layout) -> int:
    print(HELP)
    return 0


COMMANDS = (Command("help", _help),)
