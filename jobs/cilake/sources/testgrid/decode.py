"""Stored tables of TestGrid to runs inside Spark."""

from __future__ import annotations

from datetime import datetime

from cilake.sources import decoder
from cilake.sources.decoder import Decode
from cilake.sources.payload import parse_object
from cilake.sources.runs import Decoded
from cilake.sources.testgrid.parse import DECODER_VERSION, read_table


def payload_decoder() -> Decode:
    """Return the ``mapInArrow`` function from stored tables to their runs and rejects."""
    return decoder.payload_decoder(read_payload, version=DECODER_VERSION)


def read_payload(payload: memoryview, served_at: datetime) -> Decoded:
    """Return the runs of a stored table.

    Raises:
        UnreadableError: when it is none.

    """
    return read_table(parse_object(payload), served_at=served_at)
