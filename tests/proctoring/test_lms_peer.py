"""An unmodified edx-proctoring LMS with this server as its REST proctoring backend, over HTTP."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from itertools import count
from typing import Any

import pytest
import requests

from proctoring_hooks import attempts
from proctoring_hooks.attempt import Attempt, Learner
from proctoring_hooks.exam import ExamType
from proctoring_hooks.obscuring import obscured_id
from proctoring_hooks.reviews import Review
from proctoring_hooks.statuses import Status
from proctoring_hooks.transitions import Action, Actor, By
from tests.proctoring.edx_proctoring_lms.peer import NOBODY, Lms, Person, exam_of
from tests.support import postgres
from tests.support.installation import Installation
from xqueue_server import settings
from xqueue_server.storage import open_storage
from xqueue_server.storage.proctoring import ProctoringStore

NAME = "edx"
BACKENDS = ("sqlite", "postgresql")
_COURSES = count(1)


@pytest.fixture(scope="module")
def lms(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Lms]:
    with Lms(tmp_path_factory.mktemp("lms") / "site") as lms:
        yield lms


@dataclass
class Site:
    """The LMS, our server, and a course of its own for each test."""

    lms: Lms
    url: str
    store: ProctoringStore
    course: str

    def __post_init__(self) -> None:
        self.learner, self.other = self.lms.sign_in("learner"), self.lms.sign_in("other")
        self.staff = self.lms.sign_in("staff")

    def publish(self, *exams: dict[str, Any]) -> list[int]:
        return self.staff.register_exams(*exams, course=self.course)

    def exam(self, exam_id: int) -> Any:
        external_id = self.staff.exam(exam_id)["external_id"]
        with self.store.read() as session:
            return session.exams.by_external_id(NAME, external_id)

    def attempt(self, attempt_id: int) -> Attempt:
        """Ours of theirs."""
        external_id = self.lms.show(attempt_id)["external_id"]
        with self.store.read() as session:
            return session.attempts.by_external_id(NAME, external_id)

    def obscured(self, person: Person) -> str:
        entry = self.lms.entry(NAME)
        return obscured_id(entry.obfuscation_key, str(person.user_id), entry.backend)


@pytest.fixture(scope="module", params=BACKENDS)
def served(
    request: pytest.FixtureRequest, lms: Lms, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Installation]:
    """A server as it is run, once per kind of database, that knows the LMS."""
    directory = tmp_path_factory.mktemp("server")
    with ExitStack() as open_until_the_end:
        if request.param == "sqlite":
            url = f"sqlite:///{directory / 'xqueue.db'}"
        else:
            url = open_until_the_end.enter_context(postgres.database())
        installation = Installation(directory, url, lms_origin=lms.url)
        installation.command("db", "upgrade")
        with _store(installation) as store, store.write() as session:
            session.lmses.add(lms.entry(NAME))
        installation.start("serve")
        open_until_the_end.callback(installation.stop)
        yield installation
        installation.assert_well()


@contextmanager
def _store(installation: Installation) -> Iterator[ProctoringStore]:
    loaded = settings.load(installation.settings)
    storage = open_storage(loaded.database_url)
    try:
        yield ProctoringStore(storage, loaded.secret_key)
    finally:
        storage.close()


@pytest.fixture
def site(lms: Lms, served: Installation) -> Iterator[Site]:
    lms.put_provider(f"{served.url}/proctoring")
    with _store(served) as store:
        yield Site(lms, served.url, store, f"course-v1:edX+Peer{next(_COURSES)}+1")


def test_exams_follow_what_the_course_team_does(site: Site) -> None:
    given = {"due_date": "2035-01-01T00:00:00Z"}
    first, second = site.publish(exam_of("e1", **given), exam_of("e2", is_practice_exam=True))
    exam = site.exam(first)
    assert (exam.exam_type, exam.lms_exam_id) == (ExamType.PROCTORED, str(first))
    assert exam.due_at is not None
    assert site.exam(second).exam_type is ExamType.ONBOARDING
    site.publish(exam_of("e1", exam_name="Final", time_limit_mins=45))
    changed = site.exam(first)
    assert changed.id == exam.id
    assert (changed.exam_name, changed.time_limit_mins) == ("Final", 45)
    assert not site.exam(second).is_active
    site.publish(exam_of("e1", is_proctored=False))
    assert not site.exam(first).is_active


def test_an_exam_saved_while_we_were_away_gets_its_id_with_the_next_save(site: Site) -> None:
    site.lms.put_provider(NOBODY)
    (exam,) = site.publish(exam_of("e1"))
    assert site.staff.exam(exam)["external_id"] is None
    site.lms.put_provider(f"{site.url}/proctoring")
    refused = site.learner.try_to_begin(exam)
    assert refused.status_code == 404  # of …/exam/None/attempt/
    site.publish(exam_of("e1", exam_name="Again"))
    assert site.exam(exam).exam_name == "Again"
    assert site.learner.begin(exam)


def test_an_exam_from_start_to_end(site: Site) -> None:
    (exam,) = site.publish(exam_of("e1"))
    number = site.learner.begin(exam)
    attempt = site.attempt(number)
    assert attempt.status is Status.CREATED
    assert attempt.learner == Learner(obscured_id=site.obscured(site.learner))
    assert attempt.lms_host == site.lms.url
    page = site.learner.page(exam_of("e1")["content_id"], course=site.course)
    link = page["exam"]["attempt"]["software_download_url"]
    assert link.startswith(f"{site.url}/proctoring/attempt/")
    with site.store.read() as session:
        names = session.names(NAME, attempt.learner)
    assert names is not None
    assert (names.full_name, names.email) == ("Learner Lovelace", "learner@example.com")
    for action, status in (
        ("start", Status.STARTED),
        ("stop", Status.STARTED),  # of which it does not tell
        ("submit", Status.SUBMITTED),
        ("submit", Status.SUBMITTED),
    ):
        site.learner.act(number, action)
        assert site.attempt(number).status is status
    assert site.attempt(number).allowed_s == 30 * 60


def test_an_attempt_in_error_is_gone_on_with_in_another(site: Site) -> None:
    (exam,) = site.publish(exam_of("e1"))
    first = site.learner.begin(exam)
    site.learner.act(first, "start")
    site.learner.act(first, "error", detail="Worker failed to respond")
    assert site.attempt(first).status is Status.ERROR
    site.staff.act(first, "mark_ready_to_resume", user_id=site.learner.user_id)
    second = site.learner.begin(exam)
    assert site.attempt(second).external_id != site.attempt(first).external_id
    assert site.attempt(second).number == 2
    site.learner.act(second, "start")
    assert site.attempt(second).status is Status.STARTED


def test_removing_an_attempt(site: Site) -> None:
    (exam,) = site.publish(exam_of("e1"))
    removed, gone = site.learner.begin(exam), site.other.begin(exam)
    at_us = site.attempt(gone)
    with site.store.write() as session:
        by = By(actor=Actor.STAFF, who="account joe")
        attempts.act(session, at_us.id, Action.RESET, by)
    for number in (removed, gone):  # the second we do not know any more
        assert site.staff.remove(number).status_code == 200
    again = site.learner.begin(exam)
    assert site.attempt(again).status is Status.CREATED
    site.lms.put_provider(NOBODY)
    assert site.staff.remove(again).status_code == 502
    site.lms.put_provider(f"{site.url}/proctoring")
    assert site.staff.remove(again).status_code == 200


def test_onboarding_comes_before_the_exam(site: Site) -> None:
    exam, onboarding = site.publish(
        exam_of("e1"), exam_of("on", is_practice_exam=True, exam_name="Onboarding")
    )
    early = site.learner.begin(exam)
    assert site.lms.show(early)["status"] == "onboarding_missing"
    first = site.learner.begin(onboarding)
    assert site.attempt(first).exam_type is ExamType.ONBOARDING
    site.learner.act(first, "start")
    site.learner.act(first, "submit")
    review = Review(action=Action.PASS, actor=Actor.PROCTOR, reviewed_by="jane")
    with site.store.write() as session:
        by = By(actor=Actor.PROCTOR, who="account jane")
        attempts.judge(session, site.attempt(first).id, review, by)
    # What has ended in the onboarding exam lets the learner try the exam again.
    second = site.learner.begin(exam)
    assert site.lms.show(second)["status"] == "created"


def test_a_learner_is_retired(site: Site) -> None:
    (exam,) = site.publish(exam_of("e1"))
    number = site.learner.begin(exam)
    attempt = site.attempt(number)
    for _ in range(2):  # also when it asks again
        answer = site.staff.ask("POST", f"/retire_backend_user/{site.learner.user_id}/")
        assert (answer.status_code, answer.json()) == (200, {"xqueue": True})
    with site.store.read() as session:
        assert session.names(NAME, Learner(obscured_id=site.obscured(site.learner))) is None
        assert session.attempts.even_removed(attempt.id).learner == Learner()


def test_the_instructor_dashboard_opens_once(site: Site) -> None:
    (exam,) = site.publish(exam_of("e1"))
    answer = site.staff.ask("GET", f"/instructor/{site.course}/{exam}")
    assert answer.status_code == 302
    link = answer.headers["Location"]
    assert link.startswith(f"{site.url}/proctoring/api/v1/instructor/")
    first = requests.get(link, allow_redirects=False, timeout=30)
    assert first.status_code in (302, 303)
    assert "/console" in first.headers["Location"]
    assert requests.get(link, allow_redirects=False, timeout=30).status_code == 401


def test_the_lms_shows_what_we_offer(site: Site) -> None:
    (exam,) = site.publish(exam_of("e1"))
    shown = site.learner.ask("GET", f"/proctored_exam/settings/exam_id/{exam}/")
    assert shown.status_code == 200
    offered = shown.json()["exam_proctoring_backend"]
    assert offered["name"] == "XQueue"
    assert set(offered) == {"name", "download_url", "rules", "instructions"}


def test_pages_of_the_lms_load_our_script(site: Site) -> None:
    """Not the LMS's bare root, which edx-proctoring's own class gives where no bundle was built."""
    address = f"{site.url}/proctoring/worker/xqueue-proctoring-worker.js"
    (exam,) = site.publish(exam_of("e1"))
    attempt = site.attempt(site.learner.begin(exam))
    ready = site.learner.ask("POST", f"/proctored_exam/attempt/{attempt.external_id}/ready")
    assert ready.status_code == 200
    content = exam_of("e1")["content_id"]
    shown = site.learner.page(content, course=site.course)["exam"]["attempt"]
    assert shown["desktop_application_js_url"] == address
    # Where `backend_js_bundle` of the template's context goes.
    rendered = site.lms.rendered(site.learner, content, course=site.course)
    assert f'.configuredWorkerURL = "{address}";' in rendered
    script = requests.get(address, timeout=30)
    assert script.status_code == 200
    assert script.headers["Content-Type"].partition(";")[0] == "text/javascript"


def test_a_wrong_secret_is_refused(site: Site) -> None:
    (exam,) = site.publish(exam_of("e1"))
    form = {"grant_type": "client_credentials", "client_id": "the-lms", "client_secret": "wrong"}
    url = f"{site.url}/proctoring/oauth2/access_token"
    assert requests.post(url, data=form, timeout=30).status_code == 401
    assert site.learner.begin(exam)
