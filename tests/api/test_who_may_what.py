"""Every route of the API, asked by everybody. A route without a row here fails the tests."""

from __future__ import annotations

import base64
import re
import shutil
from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from proctoring_hooks.attempt import Attempt
from proctoring_hooks.exam import ExamType
from proctoring_hooks.grades import GradeState, Standing
from tests.admin.hosts import announcement
from tests.api.callers import (
    BUNDLE,
    OTHER,
    ApiClient,
    Site,
    digest_of,
    manifest,
    publication,
)
from tests.proctoring.conftest import EXAM, LMS
from tests.proctoring.sitting import started
from tests.server.builders import COURSE, QUEUE, callback_url
from xqueue_server.instant import to_datetime
from xqueue_server.models.account import ALL_QUEUES, QUEUE_ROLES, Role
from xqueue_server.storage import accounts, course_grants, deadlines, tokens
from xqueue_server.storage.course_grants import CourseGrant
from xqueue_server.submissions.leasing import FailureKind
from xqueue_server.web.admin import session as admin_session
from xqueue_server.web.api.route import Route
from xqueue_server.web.api.routes import ROUTES
from xqueue_server.workload import workforce

LEARNER = 860451
MARKS = (str(LEARNER), "host-of-one", "fault-of-one", "note-of-one", "chief")
"""Words that nobody reads who may not see the queue they belong to."""


# -- who ------------------------------------------------------------------------------------------

ON_QUEUE = ("viewer", "author", "operator", "admin", "grader", "lms")
"""With a token for one role on the queue that everything is on."""
OF_COURSE = ("course viewer", "course operator", "course proctor")
ELSEWHERE = ("stranger", "narrow token")
"""All roles on another queue; a token for one role there, of an account that may everything."""
CALLERS = frozenset({*ON_QUEUE, *OF_COURSE, *ELSEWHERE, "chief"})
SEES = frozenset({"viewer", "operator", "admin", "chief"})
SEES_TOO = SEES | {"course viewer", "course operator"}
REPAIRS = SEES - {"viewer"}
REPAIRS_TOO = REPAIRS | {"course operator"}
READS = SEES | {"author"}
ADMINISTERS = frozenset({"admin", "chief"})
CHIEF = frozenset({"chief"})
SEES_EXAMS = CHIEF | set(OF_COURSE)
"""Exams belong to courses: of grants on queues only those on all of them count."""
JUDGES = SEES_EXAMS - {"course viewer"}
SETS_EXAMS = JUDGES - {"course proctor"}
KNOWS = frozenset({*ON_QUEUE, "chief"})
"""With some role on the queue: they are told that another one is needed."""


def people(site: Site) -> dict[str, ApiClient]:
    roles = {role.value: role for role in Role}
    found = {name: site.token(f"{name}-1", roles[name]) for name in ON_QUEUE}
    for name, role in zip(OF_COURSE, (Role.VIEWER, Role.OPERATOR, Role.PROCTOR), strict=True):
        account = site.account(name.replace(" ", "-"))
        with site.storage.write() as tx:
            given = CourseGrant(role=role, course=COURSE)
            course_grants.grant(tx, account.name, given, actor="test")
        found[name] = site.password(account)
    found["stranger"] = site.token("stranger", *QUEUE_ROLES, queue=OTHER)
    site.account("mighty", *QUEUE_ROLES, queue=ALL_QUEUES)
    found["narrow token"] = site.token_of("mighty", Role.VIEWER, queue=OTHER)
    found["chief"] = site.password(site.account("chief", Role.ADMIN, queue=ALL_QUEUES))
    return found


