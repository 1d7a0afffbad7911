"""The log of the commands of the embedded stack, in the format of the jobs."""

from __future__ import annotations

from cilake.log import logger as _of_jobs

logger = _of_jobs.getChild("stack")
"""One line per message on standard error, with the seconds since the command began."""
