"""Proctored exams end to end: an LMS with edx-proctoring, its learners, and our programs between
what they submit and what they are told."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from secrets import randbelow, token_hex
from threading import Event

import pytest
import requests

from deploy.demo.processes import ROOT, ProcessFailed
from proctoring_hooks.exam import Exam, Release, Terms
from proctoring_hooks.grades import GradeState, Standing
from proctoring_hooks.statuses import Status
from tests.acceptance.exam_hall import (
    LMS,
    OPERATOR,
    SOON_S,
    Console,
    Hall,
    be_checked,
    messages_about,
)
from tests.acceptance.site import PASSWORD, Site
from tests.acceptance.test_lms_outage import QUICKER
from tests.delivery.lms import Received, Reply, running_lms
from tests.proctoring.conftest import EXAM
from tests.proctoring.edx_proctoring_lms.peer import Lms
from tests.proctoring.outgoing import SignedIn, answered, put_provider
from tests.proctoring.own_exams import ISSUER, PUBLIC, OwnLearner
from tests.support import postgres
from tests.worker.fakes import eventually, need
from xqueue_server import settings
from xqueue_server.storage import open_storage
from xqueue_server.storage.proctoring import ProctoringStore

GRADER = ROOT / "graders" / "examples" / "functions"
GOES_AT = {
    Release.AT_ONCE: "started",
    Release.ON_SUBMIT: "submitted",
    Release.ON_VERIFIED: "verified",
}


@pytest.fixture(scope="module")
def hall(tmp_path_factory: pytest.TempPathFactory, postgres_url: str) -> Iterator[Hall]:
    """Everything runs, once for all of these tests."""
    need("bwrap")
    directory = tmp_path_factory.mktemp("exams")
    with (
        postgres.database() as database_url,
        Lms(directory / "lms") as lms,
        Site(directory, database_url=database_url, lms_origin=lms.url) as site,
    ):
        site.prepare()
        operator = ("account", "add", OPERATOR, "--role", "operator", "--all-queues")
        site.command(*operator, "--password-stdin", stdin=PASSWORD)
        enter(site, lms, directory)
        site.start_server()
        site.start_deliver(constants=QUICKER)
        site.start_sandboxd("bubblewrap")
        site.start_worker("poll", grader=str(GRADER))
        lms.put_provider(f"{site.url}/proctoring")
        loaded = settings.load(site.settings)
        storage = open_storage(loaded.database_url)
        try:
            yield Hall(site=site, lms=lms, store=ProctoringStore(storage, loaded.secret_key))
        finally:
            storage.close()
        assert "0 with a flaw" in site.command("attempt", "verify", "--all")


def enter(site: Site, lms: Lms, directory: Path) -> None:
    """The LMS, as an operator does."""
    known = lms.entry(LMS)
    given = ["lms", "add", LMS, "--url", lms.url]
    given += ["--client-id", known.client_id, "--our-client-id", known.our_client_id]
    for name in ("client_secret", "our_client_secret", "obfuscation_key"):
        path = directory / name
        path.touch(mode=0o600)
        path.write_text(getattr(known, name))
        given += [f"--{name.replace('_', '-')}-file", str(path)]
    (directory / "keys").write_text(PUBLIC)
    site.command(*given, "--jwt-issuer", ISSUER, "--jwt-keys", str(directory / "keys"))


@pytest.mark.parametrize("release", Release)
def test_a_learner_sits_an_exam_and_the_grade_goes_when_its_terms_say(
    hall: Hall, release: Release
) -> None:
    seat = hall.publish(release=release).seat("learner")
    assert seat.ours.status is Status.CREATED
    seat.start()
    assert seat.ours.status is Status.STARTED
    work = seat.hand_in()
    assert work.standing.attempt_id == seat.ours.id
    may_go = False
    for status in ("started", "submitted", "verified"):
        if status == "submitted":
            seat.submit()
        elif status == "verified":
            review(hall, seat.ours.id, "pass", by="jane@example.org")
            seat.wait_until(status)
        assert seat.ours.status == status
        may_go = may_go or status == GOES_AT[release]
        if may_go:
            work.assert_arrives_once()
        else:
            work.assert_held_back()
    seat.assert_told("ready", "reviewed")
    assert seat.changes == ["created", "ready_to_start", "started", "submitted", "verified"]


def review(hall: Hall, attempt_id: int, verdict: str, *, by: str) -> None:
    """As an operator does for somebody who has looked at it."""
    given = ("--verdict", verdict, "--by", by, "--comment", f"of {by}")
    hall.site.command("attempt", "review", str(attempt_id), *given)


def test_a_rejected_attempt_keeps_its_grade_here_and_its_learner_is_told(hall: Hall) -> None:
    exam = hall.publish(release="on_verified")
    seat = exam.seat("learner")
    page = seat.page
    seat.start()
    work = seat.hand_in()
    seat.submit()
    Console(exam).review(seat, "fail", "A second person answered")
    seat.wait_until("rejected")
    assert seat.ours.status is Status.REJECTED
    assert work.standing.state is GradeState.WITHHELD
    work.assert_held_back()
    shown = requests.get(f"{page}/status", timeout=SOON_S).json()
    assert shown["title"] == "Your exam did not pass the review"
    assert "One answer is stored" in str(shown["grades"])
    refused = seat.person.try_to_act(seat.lms_id, "submit")  # which the LMS lets him
    assert seat.ours.status is Status.REJECTED, refused.text
    work.assert_held_back()


def test_a_person_decides_what_was_put_up_for_a_second_review(hall: Hall) -> None:
    exam = hall.publish(release="on_verified")
    seat = exam.seat("other")
    seat.start()
    work = seat.hand_in()
    seat.submit()
    review(hall, seat.ours.id, "second-review", by="the night shift")
    seat.wait_until("second_review_required")
    work.assert_held_back()
    Console(exam).review(seat, "pass", "It was the cat")
    seat.wait_until("verified")
    work.assert_arrives_once()
    seat.assert_told("ready", "reviewed", "reviewed")
    assert hall.lms.show(seat.lms_id)["comments"] == ["of the night shift", "It was the cat"]


def test_work_of_nobodys_attempt_is_held_until_staff_accept_it(hall: Hall) -> None:
    exam = hall.publish(release="at_once")
    stranger = hall.lms.sign_in("third")
    work = exam.work_of(stranger)
    work.post()
    found = work.standing
    assert (found.standing, found.state) == (Standing.NO_ATTEMPT, GradeState.FLAGGED)
    work.assert_held_back()
    Console(exam).accept(work)
    work.assert_arrives_once()


def test_the_stored_key_joins_learners_and_a_wrong_one_is_found_out(hall: Hall) -> None:
    seat = hall.publish().seat("learner")
    of_learner = ("--attempt", str(seat.ours.id), "--user-id")
    said = hall.site.command("proctoring", "check", LMS, *of_learner, str(seat.person.user_id))
    assert "The stored key joins them" in said
    with pytest.raises(ProcessFailed):
        hall.site.command("proctoring", "check", LMS, *of_learner, "999", "--offline")


def test_what_happens_while_the_lms_is_away_arrives_in_order_and_once(hall: Hall) -> None:
    exam = hall.publish(release="at_once")
    seat = exam.seat("other")
    page = seat.page
    with hall.without_lms():
        be_checked(page)
    seat.wait_until("ready_to_start")
    seat.person.act(seat.lms_id, "start")
    work = exam.work_of(seat.person)
    with hall.without_lms():
        work.post()
    work.assert_arrives_once()
    seat.submit()
    attempt_id = seat.ours.id
    with hall.without_lms():
        review(hall, attempt_id, "second-review", by="the night shift")
        review(hall, attempt_id, "pass", by="jane@example.org")
    seat.wait_until("verified")
    seat.assert_told("ready", "reviewed", "reviewed")
    assert [(kind, status) for _, kind, _, status in hall.lms.callbacks()] == [
        ("reviewed", 200),
        ("reviewed", 200),
    ]
    assert hall.lms.show(seat.lms_id)["comments"] == ["of the night shift", "of jane@example.org"]


# -- exams that are ours, watched by a provider --------------------------------------------------


@pytest.fixture
def provider(hall: Hall) -> Iterator[SignedIn]:
    with running_lms() as server:
        put_provider(hall.store, "rest", base_url=server.origin, client_id="us")
        yield SignedIn(server)


@pytest.fixture
def own_exam(hall: Hall, provider: SignedIn) -> Exam:
    """That the provider knows, as an attempt that it is told of."""
    with hall.store.write() as session:
        name, terms = token_hex(8), Terms(provider="watcher")
        new = replace(EXAM, lms=LMS, terms=terms, external_id=name, content_id=f"sequence {name}")
        exam = session.exams.add(new)
        return session.exams.change(exam.id, provider_exam_id="ex-1")


def stall(provider: SignedIn, back: Event) -> None:
    """It takes its time over what came before."""
    provider.answers = [Reply(wait_for=back, body=b"{}"), answered({})]


def fail(provider: SignedIn, back: Event) -> None:
    provider.answers = [answered({}), answered({})]
    took = provider.server.answer

    def answer(got: Received) -> Reply:
        return took(got) if back.is_set() else Reply(status=500)

    provider.server.answer = answer


@pytest.mark.parametrize("trouble", [stall, fail])
def test_a_learner_submits_whatever_has_become_of_the_provider_which_is_told_once(
    hall: Hall, provider: SignedIn, own_exam: Exam, trouble: Callable[[SignedIn, Event], None]
) -> None:
    back = Event()
    provider.answers = [answered({"id": "at-1"})]
    learner = OwnLearner(url=hall.site.url, user_id=randbelow(10**9))
    attempt_id = learner.begin(own_exam)
    hall.operate("POST", f"/attempts/{attempt_id}/ready", reason="has shown the room")
    eventually(lambda: not provider.answers, SOON_S)
    trouble(provider, back)
    learner.act(attempt_id, "start")
    eventually(lambda: len(provider.calls) > 1, SOON_S)

    learner.act(attempt_id, "submit")

    with hall.store.read() as session:
        assert session.attempts.get(attempt_id).status is Status.SUBMITTED
    assert provider.told[-1][2] == {"status": "started"}
    back.set()
    told = [("register", "delivered"), ("start", "delivered"), ("submit", "delivered")]
    eventually(lambda: messages_about(hall.store, attempt_id) == told, SOON_S)
    assert [body for _, _, body in provider.told].count({"status": "submitted"}) == 1
