"""The embedded stack: every service of cilake on one machine, without root, containers or accounts.

`python3 -m deploy.local help` (or `make help`) lists what it does. `commands` does it: it has `supervise` run
the `services`, for which `install` brings programs; a linter keeps this order. Until the environments exist
only the standard library is imported here.
"""

import sys
from pathlib import Path

# Contracts, and how settings are written, come from the package; of it only modules are used that need the
# standard library alone, as this one runs before anything is installed.
sys.path.insert(0, str(Path(__file__).resolve().parents[2] / "jobs"))
