"""Only what an announced test may score becomes part of a grade."""

import pytest

from sandbox.transcript import FLOOD_FACTOR, NO_ROOM, GraderSpokeNonsense, Transcript

TWO_TESTS = {
    "type": "tests",
    "tests": [
        {"id": "a", "title": "first", "max": 2},
        {"id": "b", "title": "second", "max": 0.5, "visible": False},
    ],
}


def a_transcript(*frames):
    transcript = Transcript(result_bytes=10_000)
    for frame in frames:
        transcript.record(frame)
    return transcript


def a_report(test_id="a", score=1, **more):
    return {"type": "report", "id": test_id, "score": score, **more}


def test_reports_keep_the_order_and_the_announced_title_maximum_and_visibility():
    transcript = a_transcript(TWO_TESTS, a_report("b", 0.5), a_report("a", 2, output="fine"))
    assert [(r.test_id, r.title, r.score, r.max_score, r.visible) for r in transcript.reports] == [
        ("b", "second", 0.5, 0.5, False),
        ("a", "first", 2.0, 2.0, True),
    ]
    assert transcript.declared_max == 2.5


def test_a_report_cannot_raise_its_own_maximum():
    with pytest.raises(GraderSpokeNonsense, match="exceeds"):
        a_transcript(TWO_TESTS, a_report(score=3, max=3))


@pytest.mark.parametrize(
    "score", [float("nan"), float("inf"), -1, 10**400, True, "1", None, [1], {"$": 1}]
)
def test_a_score_that_is_no_sensible_number_is_refused(score):
    with pytest.raises(GraderSpokeNonsense, match="score"):
        a_transcript(TWO_TESTS, a_report(score=score))


@pytest.mark.parametrize(
    "tests",
    [
        None,
        [],
        "a",
        ["a"],
        [{"id": "a", "max": 1}, {"id": "a", "max": 1}],
        [{"id": "a b", "max": 1}],
        [{"id": "", "max": 1}],
        [{"id": 1, "max": 1}],
        [{"id": "a"}],
        [{"id": "a", "max": -1}],
        [{"id": "a", "max": 1, "visible": "no"}],
        [{"id": "a", "max": 1, "title": 5}],
        [{"id": str(number), "max": 1} for number in range(1001)],
    ],
)
def test_tests_that_may_not_be_announced_are_refused(tests):
    with pytest.raises(GraderSpokeNonsense):
        a_transcript({"type": "tests", "tests": tests})


def test_done_needs_every_announced_test():
    with pytest.raises(GraderSpokeNonsense, match="b"):
        a_transcript(TWO_TESTS, a_report("a"), {"type": "done"})


def test_announcing_twice_is_refused():
    with pytest.raises(GraderSpokeNonsense, match="twice"):
        a_transcript(TWO_TESTS, TWO_TESTS)


def test_a_lone_surrogate_becomes_text_that_can_be_encoded():
    transcript = a_transcript(TWO_TESTS, a_report(output="a\ud800b"))
    transcript.reports[0].output.encode()


def test_a_flood_of_valid_frames_is_still_a_flood():
    with pytest.raises(GraderSpokeNonsense, match="bytes"):
        a_transcript(TWO_TESTS).count_bytes(10_000 * FLOOD_FACTOR + 1)


def test_text_beyond_the_limit_is_dropped_and_its_score_is_kept():
    transcript = a_transcript(
        TWO_TESTS, a_report("a", 2, output="x" * 9_000), a_report("b", 0.5, output="y" * 9_000)
    )
    assert [(r.score, r.output) for r in transcript.reports] == [
        (2, "x" * 9_000),
        (0.5, NO_ROOM),
    ]
