"""Only what an announced test may score becomes part of a grade."""

import base64
import json

import pytest

from sandbox.run import DeclaredTest, Picture
from sandbox.run import TestStatus as Status
from sandbox.transcript import (
    FLOOD_FACTOR,
    MAX_PICTURES,
    NO_ROOM,
    GraderSpokeNonsense,
    Transcript,
)

TWO_TESTS = {
    "type": "tests",
    "tests": [
        {"id": "a", "title": "first", "max": 2},
        {"id": "b", "title": "second", "max": 0.5, "visible": False},
    ],
}
MANIFEST = (
    DeclaredTest(test_id="a", title="first", max_score=2),
    DeclaredTest(test_id="b", title="second", max_score=0.5, visible=False),
)
NO_NUMBERS = [
    float("nan"), float("inf"), -float("inf"), -1, 10**400, 10**5000, True, "1", None, [1], {}
]  # fmt: skip


def a_transcript(*frames, tests=None):
    transcript = Transcript(result_bytes=10_000, tests=tests)
    for frame in frames:
        transcript.record(frame)
    return transcript


def a_report(test_id="a", score=1, **more):
    return {"type": "report", "id": test_id, "score": score, **more}


def a_picture(data=b"\x89PNG", label="a plot"):
    return {"label": label, "data": base64.b64encode(data).decode()}


def deep(levels=100_000):
    value: object = "x"
    for _ in range(levels):
        value = [value]
    return value


def test_reports_keep_the_order_and_the_announced_title_maximum_and_visibility():
    transcript = a_transcript(TWO_TESTS, a_report("b", 0.5), a_report("a", 2, output="fine"))
    assert [(r.test_id, r.title, r.score, r.max_score, r.visible) for r in transcript.reports] == [
        ("b", "second", 0.5, 0.5, False),
        ("a", "first", 2.0, 2.0, True),
    ]
    assert transcript.declared_max == 2.5


def test_a_report_carries_all_that_the_grader_said():
    transcript = a_transcript(
        TWO_TESTS,
        a_report(
            status="time",
            output="o",
            expected="e",
            actual="a",
            html="<p>h</p>",
            pictures=[a_picture()],
            duration_ms=12,
        ),
    )
    (report,) = transcript.reports
    assert report.status is Status.TIME
    assert (report.output, report.expected, report.actual, report.html) == (
        "o",
        "e",
        "a",
        "<p>h</p>",
    )
    assert report.pictures == (Picture(label="a plot", data=b"\x89PNG"),)
    assert report.duration_ms == 12.0


def test_what_a_report_leaves_out_is_absent():
    (report,) = a_transcript(TWO_TESTS, a_report()).reports
    assert (report.status, report.output, report.expected, report.actual) == (None, "", None, None)
    assert (report.html, report.pictures, report.duration_ms) == (None, (), None)


def test_a_test_that_was_not_announced_is_refused():
    with pytest.raises(GraderSpokeNonsense, match="'c' was not announced"):
        a_transcript(TWO_TESTS, a_report("c"))


def test_a_report_before_the_announcement_is_refused():
    with pytest.raises(GraderSpokeNonsense, match="not announced"):
        a_transcript(a_report())


def test_a_second_report_of_a_test_is_refused():
    with pytest.raises(GraderSpokeNonsense, match="twice"):
        a_transcript(TWO_TESTS, a_report(), a_report())


def test_a_report_cannot_raise_its_own_maximum():
    with pytest.raises(GraderSpokeNonsense, match="exceeds"):
        a_transcript(TWO_TESTS, a_report(score=3, max=3))


@pytest.mark.parametrize("score", NO_NUMBERS, ids=lambda value: f"{type(value).__name__}")
def test_a_score_that_is_no_sensible_number_is_refused(score):
    with pytest.raises(GraderSpokeNonsense, match="score"):
        a_transcript(TWO_TESTS, a_report(score=score))


@pytest.mark.parametrize(
    "value", [each for each in NO_NUMBERS if each is not None] + [1e10], ids=lambda v: str(type(v))
)
def test_a_duration_that_is_no_sensible_number_is_refused(value):
    with pytest.raises(GraderSpokeNonsense, match="duration_ms"):
        a_transcript(TWO_TESTS, a_report(duration_ms=value))