def unknown_people(site: Site) -> dict[str, ApiClient]:
    """Whoever is nobody here, each once was or pretends to be somebody who may everything."""
    site.account("over", *QUEUE_ROLES, queue=ALL_QUEUES)
    expired = site.token_of("over", *QUEUE_ROLES, queue=ALL_QUEUES, days=-1)
    revoked = site.token_of("over", *QUEUE_ROLES, queue=ALL_QUEUES)
    disabled = site.token("disabled", *QUEUE_ROLES, queue=ALL_QUEUES)
    over = site.account("past", *QUEUE_ROLES, queue=ALL_QUEUES)
    with site.storage.write() as tx:
        tokens.revoke(tx, max(t.id for t in tokens.all_tokens(tx) if t.account == "over"),
                      actor="test")  # fmt: skip
        accounts.set_active(tx, "disabled", False, actor="test")
    cookie = admin_session.begin(site.storage, over)
    pretended = base64.b64encode(b"over:").decode()
    return {
        "nobody": site.nobody,
        "expired token": expired,
        "revoked token": revoked,
        "token of a disabled account": disabled,
        "session of the admin pages": _with({"Cookie": f"xqueue_admin={cookie}"}, site),
        "session of the admin pages as the wire's": _with({"Cookie": f"sessionid={cookie}"}, site),
        "no password": _with({"Authorization": f"Basic {pretended}"}, site),
        "a trusted proxy's word": _with({"X-Remote-User": "chief", "X-Forwarded-User": "chief"},
                                        site),
    }  # fmt: skip


def _with(headers: dict[str, str], site: Site) -> ApiClient:
    return ApiClient(server=site.server, headers=headers)


# -- what -----------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    may: frozenset[str]
    """Whoever is let in. What they are answered beyond that is another test's matter."""
    told: frozenset[str] = frozenset()
    """403; everybody else: 404, as for what does not exist."""
    empty: frozenset[str] = frozenset()
    """200, with nothing of it in the list."""
    body: Any = None


def seen_by(may: frozenset[str], **more: Any) -> Row:
    """A list: those who may see nothing get an empty one."""
    return Row(may=may, empty=CALLERS - may, **more)


def thing(may: frozenset[str], told: frozenset[str] = frozenset(), **more: Any) -> Row:
    return Row(may=may, told=told - may, **more)


def everywhere(may: frozenset[str] = CHIEF, **more: Any) -> Row:
    return Row(may=may, told=CALLERS - may, **more)


