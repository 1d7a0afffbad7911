"""The links that the plugin shows under our tasks; the API server makes them when a task's page is shown.

So they are there before a task has run, and follow the settings of the day. ``run_log`` is the other kind.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

from airflow.sdk import BaseOperatorLink

from cilake.contracts.registry import tables as contracts
from cilake_airflow import addresses
from cilake_airflow.operators.job_operator import CilakeJobOperator
from cilake_airflow.settings import PluginSettings, SettingsError, read_settings

if TYPE_CHECKING:
    from collections.abc import Sequence

    from airflow.sdk import BaseOperator
    from airflow.sdk.types import TaskInstanceKey


class TablesLink(BaseOperatorLink):
    """A link made from the tables that the task writes; empty when the settings do not say where to."""

    operators: ClassVar[list[type[BaseOperator]]] = [CilakeJobOperator]

    def get_link(self, operator: BaseOperator, *, ti_key: TaskInstanceKey) -> str:
        """Return the address of the page, or nothing."""
        try:
            settings = read_settings()
        except SettingsError:  # the task says it; the other links must still be shown
            return ""
        tables = written_tables(operator)
        return self.address(tables, settings) if tables else ""

    def address(self, tables: Sequence[str], settings: PluginSettings) -> str:
        """Return the address of the page about these tables."""
        raise NotImplementedError


class DataDocsLink(TablesLink):
    """What the last check of the task's table found; the list of all where it writes several."""

    name = "Data docs"

    def address(self, tables: Sequence[str], settings: PluginSettings) -> str:
        """Return the page on Airflow, or on the site that the settings name."""
        if not settings.data_docs:
            return ""
        page = f"{tables[0]}.html" if len(tables) == 1 else addresses.DATA_DOCS_INDEX
        if settings.data_docs_elsewhere:
            return f"{settings.data_docs.rstrip('/')}/{page}"
        return addresses.airflow_address(f"{addresses.DATA_DOCS}/{page}")


class TablePageLink(TablesLink):
    """The description of the task's table; the list of all where it writes several."""

    name = "Table page"

    def address(self, tables: Sequence[str], settings: PluginSettings) -> str:
        """Return the page on Airflow."""
        if not settings.table_pages:
            return ""
        page = f"{tables[0].replace('.', '/')}.md" if len(tables) == 1 else addresses.TABLES_INDEX
        return addresses.airflow_address(f"{addresses.TABLES}/{page}")


class DashboardLink(TablesLink):
    """The dashboard on which people see the task's first table."""

    name = "Superset dashboard"

    def address(self, tables: Sequence[str], settings: PluginSettings) -> str:
        """Return the dashboard in Superset."""
        first = contracts().get(tables[0])  # a DAG that was stored before an upgrade may name another
        slug = first.shown_on if first else ""
        if not settings.superset_url or not slug:
            return ""
        return f"{settings.superset_url.rstrip('/')}/superset/dashboard/{slug}/"


def written_tables(operator: BaseOperator) -> list[str]:
    """Return the addresses of the tables among the task's outlets, in their order."""
    return [outlet.name for outlet in operator.outlets if getattr(outlet, "uri", "").startswith("lake://")]


PLUGIN_LINKS = (DashboardLink(), DataDocsLink(), TablePageLink())
