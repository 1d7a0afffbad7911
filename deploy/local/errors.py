"""The one error of this package, something the person at the keyboard can act on, and what leads to it."""

import http.client

CONNECTION_ERRORS = (OSError, http.client.HTTPException)
"""What an HTTP request raises when nothing responds, or the response breaks off or is not HTTP."""


class StackError(Exception):
    """One clear line: what is wrong and the way out. Printed without a traceback."""
