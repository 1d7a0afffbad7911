"""What TestGrid is to the lake."""

from __future__ import annotations

from cilake.sources.base import Source
from cilake.sources.testgrid.collect import collect, is_tab
from cilake.sources.testgrid.decode import payload_decoder
from cilake.sources.testgrid.describe import describe
from cilake.sources.testgrid.limits import TITLE
from cilake.sources.testgrid.settings import TestGridSettings

SOURCE = Source(
    name="testgrid",
    title=TITLE,
    settings=TestGridSettings,
    scope="dashboard",
    scope_setting="CILAKE_TESTGRID_DASHBOARDS",
    endpoints={"summary": "raw.testgrid__summaries", "table": "raw.testgrid__tables"},
    collect=collect,
    decoders={"raw.testgrid__tables": payload_decoder},
    describe=describe,
    is_natural_id=is_tab,
    natural_id_form="DASHBOARD/TAB",
)
