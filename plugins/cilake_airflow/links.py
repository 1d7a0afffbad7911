"""Links shown under a task of ours."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from airflow.sdk import BaseOperatorLink

from cilake_airflow.settings import read_settings

if TYPE_CHECKING:
    from airflow.sdk import BaseOperator
    from airflow.sdk.types import TaskInstanceKey


class DataDocsLink(BaseOperatorLink):
    """The pages with the validation results of the tables."""

    name = "Data docs"

    def get_link(self, operator: BaseOperator, *, ti_key: TaskInstanceKey) -> str:
        """The address of the data docs; empty where none are configured."""
        place = read_settings().data_docs
        if not place or place.startswith(("http://", "https://")):
            return place
        return (Path(place).resolve() / "index.html").as_uri()
