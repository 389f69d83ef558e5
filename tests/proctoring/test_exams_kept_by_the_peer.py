"""An unmodified edx-proctoring LMS that has this server as its exam service, too: what it keeps is
answered here as it answers it itself."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pytest
import requests
from joserfc import jwt

from deploy.demo.processes import ProcessFailed
from tests.proctoring.edx_proctoring_lms.peer import Lms, Person, exam_of
from tests.proctoring.exam_pages import ISSUER, KEY, PUBLIC, person
from tests.support.installation import Installation
from xqueue_server import settings
from xqueue_server.storage import open_storage
from xqueue_server.storage.proctoring import ProctoringStore

NAME = "edx"
COURSE = "course-v1:edX+Kept+1"
CONTENT = exam_of("e1")["content_id"]
STUDENT = f"/student/exam/attempt/course_id/{COURSE}/content_id/{CONTENT}"
TICKING = ("time_remaining_seconds", "accessibility_time_string")


@dataclass
class Site:
    lms: Lms
    server: Installation

    def ask(self, who: Person, method: str, path: str, body: Any = None) -> requests.Response:
        """As the page of somebody who is signed in at the LMS asks its exam service."""
        said = person(who.user_id, who.name, administrator=who.name == "staff")
        claims = said | {"iss": ISSUER, "exp": int(time.time()) + 600}
        token = jwt.encode({"alg": "RS512"}, claims, KEY, ["RS512"])
        return requests.request(
            method,
            f"{self.server.url}/exams/api/v1{path}",
            json=body,
            headers={"Authorization": f"JWT {token}"},
            timeout=60,
        )


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    directory = tmp_path_factory.mktemp("kept")
    with Lms(directory / "lms") as lms:
        database = f"sqlite:///{directory / 'xqueue.db'}"
        server = Installation(directory / "server", database, lms_origin=lms.url)
        server.command("db", "upgrade")
        with _store(server) as store, store.write() as session:
            session.lmses.add(
                replace(lms.entry(NAME), jwt_issuer=ISSUER, jwt_keys=PUBLIC, forwards_exams=True)
            )
        server.start("serve")
        lms.put_provider(f"{server.url}/proctoring")
        try:
            yield Site(lms, server)
            server.assert_well()
        finally:
            server.stop()


@contextmanager
def _store(server: Installation) -> Iterator[ProctoringStore]:
    loaded = settings.load(server.settings)
    storage = open_storage(loaded.database_url)
    try:
        yield ProctoringStore(storage, loaded.secret_key)
    finally:
        storage.close()


def test_what_the_lms_keeps_is_answered_as_it_answers_itself(site: Site) -> None:
    """While it answers, edx-proctoring asks us, its provider, where to get ready."""
    learner, staff = site.lms.sign_in("learner"), site.lms.sign_in("staff")
    site.lms.trust_us(is_staff=True)
    assert site.ask(learner, "GET", STUDENT).json() == {"exam": {}}

    listed = exam_of("e1") | {"exam_type": "proctored"}
    published = site.ask(staff, "PATCH", f"/exams/course_id/{COURSE}", [listed])
    assert published.status_code == 200, published.text
    (exam_id,) = [each["exam_id"] for each in published.json()]
    shown = _same(site, learner)
    assert (shown["id"], shown["type"], shown["attempt"]) == (exam_id, "proctored", {})
    assert shown["use_legacy_attempt_api"] is True
    assert site.ask(learner, "GET", "/exams/attempt/latest").json() == {}

    attempt = learner.begin(exam_id)
    created = _same(site, learner)["attempt"]
    assert created["attempt_id"] == attempt
    assert created["software_download_url"].startswith(site.server.url)
    external_id = site.lms.show(attempt)["external_id"]
    learner.ask("POST", f"/proctored_exam/attempt/{external_id}/ready")
    learner.act(attempt, "start")
    assert _same(site, learner)["attempt"]["attempt_status"] == "started"
    latest = site.ask(learner, "GET", "/exams/attempt/latest").json()
    assert (latest["attempt_id"], latest["attempt_status"]) == (attempt, "started")
    assert latest["use_legacy_attempt_api"] is True
    other = site.lms.sign_in("other")
    assert site.ask(other, "GET", "/exams/attempt/latest").json() == {}

    path = f"/exam/provider_settings/course_id/{COURSE}/exam_id/{exam_id}"
    theirs = learner.ask("GET", f"/proctored_exam/settings/exam_id/{exam_id}/").json()
    assert site.ask(learner, "GET", path).json() == theirs
    onboarding = site.ask(learner, "GET", f"/student/course_id/{COURSE}/onboarding")
    assert onboarding.status_code == 404
    assert "no onboarding exam" in onboarding.json()["detail"]


def _same(site: Site, learner: Person) -> dict[str, Any]:
    """The exam by either, but for what runs on between the two."""
    ours = site.ask(learner, "GET", STUDENT)
    assert ours.status_code == 200, ours.text
    found: dict[str, Any] = ours.json()["exam"]
    theirs = learner.page(CONTENT, course=COURSE)["exam"]
    for each in (found, theirs):
        for name in TICKING:
            each["attempt"].pop(name, None)
        _without_signature(each["attempt"])
    assert found == theirs
    return found


def _without_signature(attempt: dict[str, Any]) -> None:
    """Links to the learner's page say when they were made."""
    if "software_download_url" in attempt:
        attempt["software_download_url"] = attempt["software_download_url"].partition("?")[0]


def test_where_we_are_not_staff_nobody_is_told_of_no_exam(site: Site) -> None:
    learner = site.lms.sign_in("learner")
    site.lms.trust_us(is_staff=False)
    for path in (STUDENT, "/exams/attempt/latest"):
        refused = site.ask(learner, "GET", path)
        assert (refused.status_code, list(refused.json())) == (503, ["detail"])
    log = Path(site.server.directory / "serve.log").read_text("utf-8")
    assert "make the user of its OAuth2 client the-provider staff there" in log
    with pytest.raises(ProcessFailed, match="status 1"):
        site.server.command("proctoring", "check", NAME)
    site.lms.trust_us(is_staff=True)
    assert "it tells us of them" in site.server.command("proctoring", "check", NAME)
