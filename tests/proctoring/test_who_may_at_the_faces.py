"""Every route of the console, learners' pages, the provider face, the exam service and workers,
asked by everybody. A route without a row here fails the tests."""

from __future__ import annotations

import shutil
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pytest
from werkzeug.test import TestResponse

from proctoring_hooks import attempts, reporting
from proctoring_hooks.attempt import Attempt
from proctoring_hooks.exam import Terms
from proctoring_hooks.incidents import NewIncident, Source
from proctoring_hooks.reviews import Comment, Review
from proctoring_hooks.transitions import Action, Actor, By
from tests.proctoring.faces import HOST, MARKS, Caller, Faces, make_faces
from tests.proctoring.lms_caller import ATTEMPT, JANE
from tests.proctoring.lms_caller import EXAM as THEIR_EXAM
from xqueue_server.instant import ManualClock
from xqueue_server.storage import Storage
from xqueue_server.web.proctoring.console_actions import Deed

# -- who is known where ---------------------------------------------------------------------------

JUDGES = frozenset({"proctor", "course operator", "instructor", "chief at the console"})
SEES = JUDGES | {"course viewer"}
AT_CONSOLE = SEES | {
    "proctor of another course",
    "gone",
    "without a role",
    "instructor of another course",
    "instructor of another LMS",
}
OF_LMS = frozenset({"jane", "joe", "staff", "staff of another course", "global staff"})
OF_ANOTHER = frozenset(
    {"jane of another LMS", "staff of another LMS", "global staff of another LMS"}
)
"""The same course there is another one."""
STUDIO = frozenset({"studio", "studio as jane"})
WITH_TOKEN = OF_LMS | OF_ANOTHER | STUDIO
STAFF = frozenset({"staff", "global staff"})
THEIR_STAFF = frozenset({"staff of another LMS", "global staff of another LMS"})
LMSES = frozenset({"lms", "another lms"})
PROVIDERS = frozenset({"watch", "rival"})


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """What is answered to whom."""

    may: frozenset[str] = frozenset()
    own: frozenset[str] = frozenset()
    """May as well, with what is theirs: nothing is said of, or done to, this course."""
    known: frozenset[str] = frozenset()
    """Whoever else of these asks is answered `no`, or what `but` says for him."""
    no: int = 403
    but: Mapping[str, int] = field(default_factory=dict)
    unknown: int = 401
    """All others."""
    is_open: bool = False
    """To everybody."""
    body: Any = None
    form: Mapping[str, str] | None = None
    query: Mapping[str, str] = field(default_factory=dict)
    parts: Mapping[str, str] = field(default_factory=dict)

    @property
    def is_the_same_to_all(self) -> bool:
        return not (self.may or self.own or self.known)

    def refusal(self, who: str) -> int:
        return self.but.get(who, self.no) if who in self.known else self.unknown


OPEN = Row(is_open=True)
SOME = frozenset({"nobody", "chief's token", "proctor", "jane", "lms", "watch"})
"""Who asks for what makes no difference between people."""
PUBLISHES = STAFF | {"studio"}


def console(may: frozenset[str], **more: Any) -> Row:
    """Whoever may see is told that he may not act; others that it is not there."""
    told = every(SEES - may, 403)
    return Row(may=may, known=AT_CONSOLE, no=404, but=told, **more)


def deed(name: str, may: frozenset[str] = JUDGES, **fields: str) -> dict[str, Row]:
    form = {"key": f"{name:0<32}", **fields}
    return {f"{DEEDS} {name}": console(may, form=form, parts={"deed_name": name})}


def lms(body: Any = None, **more: Any) -> Row:
    """For an LMS that we serve; what is another's is not there."""
    return Row(may=frozenset({"lms"}), known=LMSES, no=404, body=body, **more)


def own(body: Any = None, **more: Any) -> Row:
    """For an LMS that we serve, each with what is its own."""
    return Row(may=frozenset({"lms"}), own=frozenset({"another lms"}), body=body, **more)


