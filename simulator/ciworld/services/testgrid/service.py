"""TestGrid's addresses over dashboards, synthetic or recorded."""

from datetime import datetime
from http import HTTPStatus
from typing import Protocol
from urllib.parse import parse_qs, quote, unquote

import orjson

from ciworld.payload import Payload
from ciworld.services.base import Page, Request, Response, refusal
from ciworld.services.testgrid.grid import normalise

LISTING = "/api/v1/dashboards"


class Dashboards(Protocol):
    """What TestGrid shows: dashboards with tabs, at any time."""

    def dashboards(self) -> list[str]:
        """Return the names of the dashboards."""

    def summary(self, dashboard: str, as_of: datetime | None) -> Payload | None:
        """Return a dashboard's summary at a time, or None when it is unknown."""

    def table(self, dashboard: str, tab: str, as_of: datetime | None, address: str) -> Payload | None:
        """Return a tab's table at a time, or None when it is unknown; the server is at the address."""


class TestGrid:
    """The service: `/api/v1/dashboards`, `/<dashboard>/summary` and `/<dashboard>/table?tab=<tab>`.

    As the real one does, it compares names of dashboards by their letters and digits only.
    """

    __test__ = False
    is_for_people = False

    def __init__(self, dashboards: Dashboards):
        self._dashboards = dashboards

    def respond(self, request: Request) -> Response | None:
        """Return the listing, a summary or a table; a refusal of what there is not; None elsewhere."""
        if request.path == LISTING:
            return self._listing()
        pieces = [unquote(piece) for piece in request.path.strip("/").split("/")]
        if len(pieces) != 2 or pieces[1] not in ("summary", "table"):
            return None
        if pieces[1] == "summary":
            payload = self._dashboards.summary(pieces[0], request.as_of)
        else:
            tabs = parse_qs(request.query, keep_blank_values=True).get("tab", [])
            if len(tabs) != 1:
                return refusal(HTTPStatus.BAD_REQUEST, "exactly one tab= is needed")
            payload = self._dashboards.table(pieces[0], tabs[0], request.as_of, request.address)
        return payload or refusal(HTTPStatus.NOT_FOUND, f"{quote(request.path)} not found")

    def _listing(self) -> Page:
        names = self._dashboards.dashboards()
        entries = [{"name": name, "link": f"/dashboards/{normalise(name)}"} for name in names]
        body = orjson.dumps({"dashboards": entries})
        return Page(HTTPStatus.OK, body, {"Content-Type": "application/json"})
