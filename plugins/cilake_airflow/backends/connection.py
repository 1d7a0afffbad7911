"""The connections from which a back end knows where the cluster is."""

from __future__ import annotations

from collections.abc import Sequence

from airflow.sdk import Connection
from airflow.sdk.exceptions import AirflowFailException, AirflowNotFoundException


def read_connection(conn_id: str, required: Sequence[str]) -> Connection:
    """Return the connection; its extra has every name in ``required``.

    Raises:
        AirflowFailException: when there is none or its extra lacks something, which no other try fixes.

    """
    try:
        connection = Connection.get(conn_id)
    except AirflowNotFoundException:
        raise AirflowFailException(
            f"connection {conn_id} does not exist: add it, its extra has {', '.join(required)}"
        ) from None
    if missing := [name for name in required if not connection.extra_dejson.get(name)]:
        raise AirflowFailException(f"connection {conn_id}: extra lacks {', '.join(missing)}")
    return connection
