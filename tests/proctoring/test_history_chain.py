"""Nobody can edit the history of an attempt unseen."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from proctoring_hooks.history import ERASE, FORGET, NO_HEAD, Change, Row, first_flaw, row_of

KEY = b"a secret of the server's"
BEGAN = datetime(2026, 6, 1, 12, 0, 0, 123456, tzinfo=UTC)


@pytest.fixture
def rows() -> list[Row]:
    return _chain(KEY, ["created", "started", "submitted", "rejected"])


def test_an_untouched_chain_holds(rows: list[Row]) -> None:
    assert _flaw(rows) is None


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("after", "verified"),
        ("before", "created"),
        ("who", "somebody else"),
        ("actor", "proctor"),
        ("action", "pass"),
        ("at", BEGAN - timedelta(microseconds=1)),
        ("facts", '{"expires_at": "later"}'),
        ("request_id", "another"),
        ("attempt_id", 8),
        ("reason_digest", "another"),
    ],
)
def test_an_edited_row_is_found(rows: list[Row], field: str, value: object) -> None:
    rows[2] = replace(rows[2], change=replace(rows[2].change, **{field: value}))
    assert _flaw(rows) == "row 3 was changed"


def test_a_row_in_the_middle_or_at_the_end_is_missed(rows: list[Row]) -> None:
    head, version = rows[-1].head, len(rows)
    without = [*rows[:1], *rows[2:]]
    assert first_flaw(KEY, without, head=head, version=version) == "row 2 is missing"
    flaw = first_flaw(KEY, rows[:-1], head=head, version=version)
    assert flaw is not None
    assert "rows after 3 are missing" in flaw


def test_rows_missing_at_the_end_are_missed_though_the_attempt_was_put_back(
    rows: list[Row],
) -> None:
    """By somebody who sees all that is stored: the digests of the rows, and the newest head."""
    for head in (rows[-2].digest, rows[-1].digest, rows[-1].head):
        assert first_flaw(KEY, rows[:-1], head=head, version=len(rows) - 1) is not None


def test_who_has_not_the_key_can_not_make_another_history(rows: list[Row]) -> None:
    forged = _chain(b"a guess", ["created", "started", "submitted", "verified"])
    flaw = first_flaw(KEY, forged, head=forged[-1].head, version=len(forged))
    assert flaw == "row 1 was changed"


def test_a_reason_can_not_be_reworded_nor_taken_from_another_row(rows: list[Row]) -> None:
    given = rows[2].reason
    for reason in ("because", given):
        rows[3] = replace(rows[3], reason=reason)
        assert _flaw(rows) == "the reason of row 4 was changed"


@pytest.mark.parametrize("action", [ERASE, FORGET])
def test_a_reason_goes_with_a_row_that_says_so_and_never_without(
    rows: list[Row], action: str
) -> None:
    without = [replace(row, reason=None) for row in rows]
    assert _flaw(without) == "the reason of row 1 was removed"
    erasure = _row(KEY, rows[-1].head, 5, action, "rejected", "rejected", None)
    assert _flaw([*without, erasure]) is None
    later = _row(KEY, erasure.head, 6, "mark", "rejected", "rejected", "for another reason")
    assert _flaw([*without, erasure, later]) is None
    assert _flaw([*without, erasure, replace(later, reason=None)]) == (
        "the reason of row 6 was removed"
    )


def test_an_erasure_can_not_be_made_up(rows: list[Row]) -> None:
    without = [replace(row, reason=None) for row in rows]
    made_up = _row(b"a guess", rows[-1].head, 5, ERASE, "rejected", "rejected", None)
    assert _flaw([*without, made_up]) == "row 5 was changed"
    relabelled = replace(rows[3], change=replace(rows[3].change, action=ERASE), reason=None)
    assert _flaw([*rows[:3], relabelled]) == "row 4 was changed"


def test_what_a_reason_was_can_not_be_tried_out(rows: list[Row]) -> None:
    same = _row(KEY, rows[-1].head, 5, "some", "rejected", "rejected", rows[3].reason)
    assert same.change.reason_digest != rows[3].change.reason_digest
    plain = hashlib.sha256(b"reason 4").hexdigest()
    assert rows[3].change.reason_digest != plain


def _flaw(rows: Sequence[Row]) -> str | None:
    return first_flaw(KEY, rows, head=rows[-1].head, version=len(rows))


def _chain(key: bytes, statuses: Sequence[str]) -> list[Row]:
    rows: list[Row] = []
    head, before = NO_HEAD, ""
    for version, after in enumerate(statuses, start=1):
        row = _row(key, head, version, "some", before, after, f"reason {version}")
        rows.append(row)
        head, before = row.head, after
    return rows


def _row(
    key: bytes,
    head: bytes,
    version: int,
    action: str,
    before: str,
    after: str,
    reason: str | None,
) -> Row:
    change = Change(
        attempt_id=7,
        version=version,
        at=BEGAN + timedelta(minutes=version),
        actor="staff",
        who="account jane",
        action=action,
        before=before,
        after=after,
        request_id=f"request {version}",
        facts="{}",
    )
    return row_of(key, head, change, reason)
