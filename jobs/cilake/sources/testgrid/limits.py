"""How TestGrid is named and asked."""

NAME = "testgrid"
TITLE = "TestGrid"
ADDRESS_SETTING = "CILAKE_TESTGRID_URL"
ATTEMPTS = 6
"""How often one payload is asked for."""
PAYLOAD_LIMIT_BYTES = 256 * 1024 * 1024
"""How large a payload may be, decoded from its transfer encoding."""
