"""Charts and the words for numbers on the pages."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from xqueue_server.web.admin import shown
from xqueue_server.web.admin.charts import Axis, Series, line_chart
from xqueue_server.web.admin.paths import at, own_path

AXIS = Axis(begin=datetime(2026, 1, 1, tzinfo=UTC), step=timedelta(minutes=5), count=4)


def chart(*series: Series, is_time: bool = False) -> str:
    return str(line_chart("Wait", AXIS, series, lambda value: f"{value:g}", is_time=is_time))


def test_a_chart_says_in_words_what_it_shows() -> None:
    drawn = chart(Series(name="mean", values=[1, 7, None, 3]))

    assert 'role="img"' in drawn
    assert 'aria-label="Wait: mean now 3, at most 7"' in drawn


def test_what_is_not_known_is_a_gap_and_what_stands_alone_a_dot() -> None:
    drawn = chart(Series(name="mean", values=[1, 7, None, 3]))

    assert drawn.count("<polyline") == 1
    assert drawn.count("<circle") == 1


def test_a_chart_of_nothing_is_drawn_all_the_same() -> None:
    drawn = chart(Series(name="mean", values=[None] * 4), Series(name="longest", values=[None] * 4))

    assert "nothing known" in drawn
    assert "<polyline" not in drawn


def test_the_axis_ends_at_a_round_number() -> None:
    assert ">20</text>" in chart(Series(name="a", values=[0, 17, 3, 2]))
    assert ">120</text>" in chart(Series(name="a", values=[0, 61, 3, 2]), is_time=True)


def test_names_in_a_chart_are_never_markup() -> None:
    drawn = chart(Series(name='"><script>', values=[1, 2, 3, 4]))

    assert "<script>" not in drawn


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (None, ""),
        (0, "0 s"),
        (0.0004, "under 1 ms"),
        (0.2, "200 ms"),
        (2.64, "2.6 s"),
        (59, "59 s"),
        (90, "1 min 30 s"),
        (5400, "1 h 30 min"),
        (200_000, "2 d 7 h"),
    ],
)
def test_durations_in_words(seconds: float | None, text: str) -> None:
    assert shown.duration(seconds) == text


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(3, "0 s"), (44, "40 s"), (119, "1 min"), (7300, "2 h 1 min"), (3e5, "3 d")],
)
def test_ages_are_coarse_so_that_pages_stand_still(seconds: float, text: str) -> None:
    assert shown.age(seconds) == text


def test_addresses_hold_whatever_names_are_in_them() -> None:
    assert (
        at("queues", "cs 101/&?#", page=2, none="") == "/admin/queues/cs%20101%2F%26%3F%23?page=2"
    )
    for odd in ("/admin", "/admin/x y", "/admin/é", "/admin/x#y", None, "/administrator/"):
        assert own_path(odd) == "/admin/"
    assert own_path("/admin/queues/cs%20101?before=7") == "/admin/queues/cs%20101?before=7"
