"""Course, learner and problem, read off the callback URL."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sqlalchemy import text

from tests.server.builders import BLOCK, COURSE, Desk, callback_url, lms_body
from xqueue_server.models.callback_url import NOWHERE, Place, read_callback_url

LMS = "https://lms.example.org"


@pytest.mark.parametrize(
    ("url", "place"),
    [
        (callback_url(), Place(course=COURSE, learner="42", problem=f"{BLOCK}{'0' * 32}")),
        (
            f"{LMS}/courses/course-v1%3AX%2BY%2B1/xqueue/5/block-v1%3AX%2Bp/score_update",
            Place(course="course-v1:X+Y+1", learner="5", problem="block-v1:X+p"),
        ),
        (
            f"{LMS}/prefix/of/it/courses/c/xqueue/5/p/score_update",
            Place(course="c", learner="5", problem="p"),
        ),
        (
            f"{LMS}/courses/Org/Course/Run/xqueue/5/i4x://Org/Course/problem/x/score_update",
            Place(course="Org/Course/Run", learner="5", problem="i4x://Org/Course/problem/x"),
        ),
        (
            f"{LMS}/courses/c/xqueue/an%20id/p/score_update?x=1#y",
            Place(course="c", learner="an id", problem="p"),
        ),
        (
            f"{LMS}/courses/c/xqueue/5/p/ungraded_response/",
            Place(course="c", learner="5", problem="p"),
        ),
        (
            f"{LMS}/courses/{'c' * 255}/xqueue/{'5' * 64}/{'p' * 255}/d",
            Place(course="c" * 255, learner="5" * 64, problem="p" * 255),
        ),
    ],
)
def test_an_lms_says_whose_it_is(url: str, place: Place) -> None:
    assert read_callback_url(url) == place


@pytest.mark.parametrize(
    "url",
    [
        "",
        "u",
        LMS,
        f"{LMS}/courses/c/xqueue/5/score_update",
        f"{LMS}/courses/c/xqueue//p/score_update",
        f"{LMS}/courses//xqueue/5/p/score_update",
        f"{LMS}/courses/a/b/xqueue/5/p/score_update",
        f"{LMS}/courses/c/other/5/p/score_update",
        f"{LMS}/courses/{'c' * 256}/xqueue/5/p/score_update",
        f"{LMS}/courses/c/xqueue/{'5' * 65}/p/score_update",
        f"{LMS}/courses/c/xqueue/5/{'p' * 256}/score_update",
        f"{LMS}/courses/c%00/xqueue/5/p/score_update",
        f"{LMS}/courses/c/xqueue/5%0A/p/score_update",
        f"{LMS}/courses/c/xqueue/5/%FF/score_update",
        "https://[/courses/c/xqueue/5/p/score_update",
        f"{LMS}/?/courses/c/xqueue/5/p/score_update",
    ],
)
def test_whatever_else_says_nothing(url: str) -> None:
    assert read_callback_url(url) == NOWHERE


@settings(deadline=None)
@given(st.text(max_size=200) | st.text("/courses/xqueue%0aA[]:?#", max_size=60))
def test_no_text_makes_it_fail(url: str) -> None:
    for each in (url, f"{LMS}/courses/{url}/xqueue/{url}/{url}/d"):
        place = read_callback_url(each)
        assert f"{place.course}{place.learner}{place.problem}".isprintable()


def test_it_is_stored_with_the_submission_and_its_contents(desk: Desk) -> None:
    first = desk.submit(callback_url(user=17))
    second = desk.submit("https://lms.example.org/elsewhere", body=lms_body())
    query = text("SELECT course, learner, problem FROM contents WHERE submission_id = :of")
    with desk.storage.read() as tx:
        kept = [tuple(tx.one(query, of=each) or ()) for each in (first, second)]
    assert kept == [(COURSE, "17", f"{BLOCK}{'0' * 32}"), ("", "", "")]
    assert [(desk.see(i).course, desk.see(i).learner) for i in (first, second)] == [
        (COURSE, "17"),
        ("", ""),
    ]
