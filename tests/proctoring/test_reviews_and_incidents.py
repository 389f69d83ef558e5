"""Reading reviews and incident policies: what is taken, and what is refused with which words."""

from __future__ import annotations

from typing import Any

import pytest

from proctoring_hooks.incidents import BadPolicy, Consequence, read_policy
from proctoring_hooks.reviews import BadReview, read_rest_review, read_software_secure_review
from proctoring_hooks.transitions import Action

COMMENT = {"comment": "looked away", "status": "suspicious", "start": 12, "stop": 15.5}


@pytest.mark.parametrize(
    ("status", "action"),
    [
        ("passed", Action.PASS),
        ("violation", Action.FAIL),
        ("suspicious", Action.FAIL),
        ("not_reviewed", Action.NOT_REVIEWED),
    ],
)
def test_a_rest_providers_words(status: str, action: Action) -> None:
    review = read_rest_review(
        {
            "status": status,
            "comments": [COMMENT],
            "reviewed_by": "p@example.org",
            "payload": {"videoReviewLink": "https://provider.example/v/1"},
        }
    )
    assert review.action is action
    assert review.reviewed_by == review.reviewer_email == "p@example.org"
    assert [(c.comment, c.status, c.start_s, c.stop_s) for c in review.comments] == [
        ("looked away", "suspicious", 12.0, 15.5)
    ]
    assert review.link == "https://provider.example/v/1"


@pytest.mark.parametrize(
    ("given", "severity"),
    [(0.25, 0.25), ("1.0", 1.0), (0, 0.0), (1.5, None), ("high", None), (True, None), ([], None)],
)
def test_a_severity_that_is_none_is_left_out_and_the_review_counts(
    given: Any, severity: float | None
) -> None:
    body = {"status": "suspicious", "comments": [{**COMMENT, "severity": given}]}
    assert read_rest_review(body).comments[0].severity == severity


@pytest.mark.parametrize("link", ["javascript:alert(1)", "JAVASCRIPT:x", "data:text/html,x", "//x"])
def test_a_link_that_is_no_page_is_left_out_and_the_review_counts(link: str) -> None:
    review = read_rest_review({"status": "passed", "payload": {"videoReviewLink": link}})
    assert (review.action, review.link) == (Action.PASS, None)
    body = {"reviewStatus": "Clean", "examMetaData": {}, "videoReviewLink": link}
    assert read_software_secure_review(body)[2].link is None


@pytest.mark.parametrize(
    ("body", "words"),
    [
        ([], "the review must be a JSON object"),
        ({"status": "fine"}, "status must be one of passed, violation, suspicious, not_reviewed"),
        ({"status": ["passed"]}, "status must be one of"),
        ({"status": "passed", "comments": "none"}, "comments must be a list"),
        (
            {"status": "passed", "comments": [{"comment": "x"}]},
            "a comment needs comment and status",
        ),
        (
            {"status": "passed", "comments": [{**COMMENT, "start": "soon"}]},
            "start must be a number",
        ),
        ({"status": "passed", "comments": [{**COMMENT, "stop": float("nan")}]}, "stop must be"),
        ({"status": "passed", "comments": [COMMENT] * 1001}, "at most 1000 comments"),
        ({"status": "passed", "reviewed_by": {}}, "reviewed_by must be a string"),
    ],
)
def test_a_review_that_can_not_be_read_says_why(body: Any, words: str) -> None:
    with pytest.raises(BadReview, match=words):
        read_rest_review(body)


def test_software_secures_words() -> None:
    body = {
        "reviewStatus": "Suspicious",
        "examMetaData": {"examCode": "CODE", "ssiRecordLocator": "LOC-1"},
        "webCamComments": [
            {"eventStart": 1, "eventFinish": 2, "comments": "left", "eventStatus": "Suspicious"}
        ],
        "desktopComments": [],
    }
    code, locator, review = read_software_secure_review(body)
    assert (code, locator, review.action) == ("CODE", "LOC-1", Action.FAIL)
    assert [c.comment for c in review.comments] == ["left"]
    for status in ("Clean", "Rules Violation"):
        assert (
            read_software_secure_review({**body, "reviewStatus": status})[2].action is Action.PASS
        )
    with pytest.raises(BadReview, match="reviewStatus must be one of"):
        read_software_secure_review({**body, "reviewStatus": "passed"})


def test_two_strikes_warn_and_mark_down_then_terminate() -> None:
    policy = read_policy("two_strikes")
    assert policy.consequences(1) == {Consequence.WARN, Consequence.MARK_DOWN}
    for later in (2, 3, 10):
        assert Consequence.TERMINATE in policy.consequences(later)
    assert not policy.is_strike(0.4)


def test_a_policy_of_ones_own() -> None:
    policy = read_policy('{"counts_from": 0.2, "strikes": [["flag"], ["second_review"]]}')
    assert policy.is_strike(0.2)
    assert policy.consequences(2) == {Consequence.SECOND_REVIEW}


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("three_strikes", "neither a policy of ours"),
        ("[]", "a policy is an object"),
        ('{"strike": []}', "a policy is an object with strikes"),
        ('{"strikes": [["expel"]]}', "strikes is a list of lists of warn"),
        ('{"strikes": 3}', "strikes is a list"),
        ('{"counts_from": 2}', "counts_from must be a number from 0 to 1"),
    ],
)
def test_a_policy_that_can_not_be_read_says_why(text: str, words: str) -> None:
    with pytest.raises(BadPolicy, match=words):
        read_policy(text)