def service(may: frozenset[str], **more: Any) -> Row:
    return Row(may=may, known=WITH_TOKEN, **more)


def every(names: frozenset[str], status: int) -> dict[str, int]:
    return dict.fromkeys(names, status)


CREDENTIALS = {"grant_type": "client_credentials", "client_id": "x", "client_secret": "y"}
JANES = frozenset({"jane"})
DEEDS = "POST /proctoring/console/attempts/<int:attempt_id>/<deed_name>"
API = "/exams/api/v1"
COURSE = "<exam_course:course_id>"
OF_COURSE = f"{API}/exams/course_id/{COURSE}"
ATTEMPTS = f"{API}/exams/attempt"
OF_CONTENT = f"{API}/student/exam/attempt/course_id/{COURSE}/content_id/<path:content_id>"
CALLBACKS = "/exams/api/edx_proctoring"
CALLED_BACK = f"{CALLBACKS}/v1/proctored_exam/attempt/<external_id>"
THEIRS = "/proctoring/api/v1/exam/<exam_id>"
THEIR_ATTEMPT = f"{THEIRS}/attempt/<attempt_id>"
WORKER = "/proctoring/worker"
FOR_PAGES = Row(unknown=403, body={"ticket": "x"})
"""Of known LMSes, by the header Origin, whoever asks."""

