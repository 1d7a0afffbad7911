"""The analyst's pull: tables of the lake as pandas, Polars or Arrow, without Spark or Java.

>>> import cilake
>>> lake = cilake.connect()
>>> health = lake.read("kpi.daily_job_health", start="2021-06-01", end="2021-06-08")

"""

from cilake.client.lake import Lake, connect
from cilake.client.query import LakeError

__all__ = ["Lake", "LakeError", "connect"]
