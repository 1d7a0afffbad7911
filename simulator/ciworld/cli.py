"""The `ciworld` command: serve a world, or print the truth of a synthetic one."""

import argparse
import signal
import sys
import threading
from datetime import datetime
from pathlib import Path

import orjson

from ciworld.clock import Clock, parse_instant
from ciworld.faults import Faults
from ciworld.recorded import RecordedWorld
from ciworld.server import World, WorldServer


def _instant(text: str) -> datetime:
    try:
        return parse_instant(text)
    except ValueError as error:
        raise argparse.ArgumentTypeError(str(error)) from error


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="ciworld", description="Plays CI services over HTTP on loopback.")
    verbs = parser.add_subparsers(dest="verb", required=True)
    serve = verbs.add_parser("serve", help="serve a world until SIGTERM")
    serve.add_argument("--port", type=int, default=0, help="0 takes a free port")
    which = serve.add_mutually_exclusive_group(required=True)
    which.add_argument("--recorded", type=Path, metavar="DIR", help="replay the recordings below DIR")
    which.add_argument("--synthetic", action="store_true", help="make a world from a seed")
    serve.add_argument("--seed", type=int, default=1)
    serve.add_argument("--as-of", type=_instant, metavar="T", help="the simulated time (ISO 8601, UTC)")
    serve.add_argument(
        "--fault",
        action="append",
        default=[],
        metavar="JSON",
        help='a fault, such as \'{"match": "table", "kind": "429", "times": 3, "retry_after": 1}\'',
    )
    truth = verbs.add_parser("truth", help="print what is planted in a synthetic world")
    truth.add_argument("--seed", type=int, default=1)
    return parser


def _world(arguments: argparse.Namespace) -> tuple[World, datetime | None]:
    if arguments.recorded:
        return RecordedWorld(arguments.recorded), arguments.as_of
    from ciworld.world import EPOCH, SyntheticWorld

    return SyntheticWorld(arguments.seed), arguments.as_of or EPOCH


def main(argv: list[str] | None = None) -> int:
    """Return the exit status of the command."""
    arguments = _parser().parse_args(argv)
    if arguments.verb == "truth":
        from ciworld.world import SyntheticWorld

        print(orjson.dumps(SyntheticWorld(arguments.seed).truth(), option=orjson.OPT_INDENT_2).decode())
        return 0
    faults = Faults()
    try:
        for text in arguments.fault:
            faults.add([orjson.loads(text)])
        world, as_of = _world(arguments)
        server = WorldServer(world, Clock(as_of), faults, arguments.port)
    except (ValueError, OSError, OverflowError) as error:
        print(f"ciworld: {error}", file=sys.stderr)
        return 2

    def stop(_signal: int, _frame: object) -> None:
        # shutdown() waits for the serving loop, which this handler interrupts, so it needs a thread.
        threading.Thread(target=server.shutdown).start()

    signal.signal(signal.SIGTERM, stop)
    signal.signal(signal.SIGINT, stop)
    print(f"{server.url}", flush=True)
    with server:
        server.serve_forever(poll_interval=0.1)
    return 0


if __name__ == "__main__":
    sys.exit(main())
