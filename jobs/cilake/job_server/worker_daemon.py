"""The daemon that forks Spark's Python workers: it imports first what they would each import again.

Named by ``spark.python.daemon.module``. A separate worker would take seconds to import pandas and
scikit-learn, and Spark ends those that had nothing to do for a minute.
"""

from __future__ import annotations

import gc
import sys
import traceback
from collections.abc import Callable
from contextlib import redirect_stdout
from functools import partial

from pyspark import daemon

from cilake.models.registry import forecaster, model_names
from cilake.sources.registry import source, source_names


def import_libraries() -> None:
    """Import what decoders and models import, and forget our own modules: each worker reads them again.

    One that cannot be imported is reported on standard error, and fails where it is used.
    """
    ours: list[Callable[[], object]] = [partial(source, name) for name in source_names()]
    ours += [partial(forecaster, name) for name in model_names()]
    with redirect_stdout(sys.stderr):  # Spark reads the daemon's port from standard output
        for import_one in ours:
            try:
                import_one()
            except (Exception, SystemExit):
                traceback.print_exc()
    for name in [name for name in sys.modules if name.partition(".")[0] == "cilake"]:
        del sys.modules[name]
    gc.collect()
    gc.freeze()  # what is shared with the workers stays shared


if __name__ == "__main__":
    import_libraries()
    daemon.manager()  # type: ignore[no-untyped-call]  # pyspark has no types here