ROWS: dict[str, Row] = {
    # -- for browsers, and whoever has the link
    "GET /admin/proctoring": OPEN,  # to the sign-in, or on to the console
    "GET /proctoring/static/<digest>/<name>": OPEN,
    "GET /proctoring/attempt": OPEN,
    "GET /proctoring/attempt/<token>": OPEN,
    "POST /proctoring/time": Row(is_open=True, body={"t1": 1}),
    "GET /proctoring/attempt/<token>/status": OPEN,
    "POST /proctoring/attempt/<token>/ready": OPEN,
    f"GET {WORKER}/<path:file>": OPEN,
    f"GET {WORKER}/webpack-worker-stats.json": OPEN,
    f"GET {WORKER}/workers.json": OPEN,
    f"GET {WORKER}/config": FOR_PAGES,
    f"OPTIONS {WORKER}/config": FOR_PAGES,
    f"POST {WORKER}/start": FOR_PAGES,
    f"OPTIONS {WORKER}/start": FOR_PAGES,
    f"POST {WORKER}/ping": FOR_PAGES,
    f"OPTIONS {WORKER}/ping": FOR_PAGES,
    f"POST {WORKER}/end": FOR_PAGES,
    f"OPTIONS {WORKER}/end": FOR_PAGES,
    # -- the console
    "GET /proctoring/console": OPEN,  # on to the next
    "GET /proctoring/console/": Row(may=SEES, own=AT_CONSOLE - SEES),
    "GET /proctoring/console/exams/<int:exam_id>": console(SEES),
    "GET /proctoring/console/attempts/<int:attempt_id>": console(SEES),
    "GET /proctoring/console/ticket": console(
        SEES, query={"lms": "edx", "course": str(THEIR_EXAM["course_id"])}
    ),
    "POST /proctoring/console/exams/<int:exam_id>/accept": console(JUDGES, form={"held": "1"}),
    "POST /proctoring/console/exams/<int:exam_id>/refuse": console(
        JUDGES, form={"submission": "1"}
    ),
    **deed("ready"),
    **deed("warn", kind="talks", severity="remark"),
    **deed("extend", minutes="5"),
    **deed("second"),
    **deed("pass"),
    **deed("fail"),
    **deed("terminate"),
    **deed("accept"),
    **deed("unmark"),
    **deed("resume"),
    # -- LMSes whose provider we are
    "POST /proctoring/oauth2/access_token": Row(form=CREDENTIALS),
    "POST /proctoring/edx/oauth2/access_token": Row(form=CREDENTIALS),
    "GET /proctoring/api/v1/config": Row(may=LMSES),
    "GET /proctoring/api/v1/instructor/<client_id>": Row(),
    "GET /proctoring/api/v1/courses/<path:course_id>/onboarding_statuses": own(),
    "POST /proctoring/api/v1/exam": own(THEIR_EXAM),
    f"POST {THEIRS}": own(THEIR_EXAM),
    f"GET {THEIRS}": lms(),
    f"POST {THEIRS}/attempt": lms(ATTEMPT),
    f"GET {THEIR_ATTEMPT}": lms(),
    f"PATCH {THEIR_ATTEMPT}": lms({"status": "started"}),
    # -- the exam service: learners
    f"POST {ATTEMPTS}": service(
        OF_LMS, but=every(OF_ANOTHER, 400), body={"exam_id": "1", "start_clock": "false"}
    ),
    f"GET {ATTEMPTS}/latest": service(
        JANES, own=(OF_LMS | OF_ANOTHER) - JANES, query={"content_id": "ours"}
    ),
    # Staff find the attempt, on which they can do other things.
    f"PUT {ATTEMPTS}/<int:attempt_id>": service(
        JANES,
        but=every(OF_ANOTHER | STAFF, 400),
        body={"action": "click_download_software"},
    ),
    f"GET {OF_CONTENT}": service(OF_LMS, own=OF_ANOTHER),
    f"GET {API}/access_tokens/exam_id/<int:exam_id>": service(STAFF, but=every(OF_ANOTHER, 404)),
    f"GET {API}/exam/provider_settings/course_id/{COURSE}/exam_id/<int:exam_id>": service(
        OF_LMS, but=every(OF_ANOTHER, 404)
    ),
    f"GET {API}/student/course_id/{COURSE}/onboarding": service(
        frozenset(), but=every(STUDIO, 403), no=404
    ),
    "GET /exams/lti/start_proctoring/<int:attempt_id>": service(JANES, no=404),
    "GET /exams/lti/end_assessment/<int:attempt_id>": service(JANES, no=404),
    "POST /exams/lti/end_assessment/<int:attempt_id>": service(JANES, no=404),
    # -- the exam service: course staff, and Studio
    f"GET {OF_COURSE}": service(PUBLISHES, own=THEIR_STAFF),
    f"PATCH {OF_COURSE}": service(PUBLISHES, own=THEIR_STAFF, body="published"),
    f"GET {API}/configs/course_id/{COURSE}": service(OF_LMS | STUDIO, own=OF_ANOTHER),
    f"PATCH {API}/configs/course_id/{COURSE}": service(
        PUBLISHES, own=THEIR_STAFF, body={"provider": "watch", "escalation_email": None}
    ),
    f"GET {API}/provider": service(WITH_TOKEN),
    f"GET {API}/providers": service(WITH_TOKEN),
    f"GET {OF_COURSE}/allowances": service(STAFF, own=THEIR_STAFF),
    f"POST {OF_COURSE}/allowances": service(STAFF, but=every(THEIR_STAFF, 400), body="allowances"),
    f"GET {API}/instructor_view/course_id/{COURSE}/attempts": service(
        STAFF, but=every(THEIR_STAFF, 404), query={"exam_id": "1"}
    ),
    # -- anybody
    f"GET {API}/.well-known/jwks.json": OPEN,
    f"POST {API}/time": Row(is_open=True, body={"t1": 1}),
    "GET /exams/health": OPEN,
    "GET /csrf/api/v1/token": OPEN,
    "OPTIONS /csrf/api/v1/token": OPEN,
    "OPTIONS /exams/": OPEN,
    "OPTIONS /exams/<path:anything>": OPEN,
    **{
        f"{method} {path}": Row(unknown=404)
        for path in ("/exams/", "/exams/<path:anything>")
        for method in ("GET", "POST", "PUT", "PATCH", "DELETE")
    },
    # -- providers that we use
    "POST /exams/oauth2/access_token": Row(form=CREDENTIALS),
    f"POST {CALLBACKS}/proctoring_review_callback": Row(body={"reviewStatus": "Clean"}),
    f"POST {CALLED_BACK}/ready": Row(
        may=frozenset({"watch"}), known=PROVIDERS, no=404, body={"status": "ready"}
    ),
    f"POST {CALLED_BACK}/reviewed": Row(
        may=frozenset({"watch"}), known=PROVIDERS, no=400, body={"status": "passed"}
    ),
    # -- at the end: what takes away
    **deed("reset", JUDGES - {"proctor"}),
    f"DELETE {OF_COURSE}/allowances/<int:allowance_id>": service(
        STAFF, but=every(THEIR_STAFF, 404)
    ),
    f"DELETE {ATTEMPTS}/<int:attempt_id>": service(STAFF, but=every(OF_ANOTHER, 400)),
    f"DELETE {THEIR_ATTEMPT}": lms(),
    "DELETE /proctoring/api/v1/user/<user_id>": own(),
    "POST /proctoring/console/leave": Row(may=AT_CONSOLE, form={}),
}