BULK = {"action": "release", "selection": {"queue": QUEUE}}
GRANTS = {"grants": [{"role": "viewer", "queue": OTHER}]}
AUTHOR, GRADER = frozenset({"author"}), frozenset({"grader"})
CHOOSES = AUTHOR | REPAIRS
ROWS: Mapping[str, Row] = {
    "GET /submissions": seen_by(SEES_TOO),
    "GET /submissions/<int:submission_id>": thing(SEES_TOO),
    "GET /submissions/<int:submission_id>/results": thing(SEES_TOO),
    "GET /submissions/<int:submission_id>/timeline": thing(SEES_TOO),
    "GET /submissions/<int:submission_id>/content": thing(REPAIRS_TOO, SEES_TOO),
    "POST /submissions/<int:submission_id>/release": thing(REPAIRS_TOO, SEES_TOO, body={}),
    "POST /submissions/<int:submission_id>/give-up": thing(REPAIRS_TOO, SEES_TOO, body={}),
    "POST /submissions/<int:submission_id>/regrade": thing(
        REPAIRS_TOO, SEES_TOO, body={"reason": "x"}
    ),
    "POST /submissions/<int:submission_id>/prioritise": thing(
        REPAIRS_TOO, SEES_TOO, body={"priority": 3}
    ),
    # A stranger repairs on another queue: of this one he is told that nothing matches.
    "POST /submissions/bulk/preview": everywhere(REPAIRS_TOO | {"stranger"}, body=BULK),
    "POST /submissions/bulk": everywhere(
        REPAIRS_TOO | {"stranger"}, body=BULK | {"confirmed_count": 0}
    ),
    "GET /regrades": everywhere(),
    "GET /regrades/<int:batch_id>": everywhere(),
    "GET /queues": seen_by(SEES),
    "POST /queues": everywhere(body={"name": "new"}),
    "GET /queues/<name>": thing(SEES, KNOWS),
    "PATCH /queues/<name>": thing(ADMINISTERS, KNOWS, body={"lease_s": 60}),
    "PATCH /queues/<name>/policy": thing(ADMINISTERS, KNOWS, body={"max_pids": 99}),
    "PUT /queues/<name>/weights": thing(ADMINISTERS, KNOWS, body={"course": "c", "weight": 2}),
    "POST /queues/<name>/pause": thing(REPAIRS, KNOWS, body={"reason": "x"}),
    "POST /queues/<name>/resume": thing(REPAIRS, KNOWS, body={}),
    "GET /leases": seen_by(SEES_TOO),
    "GET /callbacks": seen_by(SEES_TOO),
    "GET /callbacks/<int:callback_id>": thing(SEES_TOO),
    "POST /callbacks/replay": everywhere(body={"origin": "https://lms.example.org"}),
    "POST /callbacks/<int:callback_id>/replay": thing(REPAIRS_TOO, SEES_TOO, body={}),
    "GET /origins": everywhere(),
    "GET /workers": seen_by(SEES),
    "PUT /workers/<host>": everywhere(GRADER, body="announcement"),
    "PUT /workers/<host>/wishes": thing(REPAIRS, KNOWS, body={"queue": QUEUE, "count": 2}),
    "DELETE /workers/<host>/wishes/<queue>": thing(REPAIRS, KNOWS),
    "GET /scaling": seen_by(SEES),
    "GET /load": thing(SEES, KNOWS),
    "GET /deadlines": seen_by(SEES),
    "POST /deadlines": thing(
        REPAIRS, KNOWS, body={"queue": QUEUE, "at": "2030-01-01T00:00:00Z", "submissions": 9}
    ),
    "GET /accounts": everywhere(),
    "POST /accounts": everywhere(body={"name": "new"}),
    "GET /accounts/<name>": everywhere(),
    "PATCH /accounts/<name>": everywhere(body={"active": True}),
    "POST /accounts/<name>/grant": everywhere(body=GRANTS),
    "POST /accounts/<name>/revoke": everywhere(body=GRANTS),
    "GET /tokens": seen_by(CHIEF),
    # A token makes none; whoever has a password makes one of his own, for what he may himself.
    "POST /tokens": everywhere(
        frozenset({"chief", *OF_COURSE}), body={"scopes": [{"role": "lms", "queue": QUEUE}]}
    ),
    "GET /events": everywhere(),
    "PUT /bundles/<sha256>": everywhere(frozenset({"author", "stranger"}), body="bundle"),
    "GET /bundles/<sha256>": thing(frozenset({"author", "grader"})),
    "GET /graders": seen_by(READS),
    "POST /graders": thing(AUTHOR, KNOWS, body=publication()),
    "GET /graders/<queue>/<name>": thing(READS, KNOWS),
    "POST /graders/<queue>/<name>/activate": thing(CHOOSES, KNOWS, body={"version": 1}),
    "POST /graders/<queue>/<name>/default": thing(CHOOSES, KNOWS, body={}),
    "GET /graders/<queue>/<name>/tests": thing(READS, KNOWS),
    "GET /assignments": seen_by(GRADER),
    "GET /assignments/<queue>/<name>/<int:version>": thing(GRADER, KNOWS),
    "PUT /readiness": thing(
        GRADER,
        KNOWS,
        body={
            "host": "h",
            "items": [{"queue": QUEUE, "name": "square", "version": 1, "ready": True}],
        },
    ),
    "GET /faults": seen_by(READS),
    "GET /faults/<int:fault_id>": thing(READS),
    "POST /faults/<int:fault_id>/release": thing(REPAIRS, READS, body={"confirmed_count": 0}),
    "POST /trials": thing(
        AUTHOR,
        KNOWS,
        body={
            "queue": QUEUE,
            "digest": f"sha256:{digest_of(BUNDLE)}",
            "manifest": manifest(),
            "response": "x",
        },
    ),
    "GET /trials/<int:trial_id>": thing(AUTHOR),
    "GET /trials/<int:trial_id>/assignment": thing(GRADER),
    "GET /exams": seen_by(SEES_EXAMS),
    "GET /exams/<int:exam_id>": thing(SEES_EXAMS),
    "PATCH /exams/<int:exam_id>": thing(SETS_EXAMS, SEES_EXAMS, body={"grace_s": 6}),
    "POST /exams/<int:exam_id>/claims": thing(
        SETS_EXAMS, SEES_EXAMS, body={"kind": "problem", "value": "p1"}
    ),
    "POST /exams/<int:exam_id>/claims/remove": thing(
        SETS_EXAMS, SEES_EXAMS, body={"kind": "problem", "value": "p2"}
    ),
    "PUT /exams/<int:exam_id>/allowances/<user_id>": thing(
        JUDGES, SEES_EXAMS, body={"kind": "time_multiplier", "value": 1.5}
    ),
    "GET /exams/<int:exam_id>/marks": thing(SEES_EXAMS),
    "POST /exams/<int:exam_id>/accept-flagged": thing(JUDGES, SEES_EXAMS, body={"reason": "x"}),
    "GET /attempts": seen_by(SEES_EXAMS),
    "GET /attempts/<int:attempt_id>": thing(SEES_EXAMS),
    "GET /attempts/<int:attempt_id>/timeline": thing(SEES_EXAMS),
    "POST /attempts/<int:attempt_id>/extend": thing(
        JUDGES, SEES_EXAMS, body={"minutes": 1, "reason": "x"}
    ),
    "POST /attempts/<int:attempt_id>/ready": thing(JUDGES, SEES_EXAMS, body={"reason": "x"}),
    "POST /attempts/<int:attempt_id>/incidents": thing(
        JUDGES, SEES_EXAMS, body={"incident_id": "i1", "kind": "phone", "severity": 0.1}
    ),
    "POST /attempts/<int:attempt_id>/resume": thing(JUDGES, SEES_EXAMS, body={"reason": "x"}),
    "POST /attempts/<int:attempt_id>/terminate": thing(JUDGES, SEES_EXAMS, body={"reason": "x"}),
    # A person judges: whoever signs in with a token is told so before he is told anything else.
    "POST /attempts/<int:attempt_id>/review": Row(
        may=JUDGES,
        told=frozenset({*ON_QUEUE, *ELSEWHERE, "course viewer"}),
        body={"verdict": "pass"},
    ),
    "POST /attempts/<int:attempt_id>/mark": Row(
        may=JUDGES,
        told=frozenset({*ON_QUEUE, *ELSEWHERE, "course viewer"}),
        body={"factor": 1, "reason": "x"},
    ),
    "POST /attempts/<int:attempt_id>/accept": thing(JUDGES, SEES_EXAMS, body={"reason": "x"}),
    "POST /submissions/<int:submission_id>/accept": thing(JUDGES, SEES_EXAMS, body={"reason": "x"}),
    # Accepted above: who may is told that there is nothing to decide.
    "POST /submissions/<int:submission_id>/refuse": thing(JUDGES, SEES_EXAMS, body={"reason": "x"}),
    "POST /time": everywhere(CALLERS, body={"t1": 1.5}),
    # At the end: what takes away.
    "POST /attempts/<int:attempt_id>/reset": thing(SETS_EXAMS, SEES_EXAMS, body={"reason": "x"}),
    "DELETE /exams/<int:exam_id>/allowances/<user_id>": thing(JUDGES, SEES_EXAMS),
    "DELETE /deadlines/<int:deadline_id>": thing(REPAIRS, SEES),
    "DELETE /workers/<host>": thing(GRADER | CHIEF),
    "DELETE /queues/<name>": thing(CHIEF, KNOWS),
    "DELETE /tokens/<int:token_id>": thing(CHIEF),
    "DELETE /accounts/<name>": everywhere(),
}


