"""Faults of graders: one kind each, counted, shown to those who can repair them."""

from __future__ import annotations

import json
from typing import Any

import pytest

from tests.api.callers import Site, problem_of
from tests.server.builders import INVALID_GRADE, QUEUE, add_queue, change_queue
from xqueue_server.models.account import Role
from xqueue_server.models.fault import MAX_SIGNATURE_CHARS, signature_of
from xqueue_server.storage import queues
from xqueue_server.submissions.leasing import FailureKind

TRACEBACK = """Traceback (most recent call last):
  File "/graders/cache/8f1b/grade.py", line 12, in grade
    return 1 / 0
           ~~^~~
ZeroDivisionError: division by zero
and the log"""


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("no file /tmp/a1/x.txt", "no file /srv/b/y.csv"),
        ("run 4711 took 3.5 s", "run 12 took 30 s"),
        ("KeyError: 'alice'", "KeyError: 'bob'"),
        ('name "x" is not defined', 'name "long_name" is not defined'),
        ("object at 0x7f51d0e3f9d0", "object at 0x7f51d0f60dd0"),
        ("container 4bfa9c21d7e0 died", "container 0ab3c4d5e6f7 died"),
        ("run 0c5f2f6e-7a43-4b5c-9f0a-1f2e3d4c5b6a", "run 1c5f2f6e-0000-4b5c-9f0a-1f2e3d4c5b6b"),
        (TRACEBACK, TRACEBACK.replace("line 12", "line 99").replace("8f1b", "77aa")),
        ("first line\nAlice's code", "first line\nBob's code"),
        ("\n\n  spaced   out ", "spaced out"),
    ],
)
def test_what_differs_from_one_occurrence_to_the_next_does_not_count(one: str, other: str) -> None:
    assert signature_of(one) == signature_of(other)


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("ZeroDivisionError: x", "ValueError: x"),
        ("no such file", "no such test"),
        (TRACEBACK, TRACEBACK.replace("ZeroDivisionError", "OverflowError")),
    ],
)
def test_what_matters_counts(one: str, other: str) -> None:
    assert signature_of(one) != signature_of(other)


def test_a_traceback_is_known_by_its_exception() -> None:
    assert signature_of(TRACEBACK) == "ZeroDivisionError: division by zero"
    chained = f"{TRACEBACK}\n\nDuring handling, another occurred:\n\n{TRACEBACK}".replace(
        "ZeroDivisionError: division by zero\nand the log", "KeyError: 'x'"
    )
    assert signature_of(chained) == "KeyError: '…'"


@pytest.mark.parametrize(
    "detail", ["", "\n \n", "\x00\x1b[31m", "a" * 10**6, "'" * 10**5, "/" * 10**5, "0x" * 10**5,
               "Traceback (most recent call last):"],
)  # fmt: skip
def test_any_detail_has_a_short_printable_signature(detail: str) -> None:
    signature = signature_of(detail)
    assert 0 < len(signature) <= MAX_SIGNATURE_CHARS
    assert signature.isprintable()


def fail(site: Site, detail: str = TRACEBACK) -> int:
    """A submission held because its grader crashed."""
    submission_id = site.submit()
    site.lease()
    site.server.grader.post(
        "put_failure", xqueue_header=site.last_header, kind=FailureKind.GRADER, detail=detail
    )
    return submission_id


def test_equal_faults_are_one_kind_with_its_submissions(site: Site) -> None:
    site.author.publish()
    first = fail(site)
    site.desk.clock.advance(60)
    second = fail(site, TRACEBACK.replace("line 12", "line 13"))
    fail(site, "another")
    other, kind = site.author.get("/faults", queue=QUEUE)["faults"]
    assert other["signature"] == "another"
    assert kind == {
        "id": 1, "queue": QUEUE, "grader": "square", "version": 1, "kind": "grader",
        "signature": "ZeroDivisionError: division by zero", "count": 2,
        "first_at": "2026-01-01T00:00:00+00:00", "last_at": "2026-01-01T00:01:00+00:00",
    }  # fmt: skip
    shown = site.author.get("/faults/1")
    assert shown["detail"] == TRACEBACK
    assert [(s["id"], s["state"]) for s in shown["submissions"]] == [
        (second, "held"),
        (first, "held"),
    ]


