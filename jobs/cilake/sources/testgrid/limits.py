"""The name of TestGrid, and limits of the requests to it."""

NAME = "testgrid"
TITLE = "TestGrid"
ADDRESS_SETTING = "CILAKE_TESTGRID_URL"
ATTEMPTS = 6
"""How often one payload is requested."""
PAYLOAD_LIMIT_BYTES = 256 * 1024 * 1024
"""How large a payload may be, decoded from its transfer encoding."""