@pytest.mark.parametrize("value", NO_NUMBERS, ids=lambda value: f"{type(value).__name__}")
def test_a_maximum_that_is_no_sensible_number_is_refused(value):
    with pytest.raises(GraderSpokeNonsense, match="max"):
        a_transcript({"type": "tests", "tests": [{"id": "a", "max": value}]})


@pytest.mark.parametrize("status", ["PASSED", "pass", "", 1, True, [], ["passed"], {}])
def test_an_unknown_status_is_refused(status):
    with pytest.raises(GraderSpokeNonsense, match="status"):
        a_transcript(TWO_TESTS, a_report(status=status))


@pytest.mark.parametrize("status", list(Status))
def test_every_status_may_be_reported(status):
    assert a_transcript(TWO_TESTS, a_report(status=status.value)).reports[0].status is status


@pytest.mark.parametrize("name", ["output", "expected", "actual", "html"])
@pytest.mark.parametrize("value", [1, True, ["x"], {"x": 1}])
def test_text_that_is_none_is_refused(name, value):
    with pytest.raises(GraderSpokeNonsense, match=name):
        a_transcript(TWO_TESTS, a_report(**{name: value}))


@pytest.mark.parametrize("name", ["score", "output", "status", "duration_ms", "pictures", "id"])
def test_something_nested_very_deeply_is_refused_by_name(name):
    with pytest.raises(GraderSpokeNonsense):
        a_transcript(TWO_TESTS, a_report() | {name: deep()})


@pytest.mark.parametrize(
    "pictures",
    [
        "x",
        {},
        ["x"],
        [{"label": "no data"}],
        [{"label": "text", "data": 5}],
        [{"label": 5, "data": ""}],
        [{"label": "not base64", "data": "!!"}],
        [{"label": "badly padded", "data": "QQ"}],
        [{"label": "surrogate", "data": "\ud800"}],
        [{"label": "line ends", "data": "QUFB\nQUFB"}],
    ],
    ids=str,
)
def test_pictures_that_are_none_are_refused(pictures):
    with pytest.raises(GraderSpokeNonsense, match=r"picture|label"):
        a_transcript(TWO_TESTS, a_report(pictures=pictures))


def test_a_picture_too_large_to_keep_is_dropped_and_its_score_is_kept():
    transcript = a_transcript(TWO_TESTS, a_report(pictures=[a_picture(b"x" * 20_000), a_picture()]))
    large, small = transcript.reports[0].pictures
    assert (large.label, large.data) == ("a plot", b"")
    assert small.data == b"\x89PNG"
    assert transcript.reports[0].score == 1


def test_pictures_and_texts_share_one_budget():
    transcript = a_transcript(
        TWO_TESTS,
        a_report("a", pictures=[a_picture(b"x" * 6_000)]),
        a_report("b", 0.5, output="y" * 3_000),
    )
    assert len(transcript.reports[0].pictures[0].data) == 6_000
    assert transcript.reports[1].output == NO_ROOM


def test_only_the_first_pictures_of_a_report_are_kept():
    transcript = a_transcript(TWO_TESTS, a_report(pictures=[a_picture()] * (MAX_PICTURES + 5)))
    *kept, more = transcript.reports[0].pictures
    assert len(kept) == MAX_PICTURES
    assert (more.label, more.data) == ("5 more", b"")


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
        [{"id": "a\n", "max": 1}],
        [{"id": 1, "max": 1}],
        [{"id": "a"}],
        [{"id": "a", "max": -1}],
        [{"id": "a", "max": 1, "visible": "no"}],
        [{"id": "a", "max": 1, "visible": 0}],
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


def test_done_needs_an_announcement():
    with pytest.raises(GraderSpokeNonsense, match="without announcing"):
        a_transcript({"type": "done"})


def test_announcing_twice_is_refused():
    with pytest.raises(GraderSpokeNonsense, match="twice"):
        a_transcript(TWO_TESTS, TWO_TESTS)