# -- where ----------------------------------------------------------------------------------------


@pytest.fixture
def database_url(tmp_path: Path, migrated_sqlite: Path) -> str:
    """Who may what is decided before, and in, statements that are tested on both databases."""
    path = tmp_path / "xqueue.db"
    shutil.copyfile(migrated_sqlite, path)
    return f"sqlite:///{path}"


@pytest.fixture
def faces(storage: Storage, clock: ManualClock, database_url: str, tmp_path: Path) -> Faces:
    return make_faces(storage, clock, database_url, str(tmp_path))


def _served(faces: Faces) -> dict[str, str]:
    """Row -> rule. What is served with a slash at its end and without has one row."""
    found = {}
    for method, rule in faces.rules():
        name = f"{method} {rule.rule}"
        found[name if name in ROWS else name.rstrip("/")] = rule.rule
    return found


def _ask(faces: Faces, name: str, who: Caller) -> TestResponse:
    row = ROWS[name]
    is_deed = name.startswith(DEEDS)
    method, rule = name.split(" ")[0], _served(faces)[DEEDS if is_deed else name]
    sent: dict[str, Any] = {}
    if row.form is not None and "/console/" in rule:
        sent["data"] = faces.form(who, **row.form)
    elif row.form is not None:
        # A name for each, or some would be told to slow down.
        sent["data"] = row.form | {"client_id": f"{id(who)}"}
    elif row.body is not None:
        sent["json"] = faces.bodies.get(str(row.body), row.body)
    return faces.ask(who, method, faces.path(rule, **row.parts), query_string=row.query, **sent)


# -- the questions --------------------------------------------------------------------------------


def test_every_route_has_a_row(faces: Faces) -> None:
    assert {DEEDS if name.startswith(DEEDS) else name for name in ROWS} == set(_served(faces))
    deeds = {name.split(" ")[2] for name in ROWS if name.startswith(DEEDS)}
    assert deeds == set(Deed)


def test_whoever_may_not_is_refused_and_changes_nothing(faces: Faces) -> None:
    wrong, before = [], faces.state()
    for name, row in ROWS.items():
        for who, caller in faces.callers.items():
            if row.is_open or who in row.may or (row.is_the_same_to_all and who not in SOME):
                continue
            response = _ask(faces, name, caller)
            said = response.get_data(as_text=True)
            is_right = response.status_code == row.refusal(who)
            if who in row.own:
                is_right = response.status_code in (200, 204)
            leaks = [mark for mark in MARKS if mark in said]
            if not is_right or leaks:
                wrong.append(f"{name} by {who}: {response.status_code} {leaks} {said[:200]}")
    assert not wrong, "\n".join(wrong)
    assert faces.state() == before


