"""Which dashboards are requested: names as they are, patterns against the service's listing."""

from __future__ import annotations

import fnmatch
from collections.abc import Mapping
from datetime import date

from cilake.errors import PermanentError, SourceError
from cilake.landing.envelope import StoredContent
from cilake.sources.errors import UnreadableError
from cilake.sources.http import Client, FetchError
from cilake.sources.payload import parse_object
from cilake.sources.testgrid import limits
from cilake.sources.testgrid.promises import find_unlisted

WILDCARDS = frozenset("*?[")
LISTING = "/api/v1/dashboards"


class DashboardError(PermanentError, LookupError):
    """A configured dashboard or pattern that the service does not know."""


def name_service(client: Client) -> str:
    """Return how an error names the service: its title, its address and the setting that gives it."""
    return f"{limits.TITLE} at {client.address} ({limits.ADDRESS_SETTING})"


def find_dashboards(client: Client, patterns: list[str]) -> tuple[list[str], list[str]]:
    """Return the dashboards that the patterns name, and the patterns that match none.

    Literal names are taken as they are, wildcards against the service's listing.

    Raises:
        SourceError: when a wildcard needs the listing and it cannot be read.
        DashboardError: when no pattern matches anything.

    """
    names: dict[str, None] = {}
    unmatched: list[str] = []
    listing: list[str] | None = None
    for pattern in patterns:
        if not WILDCARDS & set(pattern):
            names[pattern] = None
            continue
        if listing is None:
            listing = _read_listing(client)
        if matches := fnmatch.filter(listing, pattern):
            names.update(dict.fromkeys(matches))
        else:
            unmatched.append(pattern)
    if unmatched and not names:
        raise DashboardError(
            f"no dashboard matches {', '.join(map(repr, unmatched))} (CILAKE_TESTGRID_DASHBOARDS): "
            f"{name_service(client)} lists {len(listing or ())} dashboards; correct the pattern"
        )
    return list(names), unmatched


def find_retired(
    patterns: list[str], dashboards: list[str], known: Mapping[str, StoredContent], day: date
) -> list[str]:
    """Return the dashboards that a wildcard named in the days before ``day`` and no longer does.

    ``known`` holds the earlier summaries by dashboard.
    """
    wildcards = [pattern for pattern in patterns if WILDCARDS & set(pattern)]
    return [
        name
        for name in find_unlisted(dashboards, known, "", day)
        if any(fnmatch.fnmatchcase(name, pattern) for pattern in wildcards)
    ]


def _read_listing(client: Client) -> list[str]:
    try:
        reply = client.get(LISTING)
    except FetchError as error:
        raise SourceError(
            f"{name_service(client)} {error}; check the address, or run again when it is back"
        ) from error
    if reply.status != 200:
        # The public front end of TestGrid has no listing: only literal names work there.
        raise SourceError(
            f"{name_service(client)} answers HTTP {reply.status} to {LISTING}: check the address, or name "
            "the dashboards without wildcards (CILAKE_TESTGRID_DASHBOARDS=sig-release-master-blocking,…)"
        )
    try:
        names = [entry["name"] for entry in parse_object(reply.body).get("dashboards", [])]
        if not set(map(type, names)) <= {str}:
            raise UnreadableError("not_a_listing: a name is no text")
        return sorted(names)
    except (UnreadableError, KeyError, TypeError) as error:
        raise SourceError(
            f"{name_service(client)} answers {LISTING} with no list of dashboards ({error}): "
            "check the address"
        ) from error