def test_a_new_version_with_the_same_fault_is_a_new_kind(site: Site) -> None:
    site.author.publish()
    fail(site)
    site.author.publish()
    fail(site)
    versions = [f["version"] for f in site.author.get("/faults")["faults"]]
    assert versions == [2, 1]


def test_a_fault_without_a_published_grader_is_kept_as_well(site: Site) -> None:
    fail(site)
    (fault,) = site.author.get("/faults")["faults"]
    assert (fault["grader"], fault["version"]) == (None, None)


def test_a_result_that_the_lms_would_refuse_is_a_fault(site: Site) -> None:
    site.author.publish()
    site.submit()
    site.lease()
    site.server.grader.post("put_result", xqueue_header=site.last_header, xqueue_body=INVALID_GRADE)
    (fault,) = site.author.get("/faults", kind="invalid_result")["faults"]
    assert (fault["grader"], fault["version"]) == ("square", 1)


def test_a_grader_that_never_answers_is_a_fault_of_the_version_it_was_leased_with(
    site: Site,
) -> None:
    change_queue(site.storage, max_attempts=1, lease_s=10)
    site.author.publish()
    site.submit()
    site.lease()
    site.desk.sweep_after(11)
    (fault,) = site.author.get("/faults", kind="attempts")["faults"]
    assert (fault["grader"], fault["version"]) == ("square", 1)


def test_a_platform_failure_is_nobodys_fault(site: Site) -> None:
    site.submit()
    site.lease()
    site.server.grader.post(
        "put_failure", xqueue_header=site.last_header, kind="platform", detail="no Docker"
    )
    assert site.author.get("/faults")["faults"] == []


def test_a_failure_with_a_wrong_key_is_no_fault(site: Site) -> None:
    site.submit()
    given = site.lease()
    assert given is not None
    header = json.dumps({"submission_id": given.submission_id, "submission_key": "0" * 32})
    answer = site.server.grader.post("put_failure", xqueue_header=header, kind="grader")
    assert answer.code == 1
    assert site.desk.count("faults") == 0


def test_faults_are_filtered_and_paged(site: Site) -> None:
    site.author.publish()
    for word in ("one", "two", "three"):
        fail(site, word)
    ids = [f["id"] for f in site.author.get("/faults", limit="2")["faults"]]
    assert ids == [3, 2]
    assert [f["id"] for f in site.author.get("/faults", before="2")["faults"]] == [1]
    assert site.author.get("/faults", grader="cube")["faults"] == []
    assert len(site.author.get("/faults", grader="square", kind="grader")["faults"]) == 3


@pytest.mark.parametrize(
    "query",
    [{"limit": "0"}, {"limit": "501"}, {"limit": "x"}, {"limit": "٣"}, {"before": "-1"},
     {"before": "9" * 30}, {"kind": "x"}, {"grader": "a\0b"}, {"grader": "X"}],
)  # fmt: skip
def test_a_filter_that_can_not_be_used_is_refused(site: Site, query: dict[str, str]) -> None:
    problem_of(site.author.call("GET", "/faults", query_string=query), 422, "invalid")


@pytest.mark.parametrize("queue", ["absent", "a\0b", "\ud800", "'", "*", ""])
def test_a_queue_that_can_not_be_is_not_found(site: Site, queue: str) -> None:
    text = queue.encode("utf-8", "surrogatepass")
    for path in ("/faults", "/graders", "/assignments"):
        problem_of(
            site.author.call("GET", path, query_string=f"queue={_quoted(text)}"), 404, "not-found"
        )


def _quoted(raw: bytes) -> str:
    return "".join(f"%{byte:02X}" for byte in raw)


def test_a_huge_id_is_not_found(site: Site) -> None:
    problem_of(site.author.call("GET", f"/faults/{10**30}"), 404, "not-found")


def test_faults_go_with_their_queue(site: Site) -> None:
    """A queue of the same name later must not inherit them."""
    add_queue(site.storage, "short-lived")
    author = site.token("a2", Role.AUTHOR, queue="short-lived")
    author.publish(queue="short-lived")
    with site.storage.write() as tx:
        queues.remove(tx, "short-lived", actor="test")
    add_queue(site.storage, "short-lived")
    for table in ("graders", "grader_versions", "readiness", "test_counts", "queue_policies"):
        assert site.desk.count(table) == 0


