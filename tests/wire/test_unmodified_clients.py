"""Clients as they are in the field, against a real server: from submit to the grade in the LMS."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing
from typing import Any

import pytest

from deploy.demo.capa import CapaClient, UploadedFile
from deploy.demo.gradebook import InputStatus, ProblemInput
from deploy.demo.lms import StandInLms
from tests.clients.amqp_bridge import AmqpBridge
from tests.clients.bux import BadCredentials, BuxClient, EmptyQueue, UnknownQueue
from tests.clients.handler import Content, Turn, full_marks
from tests.clients.pull_ref import PullRef
from tests.clients.watcher import NewWatcher, OldWatcher
from tests.wire.exchange import PASSWORD, USERNAME, Wire
from tests.wire.traffic import QUEUE

ACCOUNT: dict[str, Any] = {"username": USERNAME, "password": PASSWORD}
GRADE_S = 60
PATIENCE_S = 60.0
NGINX_AUTH = ("edx", "edx")
WATCHERS = [NewWatcher, OldWatcher]


@pytest.fixture
def where(nonce: str) -> ProblemInput:
    return ProblemInput(
        user_id="7", usage_id=f"block-v1:X+1+1+type@problem+block@{nonce}", input_id="a_2_1"
    )


@pytest.fixture
def capa(wire: Wire) -> CapaClient:
    """The LMS's client; asks for `wire` because that empties the queue."""
    return CapaClient(url=wire.url, **ACCOUNT)


@pytest.fixture(params=WATCHERS)
def watcher(request: pytest.FixtureRequest, server_url: str) -> Iterator[NewWatcher]:
    polling = request.param(
        url=server_url, queue=QUEUE, handler=full_marks, timeout_s=PATIENCE_S, **ACCOUNT
    )
    with closing(polling):
        yield polling


def test_capa_submits_and_shows_the_queue_length(
    lms: StandInLms, capa: CapaClient, where: ProblemInput
) -> None:
    reply = lms.submit(where, "x = 1", client=capa, queue=QUEUE)

    assert (reply.accepted, reply.content) == (True, "1")


def test_capa_with_basic_auth_for_a_proxy_submits_as_well(
    lms: StandInLms, wire: Wire, where: ProblemInput
) -> None:
    capa = CapaClient(url=wire.url, basic_auth=NGINX_AUTH, **ACCOUNT)

    assert lms.submit(where, "x = 1", client=capa, queue=QUEUE).accepted


def test_capa_with_a_wrong_password_shows_the_reason(
    lms: StandInLms, wire: Wire, where: ProblemInput
) -> None:
    capa = CapaClient(url=wire.url, username="somebody", password="wrong")

    reply = lms.submit(where, "x = 1", client=capa, queue=QUEUE)

    assert (reply.accepted, reply.content) == (False, "Incorrect login credentials")
    assert lms.state(where).status is InputStatus.UNANSWERED


def test_capa_asking_for_an_unknown_queue_shows_the_reason(
    lms: StandInLms, capa: CapaClient, where: ProblemInput
) -> None:
    assert lms.submit(where, "", client=capa, queue="typo").content == "Queue 'typo' not found"


def test_a_watcher_grades_what_capa_submitted(
    lms: StandInLms, capa: CapaClient, watcher: NewWatcher, where: ProblemInput
) -> None:
    lms.submit(where, "x = 1", client=capa, queue=QUEUE)

    assert watcher.take_turn() is Turn.ANSWERED

    graded = lms.wait_for_grade(where, GRADE_S)
    assert (graded.status, graded.score, graded.msg) == (
        InputStatus.CORRECT,
        1,
        "<p>Well done.</p>",
    )


def test_a_watcher_logs_in_once_and_stays_signed_in(watcher: NewWatcher) -> None:
    assert [watcher.take_turn() for _ in range(3)] == [Turn.IDLE] * 3
    assert watcher.logins == 1


@pytest.mark.parametrize("kind", WATCHERS)
def test_a_watcher_with_a_wrong_password_idles(wire: Wire, kind: type[NewWatcher]) -> None:
    watcher = kind(
        url=wire.url,
        queue=QUEUE,
        username="anyone",
        password="wrong",
        handler=full_marks,
        timeout_s=PATIENCE_S,
    )
    watcher.most_logins_in_a_row = 2  # type: ignore[attr-defined]
    with closing(watcher):
        if kind is NewWatcher:
            assert watcher.take_turn() is Turn.IDLE
        else:
            with pytest.raises(RuntimeError, match="for ever"):
                watcher.take_turn()


