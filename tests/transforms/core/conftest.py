"""The engines on which transforms of the core tables run."""

import pytest

from cilake.transforms.engines import DuckEngine, SparkEngine


@pytest.fixture(params=["DuckDB", pytest.param("Spark", marks=pytest.mark.spark)])
def engine(request):
    return DuckEngine() if request.param == "DuckDB" else SparkEngine(request.getfixturevalue("spark"))
