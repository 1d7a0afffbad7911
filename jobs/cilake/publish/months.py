"""Tables that are kept by months, replaced month by month: the files of a month go, and one comes."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass

from pyiceberg.manifest import DataFile
from pyiceberg.table import Table as IcebergTable

from cilake.publish.branch import PublishError

_NAME = re.compile(r"/\d{4}-\d{2}-([0-9a-f]{32})-[0-9a-f]+\.parquet$")


@dataclass(frozen=True, slots=True)
class MonthFile:
    """A file that holds a month of a table, and a digest of its bytes, by which equal ones are known.

    It is not written where the month was found to be that file already.
    """

    path: str
    digest: str
    row_count: int
    is_written: bool


Months = Mapping[int, MonthFile | None]
"""The file of each month, by its number since January 1970; ``None`` for one without rows."""


@dataclass(frozen=True, slots=True)
class PublishedFile:
    """A data file of a table; ``digest`` is empty where its name does not hold it."""

    file: DataFile
    digest: str


def published_months(present: IcebergTable) -> dict[int, list[PublishedFile]]:
    """Return the files of a table by the number of their month."""
    months: dict[int, list[PublishedFile]] = {}
    for task in present.scan().plan_files():
        found = None if task.delete_files else _NAME.search(task.file.file_path)
        file = PublishedFile(task.file, found[1] if found else "")
        months.setdefault(task.file.partition[0], []).append(file)
    return months


def differing_months(present: IcebergTable, months: Months) -> dict[int, list[DataFile]]:
    """Return the months whose file is not the one that is published, each with the files that go.

    Raises:
        PublishError: when a month is no longer the file that it was found to be.

    """
    published = published_months(present)
    differing = {}
    for number, made in months.items():
        files = published.get(number, [])
        if [file.digest for file in files] != ([made.digest] if made else []):
            if made and not made.is_written:
                raise PublishError(f"{'.'.join(present.name()[-2:])} was changed by another run; run again")
            differing[number] = [file.file for file in files]
    return differing
