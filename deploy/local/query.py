"""Print the answer of Trino to one statement as CSV; run by the interpreter of the jobs environment."""

import csv
import json
import os
import sys
from typing import Any
from urllib.parse import urlsplit

import trino


def main() -> int:
    """Answer $CILAKE_SQL from $CILAKE_TRINO_URL: CSV on stdout, or one line on stderr and status 1."""
    address = urlsplit(os.environ["CILAKE_TRINO_URL"])
    try:
        with trino.dbapi.connect(  # type: ignore[no-untyped-call]
            host=address.hostname, port=address.port, user="analyst", catalog="lake", max_attempts=2
        ) as connection:
            cursor = connection.cursor()
            cursor.execute(os.environ["CILAKE_SQL"].strip().rstrip(";"))
            first = cursor.fetchmany(1000)
            writer = csv.writer(sys.stdout, lineterminator="\n")
            writer.writerow([column[0] for column in cursor.description or []])
            while first:
                writer.writerows([_plain(value) for value in row] for row in first)
                first = cursor.fetchmany(1000)
            sys.stdout.flush()
    except trino.exceptions.TrinoQueryError as error:
        print(f"Trino: {' '.join(str(error.message).split())}", file=sys.stderr)
        return 1
    except (trino.exceptions.TrinoConnectionError, trino.exceptions.HttpError, OSError) as error:
        if isinstance(error, BrokenPipeError):  # the reader has seen enough
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
            return 0
        print(f"Trino does not answer at {address.geturl()}: `make up` starts it", file=sys.stderr)
        return 1
    return 0


def _plain(value: Any) -> Any:
    """A value as a CSV reader expects it: structures as JSON, bytes as hex, the rest as Trino says it."""
    if isinstance(value, bytes):
        return value.hex()
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, (list, tuple, dict)):
        return json.dumps(value, default=str)
    return value


if __name__ == "__main__":
    sys.exit(main())