@pytest.mark.parametrize("kind", WATCHERS)
def test_a_watcher_behind_a_proxy_with_basic_auth_grades_as_well(
    lms: StandInLms, capa: CapaClient, where: ProblemInput, wire: Wire, kind: type[NewWatcher]
) -> None:
    lms.submit(where, "x = 1", client=capa, queue=QUEUE)
    watcher = kind(
        url=wire.url,
        queue=QUEUE,
        handler=full_marks,
        timeout_s=PATIENCE_S,
        basic_auth=NGINX_AUTH,
        **ACCOUNT,
    )
    with closing(watcher):
        assert watcher.take_turn() is Turn.ANSWERED


def test_a_watcher_whose_grader_crashes_leaves_the_learner_pending(
    lms: StandInLms, capa: CapaClient, where: ProblemInput, wire: Wire
) -> None:
    lms.submit(where, "x = 1", client=capa, queue=QUEUE)

    with closing(
        NewWatcher(
            url=wire.url, queue=QUEUE, handler=lambda _: None, timeout_s=PATIENCE_S, **ACCOUNT
        )
    ) as crashing:
        assert crashing.take_turn() is Turn.SILENT

    assert lms.state(where).status is InputStatus.PENDING


def test_pull_ref_grades_and_downloads_the_files(
    lms: StandInLms, capa: CapaClient, where: ProblemInput, wire: Wire
) -> None:
    files = (
        UploadedFile(name="main.py", content=b"print(1)\n" * 1000),
        UploadedFile(name="größe.dat", content=bytes(range(256))),
    )
    lms.submit(where, "", client=capa, queue=QUEUE, files=files)
    grader = PullRef(url=wire.url, queue=QUEUE, handler=full_marks, **ACCOUNT)

    assert grader.take_turn() is Turn.ANSWERED
    assert grader.take_turn() is Turn.IDLE

    assert grader.downloaded == {f.name: f.content for f in files}
    assert lms.wait_for_grade(where, GRADE_S).status is InputStatus.CORRECT


def test_bux_understands_every_answer(
    lms: StandInLms, capa: CapaClient, where: ProblemInput, wire: Wire
) -> None:
    lms.submit(where, "the answer", client=capa, queue=QUEUE, grader_payload='{"a": 1}')
    with closing(BuxClient(url=wire.url, **ACCOUNT)) as bux:
        assert bux.queue_length(QUEUE) == 1
        submission = bux.get_submission(QUEUE)
        assert submission.body["student_response"] == "the answer"
        assert submission.student_info["anonymous_student_id"] == "anonymous-7"
        assert submission.files == {}
        bux.put_result(submission, {"correct": False, "score": 0, "msg": "<p>No.</p>"})

        with pytest.raises(EmptyQueue):
            bux.get_submission(QUEUE)
        with pytest.raises(UnknownQueue):
            bux.get_submission("typo")
        with pytest.raises(UnknownQueue):
            bux.queue_length("typo")

    assert lms.wait_for_grade(where, GRADE_S).status is InputStatus.INCORRECT


def test_bux_recognises_wrong_credentials(wire: Wire) -> None:
    bux = BuxClient(url=wire.url, username="someone", password="wrong")
    with closing(bux), pytest.raises(BadCredentials):
        bux.queue_length(QUEUE)


def test_the_amqp_bridge_grades(
    lms: StandInLms, capa: CapaClient, where: ProblemInput, wire: Wire
) -> None:
    lms.submit(where, "x = 1", client=capa, queue=QUEUE)

    with closing(AmqpBridge(url=wire.url, queue=QUEUE, handler=full_marks, **ACCOUNT)) as bridge:
        assert bridge.login()
        assert bridge.take_turn() is Turn.ANSWERED
        assert bridge.take_turn() is Turn.IDLE

    assert lms.wait_for_grade(where, GRADE_S).status is InputStatus.CORRECT


def test_an_answer_of_any_text_reaches_the_grader_unchanged(
    lms: StandInLms, capa: CapaClient, where: ProblemInput, wire: Wire
) -> None:
    answer = "print('\U0001f511')\r\n\ttab \x00 & <b>"
    lms.submit(where, answer, client=capa, queue=QUEUE)

    with closing(BuxClient(url=wire.url, **ACCOUNT)) as bux:
        assert bux.get_submission(QUEUE).body["student_response"] == answer


def test_of_two_attempts_at_one_problem_the_learner_sees_only_the_later_grade(
    lms: StandInLms, capa: CapaClient, watcher: NewWatcher, where: ProblemInput
) -> None:
    lms.submit(where, "first", client=capa, queue=QUEUE)
    lms.submit(where, "second", client=capa, queue=QUEUE)
    graded: list[str] = []

    def grade(content: Content) -> dict[str, Any]:
        graded.append(content["xqueue_body"])
        return full_marks(content) | {"score": 1 if "second" in content["xqueue_body"] else 0}

    watcher._handler = grade
    while watcher.take_turn() is Turn.ANSWERED:
        pass

    assert "second" in graded[-1]
    assert lms.wait_for_grade(where, GRADE_S).score == 1
