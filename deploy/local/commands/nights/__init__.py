"""`make nights` and `make demo`: nights that are played through Airflow."""

from __future__ import annotations

import argparse
from datetime import date

from deploy.local.commands.command import Command
from deploy.local.errors import StackError
from deploy.local.layout import Layout

from cilake.windows import DayError, parse_day

DEMO_START, DEMO_NIGHTS = date(2026, 2, 18), 3


def _arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--from",
        dest="source",
        default="synthetic",
        help="'synthetic', a folder of payloads, or the address of a service, whose clock is left alone",
    )
    parser.add_argument("--start", type=_day, metavar="YYYY-MM-DD", help="the first night's day")
    parser.add_argument("--nights", type=_positive, metavar="N", help="how many nights")
    parser.add_argument("--seed", type=int, default=7, help="of the synthetic world")
    parser.add_argument("--train", action="store_true", help="train after the first night, even if not due")
    parser.add_argument("--night-minutes", type=_positive, default=60, help="bound of one night")


def _day(text: str) -> date:
    try:
        return parse_day(text)
    except DayError as error:
        raise argparse.ArgumentTypeError(str(error)) from None


def _positive(text: str) -> int:
    if not text.isdecimal() or int(text) < 1:
        raise argparse.ArgumentTypeError(f"{text!r} is not a positive number")
    return int(text)


def _nights(arguments: argparse.Namespace, here: Layout) -> int:
    if arguments.start is None:
        raise StackError("no first night: make nights FROM=synthetic START=2026-03-01 NIGHTS=3")
    # Reads every contract: no other command is to fail or to wait for them.
    from deploy.local.commands.nights.play import play_nights

    return play_nights(arguments, here)


def _demo(arguments: argparse.Namespace, here: Layout) -> int:
    arguments.source, arguments.start = "synthetic", arguments.start or DEMO_START
    arguments.nights = arguments.nights or DEMO_NIGHTS
    return _nights(arguments, here)


COMMANDS = (Command("nights", _nights, _arguments), Command("demo", _demo, _arguments))
