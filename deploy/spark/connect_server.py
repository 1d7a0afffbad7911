"""The Spark Connect server of the lake: an application of Spark that loads the service as a plugin.

Spark's own ``SparkConnectServer`` insists on keeping apart what the clients' sessions upload. For that each
session gets its own Python daemon, which stays until the server ends (SPARK-54055), and every class that
is compiled for a query is looked up through the session's class loader. Ours upload nothing (ADR 0010).
"""

from contextlib import suppress

from py4j.protocol import Py4JNetworkError
from pyspark.sql import SparkSession


def main() -> None:
    """Serve until Spark's process gets a signal; the properties hold address and settings."""
    spark = SparkSession.builder.getOrCreate()
    with suppress(Py4JNetworkError):  # what a call gets when Spark's process ends
        spark.sparkContext._jvm.java.lang.Thread.currentThread().join()


if __name__ == "__main__":
    main()
