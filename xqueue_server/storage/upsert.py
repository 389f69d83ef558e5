"""INSERT … ON CONFLICT in the words of both databases."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from sqlalchemy import Table
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.sql.expression import ColumnElement, Executable

from xqueue_server.storage.engine import Transaction


class Upsert:
    """One statement, built once for each database."""

    def __init__(
        self,
        table: Table,
        values: Mapping[str, Any],
        *,
        conflict: Sequence[str],
        change: Mapping[str, Any] | None,
        returning: Sequence[ColumnElement[Any]] = (),
    ) -> None:
        """`change` None: what is there stays."""
        columns = [table.c[name] for name in conflict]
        self._statements: dict[bool, Executable] = {}
        for is_postgres, insert in ((True, postgresql.insert), (False, sqlite.insert)):
            statement: Any = insert(table).values(dict(values))
            if change is None:
                statement = statement.on_conflict_do_nothing(index_elements=columns)
            else:
                statement = statement.on_conflict_do_update(
                    index_elements=columns, set_=dict(change)
                )
            self._statements[is_postgres] = (
                statement.returning(*returning) if returning else statement
            )

    def on(self, tx: Transaction) -> Executable:
        return self._statements[tx.is_postgres]
