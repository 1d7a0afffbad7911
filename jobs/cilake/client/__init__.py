"""The analyst's client: tables of the lake as pandas, Polars or Arrow, without Spark or Java.

>>> import cilake
>>> lake = cilake.connect()
>>> health = lake.read("kpi.daily_job_health", start="2021-06-01", end="2021-06-08")

"""
