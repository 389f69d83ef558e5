"""What edx-proctoring 6.1.4 makes of what it is told: ready, reviewed, and either of them again."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import replace
from itertools import count
from pathlib import Path

import pytest

from proctoring_hooks import attempts
from proctoring_hooks.attempt import Attempt, Learner
from proctoring_hooks.attempts import Registration
from proctoring_hooks.exam import ClockOwner
from proctoring_hooks.reviews import Comment, Review
from proctoring_hooks.transitions import Action, Actor
from proctoring_hooks.web import provider_attempts
from tests.delivery.lms import Received, Reply, ScriptedLms, running_lms
from tests.delivery.outbox_data import deliver_now
from tests.proctoring.conftest import EXAM, SECRET_KEY
from tests.proctoring.edx_proctoring_lms.peer import Lms, Person, exam_of
from tests.proctoring.outgoing import TOKEN_PATH, answered, messages, post_office, summary
from tests.proctoring.sitting import LMS_SAYS, PROCTOR
from xqueue_server.instant import ManualClock
from xqueue_server.storage import Storage
from xqueue_server.storage.proctoring import ProctoringStore


@pytest.fixture
def provider() -> Iterator[ScriptedLms]:
    """As the LMS sees its provider: it hands out ids."""
    numbers = count(1)

    def answer(got: Received) -> Reply:
        if got.path.endswith(TOKEN_PATH):
            return answered({"access_token": "t", "expires_in": 3600})
        if got.method == "POST" and "/attempt/" in got.path:
            return answered({"id": f"given-{next(numbers)}"})
        if got.method == "POST":  # with another id each time the LMS would never stop saving it
            return answered({"id": "the-exam"})
        return answered({"status": "ok", "rules": {}, "download_url": "", "instructions": []})

    with running_lms() as server:
        server.answer = answer
        yield server


def registered(
    store: ProctoringStore, lms: Lms, staff: Person, learner: Person
) -> tuple[int, Attempt]:
    """An attempt that the LMS keeps: its number there, and ours of it."""
    attempt_id = learner.begin(staff.register_exams(exam_of("e1"))[0])
    with store.write() as session:
        session.lmses.add(lms.entry("edx"))
        exam = session.exams.add(replace(EXAM, clock_owner=ClockOwner.LMS))
        asked = Registration(
            learner=Learner(obscured_id="a" * 40), external_id=lms.show(attempt_id)["external_id"]
        )
        ours = attempts.register(session, exam, asked, LMS_SAYS).attempt
        attempts.act(session, ours.id, Action.READY, PROCTOR)
    return attempt_id, ours


def test_a_learner_is_readied_and_passes_and_what_comes_twice_changes_nothing(
    storage: Storage, provider: ScriptedLms, tmp_path: Path, clock: ManualClock
) -> None:
    store = ProctoringStore(storage, SECRET_KEY)
    with Lms(tmp_path / "lms") as lms, post_office(storage, store) as deliverer:
        lms.put_provider(provider.origin)
        learner, staff = lms.sign_in("learner"), lms.sign_in("staff")
        attempt_id, ours = registered(store, lms, staff, learner)
        deliver_now(deliverer)
        assert lms.show(attempt_id)["status"] == "ready_to_start"

        learner.act(attempt_id, "start")
        learner.act(attempt_id, "submit")
        review = Review(
            action=Action.PASS,
            actor=Actor.PROCTOR,
            reviewed_by="jane",
            reviewer_email="jane@example.org",
            comments=(Comment(comment="Looked around", status="ok", start_s=3, stop_s=5),),
        )
        with store.write() as session:
            for action in (Action.START, Action.SUBMIT):
                attempts.act(session, ours.id, action, LMS_SAYS)
            attempts.judge(session, ours.id, review, PROCTOR)
        lms.stop()
        deliver_now(deliverer)
        assert summary(storage)[-1] == ("reviewed", "pending")
        lms.start()
        lms.fail(503, times=1)
        for _ in range(3):
            clock.advance(30)
            deliver_now(deliverer)
        assert lms.show(attempt_id)["status"] == "verified"
        assert [(kind, status) for _, kind, _, status in lms.callbacks()] == [
            ("reviewed", 503),
            ("reviewed", 200),
        ]
        assert summary(storage) == [("ready", "delivered"), ("reviewed", "delivered")]

        with store.write() as session:  # the same review is none
            attempts.judge(session, ours.id, review, PROCTOR)
        assert len(messages(storage)) == 2
        effects = json.dumps(lms.effects())
        staff.remove(attempt_id)
        with store.write() as session:
            late = replace(review, action=Action.FAIL, review_id="2")
            attempts.judge(session, ours.id, late, PROCTOR)
        deliver_now(deliverer)
        assert "satisfied" in effects
        last = messages(storage)[-1]  # edx-proctoring takes reviews of what it has archived
        assert (last.purpose, last.state, last.last_status) == ("reviewed", "delivered", 200)


def test_an_exam_that_a_proctor_ends_is_over_in_the_lms_and_waits_for_a_person(
    storage: Storage, provider: ScriptedLms, tmp_path: Path
) -> None:
    store = ProctoringStore(storage, SECRET_KEY)
    with Lms(tmp_path / "lms") as lms, post_office(storage, store) as deliverer:
        lms.put_provider(provider.origin)
        learner, staff = lms.sign_in("learner"), lms.sign_in("staff")
        attempt_id, ours = registered(store, lms, staff, learner)
        deliver_now(deliverer)
        learner.act(attempt_id, "start")
        with store.write() as session:
            attempts.act(session, ours.id, Action.START, LMS_SAYS)
        content_id = exam_of("e1")["content_id"]
        assert learner.page(content_id)["active_attempt"]["attempt_id"] == attempt_id

        with store.write() as session:
            attempts.act(session, ours.id, Action.TERMINATE, PROCTOR)
        deliver_now(deliverer)
        assert lms.show(attempt_id)["status"] == "second_review_required"
        assert learner.page(content_id)["active_attempt"] == {}
        assert "submitted this proctored exam for review" in lms.rendered(learner, content_id)


def test_a_verdict_stands_whatever_its_learner_does_there_and_its_comments_are_there_once(
    storage: Storage,
    provider: ScriptedLms,
    tmp_path: Path,
    clock: ManualClock,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    store = ProctoringStore(storage, SECRET_KEY)
    with Lms(tmp_path / "lms") as lms, post_office(storage, store) as deliverer:
        lms.put_provider(provider.origin)
        learner, staff = lms.sign_in("learner"), lms.sign_in("staff")
        attempt_id = learner.begin(staff.register_exams(exam_of("e1"))[0])
        for action in ("start", "submit"):
            learner.act(attempt_id, action)
        asked = Registration(
            learner=Learner(obscured_id="a" * 40),
            external_id=lms.show(attempt_id)["external_id"],
        )
        review = Review(
            action=Action.FAIL,
            actor=Actor.PROCTOR,
            reviewed_by="jane",
            comments=(Comment(comment="A phone", status="Suspicious"),),
        )
        with store.write() as session:
            session.lmses.add(lms.entry("edx"))
            exam = session.exams.add(replace(EXAM, clock_owner=ClockOwner.LMS))
            ours = attempts.register(session, exam, asked, LMS_SAYS).attempt
            for done in (Action.START, Action.SUBMIT):
                attempts.act(session, ours.id, done, LMS_SAYS)
            attempts.judge(session, ours.id, review, PROCTOR)
        with monkeypatch.context() as patch:  # killed before it records
            patch.setattr(deliverer._concluder, "conclude", lambda *_: None)
            deliver_now(deliverer)
        clock.advance(60)
        deliver_now(deliverer)
        assert len(lms.callbacks()) == 2
        for undoing, done in (("submit", Action.SUBMIT), ("error", Action.ERROR)):
            assert lms.show(attempt_id)["status"] == "second_review_required"
            learner.act(attempt_id, undoing)
            assert lms.show(attempt_id)["status"] != "second_review_required"
            with store.write() as session:
                assert provider_attempts.take(session, ours, done, LMS_SAYS).refused
            deliver_now(deliverer)
        shown = lms.show(attempt_id)
        assert (shown["status"], shown["comments"]) == ("second_review_required", ["A phone"])