def named(route: Route) -> str:
    return f"{route.method} {route.path}"


BY_NAME = {named(route): route for route in ROUTES}


def test_every_route_has_a_row() -> None:
    assert set(ROWS) == set(BY_NAME)


# -- where ----------------------------------------------------------------------------------------


@pytest.fixture
def database_url(tmp_path: Path, migrated_sqlite: Path) -> str:
    """Who may what is decided before, and in, statements that are tested on both databases."""
    path = tmp_path / "xqueue.db"
    shutil.copyfile(migrated_sqlite, path)
    return f"sqlite:///{path}"


@pytest.fixture
def site(site: Site) -> Site:
    site.server.services.failed_tokens._max_failures = 10_000  # many are wrong here, on purpose
    return site


@dataclass(frozen=True, slots=True, kw_only=True)
class Things:
    """One of each, all on the one queue and of the one course."""

    site: Site
    callers: Mapping[str, ApiClient]
    parts: Mapping[str, str]

    def ask(self, route: Route, caller: ApiClient, **changed: str) -> Any:
        row, parts = ROWS[named(route)], {**self.parts, **changed}
        if route.path.startswith("/queues") or "/wishes/" in route.path:
            parts |= {"name": QUEUE, "queue": QUEUE}
        elif route.path.startswith("/accounts"):
            parts |= {"name": "victim"}
        path = re.sub(r"<(?:int:)?(\w+)>", lambda found: parts[found[1]], route.path)
        query = {"queue": QUEUE} if route.path == "/load" else {}
        return caller.call(route.method, path, query_string=query, **_sent(row.body))


