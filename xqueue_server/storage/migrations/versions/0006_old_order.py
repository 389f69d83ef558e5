"""The index of the order that 0002 had; its programs need it as long as they run."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0006"
down_revision = "0005"
branch_labels = None
depends_on = None
step = "after"
works_from = "0003"


def upgrade() -> None:
    op.drop_index("ix_submissions_ready", table_name="submissions")


def downgrade() -> None:
    ready = sa.text("state = 'queued' AND available_at IS NULL")
    op.create_index(
        "ix_submissions_ready",
        "submissions",
        ["queue", sa.literal_column("priority DESC"), "id"],
        unique=False,
        sqlite_where=ready,
        postgresql_where=ready,
    )
