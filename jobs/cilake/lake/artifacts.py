"""Model artifacts next to the tables, through the catalog's own storage."""

from __future__ import annotations

from pyiceberg.catalog import Catalog
from pyiceberg.io import load_file_io


def write_artifact(catalog: Catalog, location: str, data: bytes) -> None:
    """Store ``data`` at ``location``, in place of what a killed run may have left there."""
    with load_file_io(catalog.properties, location).new_output(location).create(overwrite=True) as stream:
        stream.write(data)


def read_artifact(catalog: Catalog, location: str) -> bytes:
    """Return the bytes stored at ``location``; raises ``FileNotFoundError`` when there are none."""
    with load_file_io(catalog.properties, location).new_input(location).open() as stream:
        return stream.read()
