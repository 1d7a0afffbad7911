"""The `ciworld` command: serve a world, describe it, or record one that is served elsewhere."""

import argparse
import signal
import sys
import threading
from datetime import datetime
from pathlib import Path

import orjson

from ciworld.clock import Clock, iso, parse_instant
from ciworld.faults import Faults, parse_fault
from ciworld.payload import Json
from ciworld.recorded.testgrid.recorder import RecordingError, record
from ciworld.server import WorldServer
from ciworld.services.base import ServedWorld
from ciworld.state import State, StateError, StateFile
from ciworld.world.synthetic import SyntheticWorld
from ciworld.world.universe import EPOCH
from ciworld.worlds import serve_recorded, serve_synthetic

SERVE_EPILOG = """\
examples:
  ciworld serve --synthetic --seed 7 --port 18490 --state ciworld-state.json
  ciworld serve --recorded recordings --as-of 2021-07-01

With --state a server that is killed goes on where it was: clock and planned faults are read from the file at
the start and written whenever they change. --as-of and --fault are for the first start: a state of the same
world wins over them. A state of another world (other seed, other folder) is not used, one that cannot be read
is moved aside; both are logged."""


def _instant(text: str) -> datetime:
    try:
        return parse_instant(text)
    except ValueError as error:
        raise argparse.ArgumentTypeError(str(error)) from error


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="ciworld", description="Plays CI services over HTTP on loopback.")
    verbs = parser.add_subparsers(dest="verb", required=True)
    serve = verbs.add_parser(
        "serve",
        help="serve a world until SIGTERM",
        epilog=SERVE_EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    serve.add_argument("--port", type=int, default=0, help="0 takes a free port")
    _add_world(serve)
    serve.add_argument(
        "--as-of", type=_instant, metavar="T", help="the simulated time at the first start (ISO 8601, UTC)"
    )
    serve.add_argument("--state", type=Path, metavar="FILE", help="keep clock and faults in FILE")
    serve.add_argument(
        "--fault",
        action="append",
        default=[],
        metavar="JSON",
        help='a fault, such as \'{"match": "table", "kind": "429", "times": 3, "retry_after": 1}\'',
    )
    world = verbs.add_parser("world", help="print which world it is, with its first and last day")
    _add_world(world)
    truth = verbs.add_parser("truth", help="print what is planted in a synthetic world")
    _add_synthetic(truth)
    recorder = verbs.add_parser("record", help="write what a TestGrid serves into a folder for --recorded")
    recorder.add_argument("--from", dest="source", required=True, metavar="URL", help="address of a TestGrid")
    recorder.add_argument(
        "--dashboards", required=True, metavar="PATTERN", help="which dashboards, such as 'ciworld-*'"
    )
    recorder.add_argument("--out", type=Path, required=True, metavar="DIR", help="the folder to fill")
    recorder.add_argument(
        "--pause", type=float, default=0.5, metavar="SECONDS", help="between two requests (default: 0.5)"
    )
    return parser


def _add_world(command: argparse.ArgumentParser) -> None:
    which = command.add_mutually_exclusive_group(required=True)
    which.add_argument("--recorded", type=Path, metavar="DIR", help="replay the recordings below DIR")
    which.add_argument("--synthetic", action="store_true", help="make a world from a seed")
    _add_synthetic(command)


def _add_synthetic(command: argparse.ArgumentParser) -> None:
    command.add_argument("--seed", type=int, default=1, help="of the synthetic world (default: 1)")
    command.add_argument(
        "--releases", type=int, metavar="N", help="of the synthetic world, twelve jobs each (default: 2)"
    )


def _synthetic(arguments: argparse.Namespace) -> SyntheticWorld:
    given = {} if arguments.releases is None else {"releases": arguments.releases}
    return SyntheticWorld(arguments.seed, **given)


def _world(arguments: argparse.Namespace) -> tuple[ServedWorld, datetime | None]:
    """Return the world and the time at which it starts without any other."""
    if arguments.recorded:
        return serve_recorded(arguments.recorded), None

    return serve_synthetic(_synthetic(arguments)), EPOCH


def main(argv: list[str] | None = None) -> int:
    """Return the exit status of the command."""
    arguments = _parser().parse_args(argv)
    try:
        if arguments.verb == "serve":
            return _serve(arguments)
        if arguments.verb == "record":
            counts = record(arguments.source, arguments.dashboards, arguments.out, arguments.pause)
            print(_json(counts))
            return 1 if counts["missing"] else 0
        if arguments.verb == "world":
            print(_json(_world(arguments)[0].describe()))
            return 0
        print(_json(_synthetic(arguments).truth()))
        return 0
    except (ValueError, OSError, OverflowError, StateError, RecordingError) as error:
        print(f"ciworld: {error}", file=sys.stderr)
        return 2


def _json(doc: Json) -> str:
    return orjson.dumps(doc, option=orjson.OPT_INDENT_2).decode()


def _serve(arguments: argparse.Namespace) -> int:
    server = _make_server(arguments)

    def stop(_signal: int, _frame: object) -> None:
        # shutdown() waits for the serving loop, which this handler interrupts, so it needs a thread.
        threading.Thread(target=server.shutdown).start()

    signal.signal(signal.SIGTERM, stop)
    signal.signal(signal.SIGINT, stop)
    print(f"{server.url}", flush=True)
    with server:
        server.serve_forever(poll_interval=0.1)
    return 0


def _make_server(arguments: argparse.Namespace) -> WorldServer:
    planned = [parse_fault(orjson.loads(text)) for text in arguments.fault]
    world, epoch = _world(arguments)
    state = State(arguments.as_of or epoch, planned)
    file = StateFile(arguments.state, world.identity) if arguments.state else None
    found = file.read() if file else None
    if found:
        state = found
        clock = iso(state.as_of) if state.as_of else "off"
        print(f"ciworld: simulator clock: {clock}, from {arguments.state}", file=sys.stderr)
    if state.as_of and (span := world.span()) and state.as_of.date() < span.first:
        early = f"{iso(state.as_of)} is before the first day of the world, {span.first}"
        print(f"ciworld: simulator clock: {early}: nothing shows yet", file=sys.stderr)
    return WorldServer(world, Clock(state.as_of), Faults(state.faults), arguments.port, file)


if __name__ == "__main__":
    sys.exit(main())
