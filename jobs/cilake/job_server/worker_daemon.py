"""The daemon that forks Spark's Python workers: it imports first what they would each import again.

Named by ``spark.python.daemon.module``. A worker of its own would take seconds to import pandas and
scikit-learn, and Spark ends those that had nothing to do for a minute.
"""

from __future__ import annotations

import gc
import sys

from pyspark import daemon

from cilake.models.registry import forecaster, model_names
from cilake.sources.registry import sources


def import_libraries() -> None:
    """Import what decoders and models import, and forget our own modules: each worker reads them anew."""
    sources()
    for name in model_names():
        forecaster(name)
    for name in [name for name in sys.modules if name.partition(".")[0] == "cilake"]:
        del sys.modules[name]
    gc.collect()
    gc.freeze()  # what is shared with the workers stays shared


if __name__ == "__main__":
    import_libraries()
    daemon.manager()  # type: ignore[no-untyped-call]  # pyspark has no types here
