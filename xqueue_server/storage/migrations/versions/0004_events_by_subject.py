"""Events are found by their subject, and a repeated request by its key. Only adds."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0004"
down_revision = "0003"
branch_labels = None
depends_on = None
step = "before"
works_from = "0002"


def upgrade() -> None:
    of_no_submission = sa.text("submission_id IS NULL")
    op.create_index(
        "ix_events_subject",
        "events",
        ["subject", "id"],
        unique=False,
        sqlite_where=of_no_submission,
        postgresql_where=of_no_submission,
    )
    op.create_index("ix_events_actor", "events", ["actor", "id"], unique=False)
    op.create_table(
        "idempotency_keys",
        sa.Column("hash", sa.LargeBinary(length=32), nullable=False),
        sa.Column("request_hash", sa.LargeBinary(length=32), nullable=False),
        sa.Column("began_at", sa.BigInteger(), nullable=False),
        sa.Column("status", sa.Integer(), nullable=True),
        sa.Column("body", sa.LargeBinary(), nullable=True),
        sa.Column("location", sa.String(length=300), nullable=True),
        sa.PrimaryKeyConstraint("hash", name="pk_idempotency_keys"),
    )
    op.create_index("ix_idempotency_keys_began_at", "idempotency_keys", ["began_at"], unique=False)


def downgrade() -> None:
    op.drop_index("ix_idempotency_keys_began_at", table_name="idempotency_keys")
    op.drop_table("idempotency_keys")
    op.drop_index("ix_events_actor", table_name="events")
    op.drop_index("ix_events_subject", table_name="events")
