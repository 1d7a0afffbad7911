"""The one error of this package, something the person at the keyboard can act on, and what leads to it."""

import http.client

CONNECTION_ERRORS = (OSError, http.client.HTTPException)
"""What a question over HTTP raises when nobody answers, or somebody who ends half way or speaks otherwise."""


class StackError(Exception):
    """One clear line: what is wrong and the way out. Printed without a traceback."""
