"""The command line of the lake: the analyst's verbs read it, all others make it.

Jobs run as ``cilake <verb> <object> --start YYYY-MM-DD [--end YYYY-MM-DD]``.
"""

from __future__ import annotations

import argparse
import importlib
import inspect
import json
import signal
import sys
from collections.abc import Callable
from typing import Any

from cilake.commands.declared import COMMANDS, Command
from cilake.errors import CilakeError
from cilake.job_server.client import run_at_server
from cilake.log import logger
from cilake.settings import find_settings, read_settings
from cilake.windows import parse_window

EXIT_CODES = """exit codes:
  0  done
  1  failed: another try may succeed, such as after an outage of a source
  2  a setting, a day, an argument or the data is wrong: another try fails, too, until it is corrected
"""


def main(argv: list[str] | None = None) -> int:
    """Run the command line and return its exit code, which is explained in ``EXIT_CODES``.

    What a person can fix is one line on standard error; a fault of the program keeps its traceback.
    """
    arguments = _parser().parse_args(argv)
    command: Command = arguments.command
    if argv is None and command.is_handed_over:
        code = run_at_server(sys.argv[1:])
        if code is not None:
            return code
    try:
        result = _run(command, arguments)
    except CilakeError as error:
        return _report(error)
    except Exception as error:
        if outage := _outage_of(command, arguments, error):
            return _report(outage)
        raise
    if result is not None:
        print(json.dumps(result, default=str))
    return 0


def _run(command: Command, arguments: argparse.Namespace) -> object:
    """Call the function of a command with what its parameters name: settings, window, arguments."""
    module, _, name = command.work.partition(":")
    work: Callable[..., object] = getattr(importlib.import_module(module), name)
    given: dict[str, Any] = {**vars(arguments), "arguments": arguments}
    wanted = inspect.signature(work).parameters
    if "settings" in wanted:
        settings = given["settings"] = read_settings()
        logger.setLevel(settings.log_level.upper())
        signal.signal(signal.SIGTERM, _end_politely)
    if "window" in wanted:
        given["window"] = parse_window(arguments.start, arguments.end)
    return work(**{parameter: given[parameter] for parameter in wanted})


def _report(error: CilakeError) -> int:
    """Write the error as one line, and return its exit code."""
    sys.stderr.write(f"cilake: {'; '.join([str(error), *getattr(error, '__notes__', [])])}\n")
    return error.exit_code


def _outage_of(command: Command, arguments: argparse.Namespace, error: Exception) -> CilakeError | None:
    """Return the outage of a service of the lake that explains the error, if it is one."""
    from cilake.lake.outages import find_outage

    return find_outage(find_settings(arguments.settings) if command.reads else read_settings(), error)


def _end_politely(number: int, frame: object) -> None:
    """End on SIGTERM as on an error, so that what is under way on a server is interrupted.

    Raises:
        SystemExit: always, with the exit code that shells use for the signal.

    """
    raise SystemExit(128 + number)


def _parser() -> argparse.ArgumentParser:
    as_written = argparse.RawDescriptionHelpFormatter
    parser = argparse.ArgumentParser(
        prog="cilake", description=__doc__, epilog=EXIT_CODES, formatter_class=as_written
    )
    verbs = parser.add_subparsers(dest="verb", required=True, metavar="VERB")
    for command in COMMANDS:
        made = verbs.add_parser(
            command.name,
            help=command.help,
            description=command.description or command.help,
            epilog=command.epilog,
            formatter_class=as_written,
        )
        made.set_defaults(command=command)
        for argument in command.arguments:
            made.add_argument(*argument.names, **argument.options)
    return parser


if __name__ == "__main__":
    sys.exit(main())