# -- records: how often each test failed ---------------------------------------------------------


def answer(site: Site, record: Any) -> Any:
    """A graded submission whose worker sent this record; the tests as counted."""
    site.submit()
    site.lease()
    fields = {} if record is None else {"xqueue_record": record}
    assert (
        site.server.grader.post(
            "put_result",
            xqueue_header=site.last_header,
            xqueue_body='{"correct": true, "score": 1, "msg": "<p>ok</p>"}',
            **fields,
        ).code
        == 0
    )
    return site.author.get(f"/graders/{QUEUE}/square/tests")["tests"]


def record(*tests: tuple[Any, Any], **more: Any) -> str:
    return json.dumps({"tests": [{"id": i, "status": s} for i, s in tests], **more})


def test_tests_are_counted_for_the_version_that_graded(site: Site) -> None:
    site.author.publish()
    answer(site, record(("t1", "passed"), ("t2", "failed")))
    answer(site, record(("t1", "passed"), ("t2", "time")))
    counted = answer(site, record(("t1", "passed"), ("t2", "passed")))
    assert counted == [
        {"id": "t1", "total": 3, "statuses": {"passed": 3}, "failure_rate": 0.0},
        {
            "id": "t2",
            "total": 3,
            "statuses": {"failed": 1, "passed": 1, "time": 1},
            "failure_rate": 0.6667,
        },
    ]
    site.author.publish()
    assert answer(site, record(("t1", "error")))[0]["total"] == 1
    assert site.author.get(f"/graders/{QUEUE}/square/tests", version="1")["tests"] == counted


@pytest.mark.parametrize(
    "record_text",
    [
        None, "", "x", "[]", "{}", '{"tests": 5}', '{"tests": [5, {}, {"id": 1}, {"id": "a"}]}',
        record(("a", "splendid")), record(("", "passed")), record(("a" * 65, "passed")),
        record(("a\0b", "passed")), record(("a", ["passed"])), "[" * 100_000,
        record(("a", "passed"), filler="x" * (256 * 1024)),
    ],
)  # fmt: skip
def test_a_record_that_can_not_be_used_never_touches_the_result(
    site: Site, record_text: str | None
) -> None:
    site.author.publish()
    assert answer(site, record_text) == []
    assert site.desk.see(1).state == "graded"


def test_a_repeated_result_is_not_counted_again(site: Site) -> None:
    site.author.publish()
    answer(site, record(("t1", "passed")))
    body = '{"correct": true, "score": 1, "msg": "<p>ok</p>"}'
    for text in (body, body.replace("ok", "amended")):
        site.server.grader.post(
            "put_result",
            xqueue_header=site.last_header,
            xqueue_body=text,
            xqueue_record=record(("t1", "passed")),
        )
    assert site.author.get(f"/graders/{QUEUE}/square/tests")["tests"][0]["total"] == 1


def test_a_version_has_no_more_tests_than_a_manifest_may_declare(
    site: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("xqueue_server.storage.test_counts.MAX_TESTS", 3)
    site.author.publish()
    answer(site, record(("a", "passed"), ("b", "passed")))
    counted = answer(site, record(("a", "failed"), ("c", "passed"), ("d", "passed")))
    assert [(t["id"], t["total"]) for t in counted] == [("a", 2), ("b", 1), ("c", 1)]


def test_a_result_without_a_published_grader_counts_nothing(site: Site) -> None:
    site.submit()
    site.lease()
    site.server.grader.post(
        "put_result",
        xqueue_header=site.last_header,
        xqueue_body='{"correct": true, "score": 1, "msg": "<p>ok</p>"}',
        xqueue_record=record(("t1", "passed")),
    )
    assert site.desk.count("test_counts") == 0


def test_the_tests_of_a_version_that_is_not_there_are_not_none_but_not_found(site: Site) -> None:
    site.author.publish()
    path = f"/graders/{QUEUE}/square/tests"
    assert site.author.get(path, version="1")["tests"] == []
    problem_of(site.author.call("GET", f"{path}?version=2"), 404, "not-found")
