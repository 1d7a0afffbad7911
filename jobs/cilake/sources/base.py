"""What a source of payloads is to the lake: one folder, one declaration."""

from __future__ import annotations

from collections.abc import Callable, Generator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager
from dataclasses import dataclass
from datetime import date
from typing import Any

from cilake.landing.budget import ByteBudget
from cilake.landing.envelope import Envelope, StoredContent
from cilake.landing.readers import Readers
from cilake.settings import read_into
from cilake.sources.decoder import Decode


@dataclass(frozen=True, slots=True)
class Landing:
    """What a collector is given: the day, what is known already, and its limits.

    ``known`` holds the earlier replies by endpoint and natural id, ``left_out`` the natural ids that are not
    to be requested, with the reason. ``settings`` are the source's own. No request outlasts ``deadline`` (of
    ``time.monotonic``); at most ``prefetch`` replies wait to be stored, with no more bytes than ``budget``
    has. ``readers`` are for what takes long to read.
    """

    day: date
    settings: Any
    known: Mapping[str, Mapping[str, StoredContent]]
    left_out: Mapping[str, str]
    pool: ThreadPoolExecutor
    concurrency: int
    deadline: float
    prefetch: int
    budget: ByteBudget
    readers: Readers


@dataclass(frozen=True, slots=True)
class Collected:
    """What a collector returns: the service as errors name it, the subject, and the replies as they come.

    Envelopes of one scope follow each other; each scope gets a receipt.
    """

    service: str
    scopes: Sequence[str]
    envelopes: Generator[Envelope]


@dataclass(frozen=True, slots=True)
class Source:
    """A source: where its payloads go, how they are collected, and how they are read.

    ``endpoints`` are its raw tables by endpoint. ``settings`` is a dataclass that is read from
    ``CILAKE_<NAME>_…``. A ``scope`` is what one receipt is about, in a word; ``scope_setting`` says which.
    ``decoders`` make functions from payloads to runs, by raw table.
    ``describe`` says in a few words how a payload would be read.
    Where sources disagree about a run, the one with the higher ``precedence`` is believed.
    """

    name: str
    title: str
    settings: type[Any]
    scope: str
    scope_setting: str
    endpoints: Mapping[str, str]
    collect: Callable[[Landing], AbstractContextManager[Collected]]
    decoders: Mapping[str, Callable[[], Decode]]
    describe: Callable[[bytes], Mapping[str, object]]
    is_natural_id: Callable[[str], bool]
    natural_id_form: str
    precedence: int = 0

    def read_settings(self) -> Any:
        """Return the source's own settings, from the environment.

        Raises:
            SettingsError: when one is malformed.

        """
        return read_into(self.settings, self._prefix)

    @property
    def is_configured(self) -> bool:
        """Whether the environment says what is to be landed; without, nobody wants the source."""
        return bool(getattr(self.read_settings(), self.scope_setting.removeprefix(self._prefix).lower()))

    @property
    def _prefix(self) -> str:
        return f"CILAKE_{self.name.upper()}_"
