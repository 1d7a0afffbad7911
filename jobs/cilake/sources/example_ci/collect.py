"""The collector: one reply for each configured project, one after the other."""

from __future__ import annotations

from collections.abc import Generator, Iterator
from contextlib import closing, contextmanager
from dataclasses import replace
from urllib.parse import quote

from cilake.landing.envelope import Envelope
from cilake.settings import SettingsError, require_address
from cilake.sources.base import Collected, Landing
from cilake.sources.example_ci.parse import read_builds
from cilake.sources.example_ci.settings import ExampleCiSettings
from cilake.sources.fetch import Content, Subject, fetch
from cilake.sources.http import Client, Reply
from cilake.sources.payload import content_digest, parse_object

NAME = "example_ci"
ATTEMPTS = 4
LIMIT_BYTES = 64 * 1024 * 1024
NOT_FOUND = 404


@contextmanager
def collect(landing: Landing) -> Iterator[Collected]:
    """Request the builds of the configured projects.

    Raises:
        SettingsError: when the address or the projects are missing or malformed.

    """
    settings: ExampleCiSettings = landing.settings
    require_address("CILAKE_EXAMPLE_CI_URL", settings.url)
    if not settings.project_names:
        raise SettingsError(
            "CILAKE_EXAMPLE_CI_PROJECTS names no project: set it to names, separated by commas"
        )
    if odd := [name for name in settings.project_names if not is_project(name)]:
        raise SettingsError(f"CILAKE_EXAMPLE_CI_PROJECTS: {', '.join(map(repr, odd))} cannot name a project")
    client = Client(settings.url, deadline=landing.deadline, attempts=ATTEMPTS, limit_bytes=LIMIT_BYTES)
    with closing(client), closing(_envelopes(client, landing, settings.project_names)) as envelopes:
        yield Collected(f"Example CI at {client.address}", settings.project_names, envelopes)


def is_project(text: str) -> bool:
    """Return whether the text can name a project."""
    return text.strip(" .") != "" and "/" not in text and text.isprintable()


def _envelopes(client: Client, landing: Landing, projects: list[str]) -> Generator[Envelope]:
    for project in projects:
        if project not in landing.left_out:
            envelope = _fetch(client, landing, project)
            # The setting names the project: one that the service does not know is a mistake in it.
            yield replace(envelope, is_unknown=envelope.http_status == NOT_FOUND)


def _fetch(client: Client, landing: Landing, project: str) -> Envelope:
    def get(etag: str | None) -> tuple[Reply, str]:
        return client.get(f"/{quote(project, safe='')}/builds.json", etag=etag), ""

    def read(reply: Reply) -> Content:
        document = parse_object(reply.body)
        rejects = read_builds(document, reply.served_at).rejects
        note = f"{len(rejects)} builds refused: {rejects[0].reason}" if rejects else ""
        return Content(content_digest(document), note=note)

    subject = Subject(NAME, "builds", project, project)
    return fetch(subject, get, read, landing.known["builds"].get(project))