@pytest.mark.parametrize("frame_type", ["", "run", "ended", "x" * 1000])
def test_a_frame_of_another_type_is_refused(frame_type):
    with pytest.raises(GraderSpokeNonsense, match="unknown type"):
        a_transcript({"type": frame_type})


def test_what_is_not_reported_yet_is_known_in_the_declared_order():
    transcript = a_transcript(TWO_TESTS, a_report("a"))
    assert [(test.test_id, test.title) for test in transcript.not_run] == [("b", "second")]


# With a manifest


def test_the_tests_of_a_manifest_need_no_announcement():
    transcript = a_transcript(
        a_report("a", 2), a_report("b", 0.5), {"type": "done"}, tests=MANIFEST
    )
    assert transcript.done
    assert transcript.declared_max == 2.5
    assert [report.title for report in transcript.reports] == ["first", "second"]


def test_a_manifest_gives_an_early_stop_its_denominator_and_its_missing_tests():
    transcript = a_transcript(tests=MANIFEST)
    assert transcript.declared_max == 2.5
    assert transcript.not_run == MANIFEST


def test_an_announcement_may_repeat_the_manifest_in_any_order():
    again = {"type": "tests", "tests": list(reversed(TWO_TESTS["tests"]))}
    a_transcript(again, a_report("a"), tests=MANIFEST)


def test_an_announcement_may_leave_titles_to_the_manifest():
    brief = {"id": "a", "max": 2}, {"id": "b", "max": 0.5, "visible": False}
    transcript = a_transcript({"type": "tests", "tests": list(brief)}, a_report(), tests=MANIFEST)
    assert transcript.reports[0].title == "first"


def test_a_manifest_is_announced_once_at_most():
    with pytest.raises(GraderSpokeNonsense, match="twice"):
        a_transcript(TWO_TESTS, TWO_TESTS, tests=MANIFEST)


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"max": 3}, "max is 3.0 here and 2 in the manifest"),
        ({"visible": False}, "visible is False here and True"),
        ({"title": "another"}, "title is 'another' here"),
        ({"id": "c"}, "'a' of the manifest was not announced"),
    ],
)
def test_an_announcement_that_differs_from_the_manifest_is_refused(change, words):
    first, second = TWO_TESTS["tests"]
    with pytest.raises(GraderSpokeNonsense, match=words):
        a_transcript({"type": "tests", "tests": [first | change, second]}, tests=MANIFEST)


def test_an_announcement_with_one_test_more_than_the_manifest_is_refused():
    more = [*TWO_TESTS["tests"], {"id": "c", "max": 1}]
    with pytest.raises(GraderSpokeNonsense, match="'c' is not in the manifest"):
        a_transcript({"type": "tests", "tests": more}, tests=MANIFEST)


def test_a_test_that_is_not_in_the_manifest_is_refused():
    with pytest.raises(GraderSpokeNonsense, match="'c' was not announced"):
        a_transcript(a_report("c"), tests=MANIFEST)


def test_a_report_cannot_exceed_the_manifests_maximum():
    with pytest.raises(GraderSpokeNonsense, match="exceeds"):
        a_transcript(a_report("a", 2.5), tests=MANIFEST)


# Much text


def test_a_lone_surrogate_becomes_text_that_can_be_encoded():
    transcript = a_transcript(
        TWO_TESTS,
        a_report(output="a\ud800b", expected="\udfff", pictures=[a_picture(label="\ud800")]),
    )
    report = transcript.reports[0]
    (report.output + report.expected + report.pictures[0].label).encode()


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


@pytest.mark.parametrize("name", ["output", "expected", "actual", "html"])
def test_every_text_of_a_report_counts(name):
    transcript = a_transcript(
        TWO_TESTS, a_report("a", **{name: "é" * 4_999}), a_report("b", 0.5, output="xyz")
    )
    assert transcript.reports[1].output == NO_ROOM


def test_what_python_reads_from_hostile_json_is_refused_by_name():
    for text in ("NaN", "1e999", "-0.1", "1" + "0" * 400):
        frame = json.loads(f'{{"type": "report", "id": "a", "score": {text}}}')
        with pytest.raises(GraderSpokeNonsense, match="score"):
            a_transcript(TWO_TESTS, frame)