def test_whoever_may_is_let_in(faces: Faces) -> None:
    wrong = []
    for name, row in ROWS.items():
        everybody = SOME if row.is_open else row.may
        for who in sorted(everybody):
            response = _ask(faces, name, faces.callers[who])
            takes_away = "DELETE" in name or name.endswith(" reset")
            is_gone = takes_away and who != min(everybody)
            refused = {401, 403, 405, 422, 500, 503} | (set() if is_gone else {404})
            if name.endswith("<path:file>"):
                refused -= {404}
            if response.status_code in refused:
                said = response.get_data(as_text=True)
                wrong.append(f"{name} by {who}: {response.status_code} {said[-300:]}")
    assert not wrong, "\n".join(wrong)


# -- forms, and words of others -------------------------------------------------------------------


def test_a_form_of_another_session_or_site_does_nothing(faces: Faces) -> None:
    proctor, other = faces.callers["proctor"], faces.callers["instructor"]
    wrong, before = [], faces.state()
    for name, row in ROWS.items():
        if "POST /proctoring/console/" not in name or row.form is None:
            continue
        right = faces.form(proctor, **row.form)
        path = faces.path(name.split(" ")[1], **row.parts)
        evil, here = {"Origin": "https://evil.example"}, {"Origin": HOST}
        for form, headers in (
            ({key: value for key, value in right.items() if key != "csrf"}, here),
            (right | {"csrf": ""}, here),
            (right | {"csrf": faces.form(other)["csrf"]}, here),
            (right, evil),
            (right, {"Origin": "null"}),
            (right, {"Origin": "", "Sec-Fetch-Site": "cross-site"}),
        ):
            caller = Caller(headers=headers, cookies=proctor.cookies, console=proctor.console)
            response = faces.ask(caller, "POST", path, data=form)
            if response.status_code != 403:
                wrong.append(f"{path} from {headers}: {response.status_code}")
    assert not wrong, "\n".join(wrong)
    assert faces.state() == before
    assert faces.ask(proctor, "GET", "/proctoring/console/").status_code == 200


def test_what_others_have_written_is_text_on_every_page(faces: Faces) -> None:
    """By whoever can write something: the LMS, the learner, providers, proctors."""
    markup = "</title></textarea><i id=evil>"
    by = By(actor=Actor.PROCTOR, who=f"account {markup}", reason=markup)
    ours = faces.ours
    with faces.store.write() as session:
        terms = Terms(rules={markup: markup}, provider="watch")
        session.exams.change(ours.exam_id, exam_name=markup, terms=terms)
        for learner in ("17", JANE):
            session.learners.tell("edx", learner, full_name=markup, email=markup)
        attempts.act(session, ours.id, Action.READY, by)
        reporting.report(session, incident(ours, markup, session.now))
        comment = Comment(comment=markup, status=markup)
        failed = Review(action=Action.FAIL, actor=Actor.PROCTOR, reviewed_by=markup)
        attempts.judge(session, ours.id, replace(failed, comments=(comment,)), by)
    proctor, link = faces.callers["proctor"], faces.parts["token"]
    seen = 0
    for path in (
        "/proctoring/console/",
        f"/proctoring/console/exams/{ours.exam_id}?learner={quote(markup)}",
        f"/proctoring/console/attempts/{ours.id}",
        f"/proctoring/console/attempts/{ours.id}/{quote(markup, safe='')}",
        f"/proctoring/attempt/{link}",
        f"/proctoring/attempt/{quote(markup, safe='')}",
    ):
        response = faces.ask(proctor, "GET", path)
        text = response.get_data(as_text=True)
        assert "<i id=evil>" not in text, path
        assert response.headers["Content-Security-Policy"].startswith("default-src 'none'"), path
        assert "unsafe" not in response.headers["Content-Security-Policy"], path
        seen += "&lt;i id=evil&gt;" in text
    assert seen == 4


def incident(attempt: Attempt, text: str, now: datetime) -> NewIncident:
    return NewIncident(
        attempt_id=attempt.id,
        incident_id=text,
        source=Source.PROCTOR,
        kind=text,
        severity=0.5,
        happened_at=now,
        detail=text,
        reported_by=text,
    )