def _sent(body: Any) -> dict[str, Any]:
    if body is None:
        return {}
    if body == "bundle":
        return {"data": BUNDLE}
    if body == "announcement":
        worker = {
            "name": "w", "pid": 2, "queue": QUEUE, "state": "idle", "submission_id": None,
            "since_s": 1,
        }  # fmt: skip
        said = {
            "pid": 1, "version": "1", "backend": "b", "canary": None, "cpus": 1,
            "autoscale": None, "started_at": "2026-01-01T00:00:00Z", "workers": [worker],
        }  # fmt: skip
        return {"json": said}
    return {"json": body}


@pytest.fixture
def things(site: Site) -> Things:
    callers, desk = people(site), site.desk
    callers["author"].publish()
    trial = callers["author"].call("POST", "/trials", **_sent(ROWS["POST /trials"].body))
    urls = [callback_url(letter * 32, user=LEARNER) for letter in "abcd"]
    graded = desk.submit(urls[0])
    desk.put(desk.lease())
    desk.submit(urls[1])
    desk.fail(desk.lease(), FailureKind.GRADER, "fault-of-one")
    desk.submit(urls[2])
    desk.lease()
    chief = callers["chief"]
    chief.call("POST", f"/submissions/{graded}/regrade", json={"reason": "note-of-one"})
    with site.storage.write() as tx:
        grader = accounts.get(tx, "grader-1")
        accounts.add(tx, name="victim", password_hash="-", grants=(), actor="test")
        deadline = deadlines.add(
            tx,
            queue=QUEUE,
            at=to_datetime(site.storage.now_us()) + timedelta(hours=1),
            opens_at=None,
            submissions=7,
            course="",
            note="note-of-one",
            actor="test",
        )
    workforce.announce(site.storage, grader, announcement("host-of-one"))
    sat = sitting(site, graded)
    ids = chief.get("/callbacks")["callbacks"], chief.get("/faults")["faults"]
    chief.call("POST", "/tokens", json={"scopes": [{"role": "admin", "queue": "*"}]})
    own = next(t for t in chief.get("/tokens")["tokens"] if t["account"] == "chief")
    parts = {
        "submission_id": str(graded),
        "exam_id": str(sat.exam_id),
        "attempt_id": str(sat.id),
        "user_id": str(LEARNER),
        "callback_id": str(ids[0][0]["id"]),
        "fault_id": str(ids[1][0]["id"]),
        "batch_id": "1",
        "trial_id": str(trial.get_json()["id"]),
        "deadline_id": str(deadline),
        "token_id": str(own["id"]),
        "host": "host-of-one",
        "queue": QUEUE,
        "name": "square",
        "version": "1",
        "sha256": digest_of(BUNDLE),
    }
    return Things(site=site, callers=callers, parts=parts)


