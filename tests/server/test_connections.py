"""What a connection to PostgreSQL is told at its start."""

from __future__ import annotations

from sqlalchemy import text

from xqueue_server.storage import open_storage


def test_options_of_the_database_url_are_kept_beside_ours(postgres_url: str) -> None:
    storage = open_storage(f"{postgres_url}?options=-c%20work_mem%3D7MB")
    with storage.read() as tx:
        assert tx.scalar(text("SHOW work_mem")) == "7MB"
        assert tx.scalar(text("SHOW statement_timeout")) == "30s"
    storage.close()


def test_an_option_of_the_database_url_wins_over_ours(postgres_url: str) -> None:
    storage = open_storage(f"{postgres_url}?options=-c%20statement_timeout%3D5s")
    with storage.read() as tx:
        assert tx.scalar(text("SHOW statement_timeout")) == "5s"
    storage.close()
