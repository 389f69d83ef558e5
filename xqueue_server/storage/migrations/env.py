"""Alembic's entry: migrates over the connection that `storage.migration` hands it."""

from __future__ import annotations

from typing import Any

from alembic import context
from sqlalchemy import delete, insert, inspect

from xqueue_server.storage import (  # noqa: F401 - add their tables
    grader_schema,
    operations_schema,
    proctoring_schema,
)
from xqueue_server.storage.schema import metadata, schema_compatibility

FIRST_WITH_COMPATIBILITY = "0002"


def _keep_works_from(*, step: Any, **_others: Any) -> None:
    """Which older programs may go on, for those that do not know this revision (`migration`)."""
    revision = step.up_revision
    if not step.is_upgrade or revision.revision < FIRST_WITH_COMPATIBILITY:
        return
    connection.execute(delete(schema_compatibility))
    connection.execute(insert(schema_compatibility).values(works_from=revision.module.works_from))


def _lock_tables() -> None:
    """All at once and before anything else: programs that work meanwhile take the same tables in
    other orders. Given up before PostgreSQL looks for deadlocks (`deadlock_timeout`, 1 s), so that
    none of them is ever the one that is ended for it; `migration.upgrade` tries again.
    """
    names = sorted(metadata.tables.keys() & set(inspect(connection).get_table_names()))
    if not names:
        return
    tables = ", ".join(map(connection.dialect.identifier_preparer.quote, names))
    connection.exec_driver_sql("SET LOCAL statement_timeout = '800ms'")
    connection.exec_driver_sql(f"LOCK TABLE {tables} IN ACCESS EXCLUSIVE MODE")
    connection.exec_driver_sql("SET LOCAL statement_timeout = 0")


# Several hosts may start at once: the second waits, then finds nothing to do. So all revisions are
# one transaction, begun here: between two, another host could do the next one as well.
connection = context.config.attributes["connection"]
if connection.dialect.name == "postgresql":
    connection.exec_driver_sql("SET LOCAL lock_timeout = '5s'; SET LOCAL statement_timeout = 0")
    connection.exec_driver_sql("SELECT pg_advisory_xact_lock(7310425)")
    _lock_tables()
else:
    connection.exec_driver_sql("SELECT 1")  # BEGIN IMMEDIATE comes before it, with the write lock
context.configure(
    connection=connection,
    target_metadata=metadata,
    render_as_batch=connection.dialect.name == "sqlite",
    on_version_apply=_keep_works_from,  # type: ignore[arg-type]  # Alembic passes by keyword
)
with context.begin_transaction():
    context.run_migrations()
