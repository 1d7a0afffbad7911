"""The vocabulary in which tables are declared: columns, tables and the rules they obey."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal

from cilake.contracts.rebuild import Rebuild

Type = Literal[
    "bigint",
    "int",
    "double",
    "string",
    "boolean",
    "timestamp",
    "date",
    "binary",
    "array<bigint>",
    "array<string>",
]
WriteMode = Literal["append", "replace_partition", "merge", "ledger"]
Sensitivity = Literal["public", "internal"]

NAMESPACES = ("raw", "core", "kpi", "features", "predictions", "ops")

_SUFFIX_TYPES: dict[str, tuple[str, ...]] = {
    "_at": ("timestamp",),
    "_date": ("date",),
    "_key": ("bigint",),
    "_count": ("bigint", "int"),
    "_bytes": ("bigint",),
    "_seconds": ("double", "bigint", "int"),
    "_ratio": ("double",),
    "_probability": ("double",),
    "_sha256": ("string",),
    "_url": ("string",),
    "_status": ("string", "int"),
}
_PREFIX_TYPES: dict[str, tuple[str, ...]] = {
    "is_": ("boolean",),
    "has_": ("boolean",),
    "was_": ("boolean",),
}


class ContractError(ValueError):
    """A declaration that contradicts itself or the naming rules."""


@dataclass(frozen=True, slots=True)
class Column:
    """One column of a table.

    ``allowed`` closes the list of values; ``unit`` names what a number counts in; ``example`` is a
    valid value used by row builders in tests and shown in the dictionary.
    """

    name: str
    type: Type
    description: str
    nullable: bool = False
    unit: str | None = None
    allowed: tuple[str, ...] = ()
    example: object = field(default=None, hash=False)
    sensitivity: Sensitivity = "public"

    def __post_init__(self) -> None:
        if not self.description:
            raise ContractError(f"column {self.name}: a description is required")
        for rules, matches in ((_SUFFIX_TYPES, str.endswith), (_PREFIX_TYPES, str.startswith)):
            for affix, types in rules.items():
                if matches(self.name, affix) and self.type not in types:
                    raise ContractError(f"column {self.name}: {affix!r} means {types}, not {self.type}")
        if self.name.endswith("_key") and self.nullable:
            raise ContractError(f"column {self.name}: a key may not be null")


@dataclass(frozen=True, slots=True)
class Table:
    """One table of the lake: its meaning, shape and rules.

    ``partition_by`` holds Iceberg transforms such as ``months(run_date)``; ``inputs`` are addresses of
    the tables it is made from, besides those that say that they feed it (``feeds``). ``made_by`` is the step
    that makes it, or a verb alone: then each of its steps makes the rows of its model.
    ``freshness_hours`` is how old the newest row may be (``None``: no SLO).
    ``rebuild`` says which rows are made again when rows of the inputs change. A change of a row shows in its
    ``change_columns``, and those that make tables from it follow it; without any they follow other inputs.
    A batch that ``may_be_empty`` is no sign of a broken input. The key of a table too large to be checked
    whole is checked on one of ``key_slices`` slices. ``shown_on`` is the dashboard on which people see it.
    """

    address: str
    title: str
    grain: str
    description: str
    columns: tuple[Column, ...]
    primary_key: tuple[str, ...]
    write_mode: WriteMode
    partition_by: tuple[str, ...] = ()
    sort_by: tuple[str, ...] = ()
    inputs: tuple[str, ...] = ()
    feeds: tuple[str, ...] = ()
    made_by: str = ""
    rebuild: Rebuild | None = None
    change_columns: tuple[str, ...] = ()
    freshness_hours: int | None = None
    may_be_empty: bool = False
    key_slices: int = 1
    shown_on: str = ""
    caveats: tuple[str, ...] = ()
    example_query: str = ""
    version: str = "1.0"
    properties: dict[str, str] = field(default_factory=dict, hash=False)

    def __post_init__(self) -> None:
        namespace, _, name = self.address.partition(".")
        if namespace not in NAMESPACES or not name:
            raise ContractError(f"{self.address}: expected <namespace>.<table>, one of {NAMESPACES}")
        names = [column.name for column in self.columns]
        if len(names) != len(set(names)):
            raise ContractError(f"{self.address}: a column is declared twice")
        used = {*self.primary_key, *self.sort_by, *map(partition_column, self.partition_by)}
        used |= {*self.change_columns, *([self.rebuild.column] if self.rebuild else [])}
        if unknown := sorted(used - set(names)):
            raise ContractError(f"{self.address}: unknown columns {unknown}")
        if not self.primary_key:
            raise ContractError(f"{self.address}: a primary key is required")
        if nullable := [c.name for c in self.columns if c.name in self.primary_key and c.nullable]:
            raise ContractError(f"{self.address}: key columns may not be null: {nullable}")

    @property
    def namespace(self) -> str:
        """The namespace part of the address."""
        return self.address.partition(".")[0]

    @property
    def is_audited(self) -> bool:
        """Whether the table is built on a branch that its suite of expectations must pass."""
        return self.namespace not in ("raw", "ops")

    @property
    def name(self) -> str:
        """The table part of the address."""
        return self.address.partition(".")[2]

    @property
    def identifier(self) -> str:
        """The full name in every engine; the catalog is called ``lake`` everywhere."""
        return f"lake.{self.address}"

    @property
    def column_names(self) -> list[str]:
        """The columns' names, in order."""
        return [column.name for column in self.columns]

    @property
    def day_column(self) -> str | None:
        """The date that the table's days are about: that of its partitions, else of its key; or ``None``."""
        candidates = [*map(partition_column, self.partition_by), *self.primary_key]
        types = {column.name: column.type for column in self.columns}
        return next((name for name in candidates if types[name] == "date"), None)

    def column(self, name: str) -> Column:
        """Return the column of that name; raises ``KeyError`` when there is none."""
        for column in self.columns:
            if column.name == name:
                return column
        raise KeyError(f"{self.address} has no column {name}")


def partition_column(transform: str) -> str:
    """Return the column an Iceberg partition transform such as ``months(run_date)`` reads."""
    inner = transform.partition("(")[2].rstrip(")")
    return inner.split(",")[-1].strip() if inner else transform
