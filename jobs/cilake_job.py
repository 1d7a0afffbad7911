"""The script that ``spark-submit`` and EMR Serverless start: the command line of the jobs, nothing else.

The package travels with it as a zip (``--py-files``); the arguments are those of ``cilake``.
"""

from __future__ import annotations

import sys

from cilake.cli import main

if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