def sitting(site: Site, submission_id: int) -> Attempt:
    """An attempt in progress at an exam of the one course, which has the submission."""
    store = site.server.services.proctoring
    with store.write() as session:
        session.lmses.add(LMS)
        exam = session.exams.add(replace(EXAM, course_id=COURSE, exam_type=ExamType.TIMED))
    attempt = started(store, exam, str(LEARNER))
    with store.write() as session:
        session.grades.add(
            submission_id, exam.id, attempt.id, Standing.LATE, GradeState.FLAGGED, factor=1.0
        )
    return attempt


# -- the questions --------------------------------------------------------------------------------


def test_everybody_is_answered_as_the_table_says(things: Things) -> None:
    wrong = []
    for name, row in ROWS.items():
        route = BY_NAME[name]
        for who in sorted(CALLERS - row.may):
            response = things.ask(route, things.callers[who])
            # Without its own id, whose random digits may be those of a mark.
            said = response.get_data(as_text=True).replace(response.headers["X-Request-ID"], "")
            expected = 403 if who in row.told else 200 if who in row.empty else 404
            asked_for = things.parts["host"] if "<host>" in route.path else None
            leaks = [mark for mark in MARKS if mark in said and mark != asked_for]
            if response.status_code != expected or leaks:
                wrong.append(f"{name} by {who}: {response.status_code} {leaks} {said[:120]}")
            is_own = name == "GET /tokens"  # which name the queues that they are for
            if who in row.empty and not is_own and f'"{QUEUE}"' in said:
                wrong.append(f"{name} by {who}: {said[:200]}")
    assert not wrong, "\n".join(wrong)


def test_whoever_may_is_let_in(things: Things) -> None:
    wrong = []
    for name, row in ROWS.items():
        for who in sorted(row.may):
            response = things.ask(BY_NAME[name], things.callers[who])
            takes_away = name.startswith("DELETE") or name.endswith("/reset")
            is_gone = takes_away and who != min(row.may)
            refused = {401, 403, 405, 500, 503} | (set() if is_gone else {404})
            if response.status_code in refused:
                wrong.append(f"{name} by {who}: {response.get_data(as_text=True)[:200]}")
    assert not wrong, "\n".join(wrong)


def test_nobody_gets_nothing(things: Things) -> None:
    wrong = []
    for who, caller in unknown_people(things.site).items():
        for name, route in BY_NAME.items():
            response = things.ask(route, caller)
            if response.status_code != 401:
                wrong.append(f"{name} by {who}: {response.status_code}")
    assert not wrong, "\n".join(wrong)


def test_strangers_can_not_tell_what_is_anothers_from_what_is_not_there(things: Things) -> None:
    """By the words of the answer, which name only what was asked for."""
    wrong = []
    for name, row in ROWS.items():
        route = BY_NAME[name]
        ids = [part for part in re.findall(r"<int:(\w+)>", route.path) if part != "version"]
        if not ids or "stranger" in row.may | row.told:
            continue
        there = things.ask(route, things.callers["stranger"]).get_json()
        absent = things.ask(route, things.callers["stranger"], **{ids[0]: "999999"}).get_json()
        same = there["detail"].replace(things.parts[ids[0]], "N")
        if same != absent["detail"].replace("999999", "N"):
            wrong.append(f"{name}: {there['detail']} / {absent['detail']}")
    assert not wrong, "\n".join(wrong)


def test_what_is_done_to_a_selection_reaches_only_ones_own(things: Things) -> None:
    """Held, and in the selection; but of a queue that the stranger has nothing to do with."""
    asked = {"action": "release", "selection": {"state": "held"}}
    for who, count in (("stranger", 0), ("operator", 1), ("course operator", 1)):
        preview = things.callers[who].call("POST", "/submissions/bulk/preview", json=asked)
        assert (who, preview.get_json()["count"]) == (who, count)
    done = things.callers["stranger"].call(
        "POST", "/submissions/bulk", json=asked | {"confirmed_count": 5}
    )
    assert done.get_json()["count"] == 0
