"""Changed scores that the LMS will not take by itself, as a file for the people who set them there.

The columns are those that edx-bulk-grades reads for a Staff Graded Points block (`user_id`,
`block_id`, `Previous Points`, `New Points`; it does not mind others), because no upload of Open edX
takes scores of a problem: docs/reference/cli.md says what can be done with the file.
"""

from __future__ import annotations

import csv
import io
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime

from xqueue_server.storage import Transaction, regrades
from xqueue_server.storage.regrades import KeptOld

COLUMNS = (
    "user_id",
    "username",
    "course_id",
    "block_id",
    "Previous Points",
    "New Points",
    "submission_id",
    "submitted_at",
    "regraded_at",
)
_BEGINS_A_FORMULA = ("=", "+", "-", "@", "\t", "\r", "\n", "\uff1d", "\uff0b", "\uff0d", "\uff20")
"""The last four are what some spreadsheets take for the first: full-width signs."""


@dataclass(frozen=True, slots=True, kw_only=True)
class OverrideFile:
    text: str
    rows: int
    left_out: int
    """Rows of learners who have submitted the same part again since: another score counts."""


def write(tx: Transaction, batch_id: int, *, problem: str | None = None) -> OverrideFile:
    """The changed scores of a batch of which the LMS keeps the old ones; of one problem if given.

    Raises: NotFound: no such batch.
    """
    regrades.get_batch(tx, batch_id)
    found = [
        each
        for each in regrades.kept_old(tx, batch_id)
        if problem is None or each.problem == problem
    ]
    rows = [each for each in found if not each.has_newer]
    return OverrideFile(text=_csv(rows), rows=len(rows), left_out=len(found) - len(rows))


def _csv(rows: Sequence[KeptOld]) -> str:
    written = io.StringIO()
    writer = csv.writer(written)
    writer.writerow(COLUMNS)
    writer.writerows([cell(value) for value in _values(row)] for row in rows)
    return written.getvalue()


def _values(row: KeptOld) -> tuple[object, ...]:
    return (
        row.learner,
        "",  # the queue knows no names
        row.course,
        row.problem,
        row.old_score,
        row.new_score,
        row.submission_id,
        row.arrived_at,
        row.finished_at,
    )


def cell(value: object) -> str:
    """Text that no spreadsheet takes for a formula: the callback URL is anybody's who submits."""
    if value is None:
        return ""
    if isinstance(value, float):
        return f"{value:.10g}"
    if isinstance(value, datetime):
        return value.astimezone(UTC).isoformat(timespec="seconds")
    text = str(value)
    return f"'{text}" if text.startswith(_BEGINS_A_FORMULA) else text
