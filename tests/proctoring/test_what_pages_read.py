"""All that the browser library reads of an attempt, and the workers that it loads."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from flask.testing import FlaskClient

from proctoring_hooks import attempts
from proctoring_hooks.exam import Exam, ExamType
from proctoring_hooks.providers.base import Entry
from proctoring_hooks.transitions import Action
from proctoring_hooks.worker.bundles import OUR_PACKAGE
from tests.proctoring.conftest import EXAM
from tests.proctoring.exam_pages import MFE, SERVED, Page, person
from tests.proctoring.sitting import PROVIDER, STAFF
from xqueue_server import settings
from xqueue_server.app import create_app
from xqueue_server.instant import ManualClock
from xqueue_server.storage import Storage
from xqueue_server.storage.proctoring import ProctoringStore

SECRET_KEY = "s" * 32
OF_EDX_PROCTORING = {
    "in_timed_exam",
    "taking_as_proctored",
    "exam_type",
    "exam_display_name",
    "exam_url_path",
    "time_remaining_seconds",
    "total_time",
    "low_threshold_sec",
    "critically_low_threshold_sec",
    "course_id",
    "attempt_id",
    "external_id",
    "accessibility_time_string",
    "attempt_status",
    "exam_started_poll_url",
    "attempt_ready_to_resume",
    "use_legacy_attempt_api",
    "desktop_application_js_url",
    "ping_interval",
    "attempt_code",
    "software_download_url",
}
"""Keys of an attempt as edx-proctoring 6.1.4 gives it to a page."""
AT = "https://xqueue.example/proctoring/worker/"
MakeOurs = Callable[..., Exam]


@pytest.fixture
def store(storage: Storage) -> ProctoringStore:
    opened = ProctoringStore(storage, SECRET_KEY.encode())
    with opened.write() as session:
        session.lmses.add(replace(SERVED, loads_worker=True))
    return opened


@pytest.fixture
def client(
    storage: Storage, store: ProctoringStore, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> FlaskClient:
    bundles = tmp_path / "bundles"
    bundles.mkdir()
    (bundles / "acme.js").write_text("self.acme = 1;", "utf-8")
    for name, value in {
        "XQUEUE_DATA_DIR": str(tmp_path),
        "XQUEUE_SECRET_KEY": SECRET_KEY,
        "XQUEUE_PUBLIC_URL": "https://xqueue.example",
        "XQUEUE_WORKER_BUNDLES": str(bundles),
        "XQUEUE_PING_INTERVAL_S": "30",
    }.items():
        monkeypatch.setenv(name, value)
    return create_app(settings.load(), storage).test_client()


@pytest.fixture
def jane(client: FlaskClient, clock: ManualClock) -> Page:
    return Page(client, clock, person(17, "jane"))


def enter(store: ProctoringStore, provider: str = "", **fields: Any) -> Exam:
    with store.write() as session:
        terms = replace(EXAM.terms, provider=provider)
        return session.exams.add(replace(EXAM, terms=terms, **fields))


def enter_provider(store: ProctoringStore, **given: str) -> None:
    with store.write() as session:
        session.recipients.put_provider(Entry(name="p", plugin="null", settings=given, secrets={}))


def test_an_attempt_has_all_that_the_library_reads(
    client: FlaskClient, store: ProctoringStore, jane: Page, clock: ManualClock
) -> None:
    exam = enter(store)
    attempt_id = jane.begun(exam, start_clock="false")
    before = jane.exam(exam)["attempt"]
    assert before.keys() >= OF_EDX_PROCTORING
    assert before["software_download_url"].endswith(f"/exams/lti/start_proctoring/{attempt_id}")
    assert before["ping_interval"] == 30
    # Whatever stood there, the library would ask the LMS for; without it, it asks us.
    assert before["exam_started_poll_url"] is None
    assert before["use_legacy_attempt_api"] is False
    with store.write() as session:
        attempts.act(session, attempt_id, Action.READY, PROVIDER)
        external_id = session.attempts.get(attempt_id).external_id
    assert jane.act(attempt_id, "start").status_code == 200
    clock.advance(30 * 60)
    now = jane.get("/api/v1/exams/attempt/latest").json
    assert now.keys() == before.keys() - {"software_download_url"}
    assert now["external_id"] == external_id
    assert (now["low_threshold_sec"], now["critically_low_threshold_sec"]) == (720, 180)
    assert now["total_time"] == "1 hour"
    assert now["accessibility_time_string"] == "you have 30 minutes remaining"
    script = client.get(now["desktop_application_js_url"].removeprefix("https://xqueue.example"))
    assert script.mimetype == "text/javascript"
    jane.act(attempt_id, "error")
    with store.write() as session:
        attempts.act(session, attempt_id, Action.RESUME, STAFF)
    assert jane.exam(exam)["attempt"]["attempt_ready_to_resume"] is True


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        ({}, None),
        ({"npm_module": "acme"}, f"{AT}acme."),
        ({"npm_module": "absent"}, None),
        ({"worker_url": "https://acme.example/w.js"}, "https://acme.example/w.js"),
        ({"worker_url": "https://acme.example/"}, None),
        ({"worker_url": "https://acme.example"}, None),
    ],
)
def test_a_provider_has_the_worker_of_its_entry_and_never_the_root_of_a_site(
    store: ProctoringStore, jane: Page, given: dict[str, str], expected: str | None
) -> None:
    enter_provider(store, **given)
    exam = enter(store, "p")
    jane.begun(exam, start_clock="false")
    shown = jane.exam(exam)["attempt"]
    if expected is None:
        assert "desktop_application_js_url" not in shown
    else:
        assert shown["desktop_application_js_url"].startswith(expected)


def test_a_page_that_may_not_load_our_worker_goes_without(
    store: ProctoringStore, jane: Page
) -> None:
    with store.write() as session:
        session.lmses.replace(SERVED)
    exam = enter(store)
    jane.begun(exam, start_clock="false")
    assert "desktop_application_js_url" not in jane.exam(exam)["attempt"]


def test_our_worker_is_loaded_where_we_watch_and_not_in_timed_exams(
    store: ProctoringStore, jane: Page
) -> None:
    timed = enter(store, exam_type=ExamType.TIMED)
    attempt_id = jane.begun(timed)
    assert "desktop_application_js_url" not in jane.exam(timed)["attempt"]
    jane.act(attempt_id, "submit")
    proctored = enter(store, content_id="block-v1:x+type@sequential+block@2", external_id="e2")
    jane.begun(proctored, start_clock="false")
    url = jane.exam(proctored)["attempt"]["desktop_application_js_url"]
    assert url.startswith(f"{AT}{OUR_PACKAGE}.")


@pytest.mark.parametrize(
    ("path", "method", "credentials"),
    [
        ("/exams/api/v1/exams/attempt", "POST", "true"),
        ("/exams/api/v1/exams/attempt/1", "PUT", "true"),
        ("/exams/api/v1/exams/attempt/latest", "GET", "true"),
        ("/exams/api/v1/access_tokens/exam_id/1/", "GET", "true"),
        ("/csrf/api/v1/token", "GET", "true"),
        ("/proctoring/worker/config", "GET", None),
        ("/proctoring/worker/ping", "POST", None),
    ],
)
def test_pages_of_an_lms_may_ask_and_those_of_callbacks_or_others_may_not(
    client: FlaskClient, store: ProctoringStore, path: str, method: str, credentials: str | None
) -> None:
    with store.write() as session:
        session.lmses.replace(replace(SERVED, origins=("http://lms.internal:8000",)))

    def preflight(origin: str) -> dict[str, str]:
        wishes = {
            "Origin": origin,
            "Access-Control-Request-Method": method,
            "Access-Control-Request-Headers": "content-type,use-jwt-cookie,x-csrftoken",
        }
        return dict(client.options(path, headers=wishes).headers)

    for page in (MFE, "https://lms.example"):
        allowed = preflight(page)
        assert allowed["Access-Control-Allow-Origin"] == page
        assert method in allowed["Access-Control-Allow-Methods"]
        assert allowed.get("Access-Control-Allow-Credentials") == credentials
        assert "Origin" in allowed["Vary"]
    for other in ("http://lms.internal:8000", "https://evil.example", "null"):
        assert "Access-Control-Allow-Origin" not in preflight(other)
