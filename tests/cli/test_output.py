"""How values are shown to people."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta, timezone

import pytest

from xqueue_server.cli.output import cell, duration, printable, show_table, size, when


@pytest.mark.parametrize(
    ("seconds", "expected"),
    [
        (0, "0 s"),
        (59, "59 s"),
        (600, "10 min"),
        (5400, "1 h 30 min"),
        (3601, "1 h 1 s"),
        (86_400, "1 d"),
        (90_061, "1 d 1 h"),
    ],
)
def test_durations_read_well(seconds: int, expected: str) -> None:
    assert duration(seconds) == expected


@pytest.mark.parametrize(
    ("count", "expected"),
    [(0, "0 B"), (1023, "1023 B"), (1536, "1.5 KB"), (5 * 2**30, "5.0 GB"), (2**50, "1024.0 TB")],
)
def test_sizes_read_well(count: int, expected: str) -> None:
    assert size(count) == expected


def test_moments_are_shown_in_utc() -> None:
    summer = datetime(2026, 7, 1, 14, 0, tzinfo=timezone(timedelta(hours=2)))
    assert when(summer) == "2026-07-01T12:00:00Z"
    assert cell(datetime(2026, 7, 1, tzinfo=UTC)) == "2026-07-01T00:00:00Z"


def test_what_is_not_there_is_a_dash() -> None:
    assert [cell(None), cell(""), cell(0), cell(False)] == ["-", "-", "0", "no"]


def test_control_characters_are_escaped_and_letters_are_not() -> None:
    assert printable("grün\x1b[2J\n\u202e") == "grün\\x1b[2J\\n\\u202e"


def test_columns_are_as_wide_as_their_widest_cell(capsys: pytest.CaptureFixture[str]) -> None:
    show_table(["A", "LONG NAME"], [("a long cell", 1), ("x", None)])
    assert capsys.readouterr().out.splitlines() == [
        "A            LONG NAME",
        "a long cell  1",
        "x            -",
    ]
