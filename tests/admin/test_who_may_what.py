"""Every address of the admin pages, asked by everybody. One without a row here fails the tests."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import timedelta

import pytest
from werkzeug.test import TestResponse

from tests.admin.hosts import announcement
from tests.admin.visitor import ORIGIN, Visitor
from tests.api.callers import OTHER, Site
from tests.server.builders import COURSE, QUEUE, add_account, add_queue, callback_url
from tests.server.web_client import Server
from xqueue_server.instant import to_datetime
from xqueue_server.models.account import ALL_QUEUES, QUEUE_ROLES, Account, Grant, Role
from xqueue_server.storage import accounts, course_grants, deadlines, workers
from xqueue_server.storage.course_grants import CourseGrant
from xqueue_server.submissions.leasing import FailureKind
from xqueue_server.web.admin import session
from xqueue_server.web.admin.route import Route
from xqueue_server.web.admin.routes import ROUTES
from xqueue_server.web.admin.security import csrf_token
from xqueue_server.workload import workforce

LEARNER = 860451_860451_860451
MARKS = (str(LEARNER), "host-of-one", "fault-of-one", "note-of-one", "chief")
"""Words that nobody reads who may not see the queue they belong to. The number is long: a token's
digits may have a short one among them."""

# -- who ------------------------------------------------------------------------------------------

ON_QUEUE = ("viewer", "author", "operator", "admin", "grader", "lms")
OF_COURSE = ("course viewer", "course operator")
CALLERS = frozenset({*ON_QUEUE, *OF_COURSE, "stranger", "chief"})
"""The stranger has every role, on another queue; the chief is admin everywhere."""
SEES = frozenset({"viewer", "operator", "admin", "chief"})
SEES_TOO = SEES | set(OF_COURSE)
REPAIRS = SEES - {"viewer"}
REPAIRS_TOO = REPAIRS | {"course operator"}
READS = SEES | {"author"}
PUBLISHES = REPAIRS | {"author"}
ADMINISTERS = frozenset({"admin", "chief"})
CHIEF = frozenset({"chief"})


# -- what -----------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    may: frozenset[str]
    empty: frozenset[str] = frozenset()
    """200, with nothing of it on the page. Everybody else is refused: 403, or 404."""
    fields: Mapping[str, str] | None = None


def page(may: frozenset[str], *empty: str) -> Row:
    return Row(may=may, empty=frozenset(empty))


def act(may: frozenset[str], **fields: str) -> Row:
    return Row(may=may, fields=fields)


GRANT = {"role": "viewer", "queue": QUEUE}
ROWS: Mapping[str, Row] = {
    "GET /": page(READS | set(OF_COURSE), "stranger"),
    "GET /submissions": page(SEES_TOO, "stranger"),
    "GET /submissions/<int:submission_id>": page(SEES_TOO),
    "GET /submissions/<int:submission_id>/reply/<int:result_id>": page(SEES_TOO),
    "POST /submissions/<int:submission_id>/release": act(REPAIRS_TOO),
    "POST /submissions/<int:submission_id>/give-up": act(REPAIRS_TOO, sure="yes"),
    "POST /submissions/<int:submission_id>/regrade": act(REPAIRS_TOO, reason="x"),
    "POST /submissions/<int:submission_id>/cancel-regrade": act(REPAIRS_TOO),
    "POST /submissions/<int:submission_id>/priority": act(REPAIRS_TOO, priority="3"),
    "POST /submissions/<int:submission_id>/code": act(REPAIRS_TOO),
    "GET /bulk/<act>": page(REPAIRS_TOO, "stranger"),
    "POST /bulk/<act>": Row(
        may=REPAIRS_TOO, empty=frozenset({"stranger"}), fields={"queue": QUEUE, "confirmed": "9"}
    ),
    "GET /callbacks": page(SEES_TOO, "stranger"),
    "GET /callbacks/<int:callback_id>": page(SEES_TOO),
    "POST /callbacks/<int:callback_id>/replay": act(REPAIRS_TOO),
    "GET /faults": page(READS, "stranger", *OF_COURSE),
    "GET /faults/<int:fault_id>": page(READS),
    "GET /faults/<int:fault_id>/release": page(REPAIRS),
    "POST /faults/<int:fault_id>/release": act(REPAIRS, confirmed="9", anyway="yes"),
    "GET /queues": page(READS, "stranger", *OF_COURSE),
    "POST /queues": act(CHIEF, name="new"),
    "GET /queues/<name>": page(READS),
    "POST /queues/<name>/pause": act(REPAIRS, reason="x"),
    "POST /queues/<name>/resume": act(REPAIRS),
    "POST /queues/<name>/weight": act(ADMINISTERS, course="c", weight="2"),
    "POST /queues/<name>/terms": act(
        ADMINISTERS, lease_s="600", max_attempts="3", give_up_after_s="9", priority="0",
        max_platform_failures="9",
    ),
    "POST /queues/<name>/limits": act(ADMINISTERS, max_pids="99"),
    "POST /queues/<name>/isolation": act(ADMINISTERS, isolation="box"),
    "POST /queues/<name>/legacy": act(ADMINISTERS, allow="no"),
    "POST /queues/<name>/notify": act(ADMINISTERS, webhook="https://chat.example.org/x"),
    "GET /queues/<queue>/graders/<name>": page(READS),
    "POST /queues/<queue>/graders/<name>/activate": act(PUBLISHES, version="1"),
    "POST /queues/<queue>/graders/<name>/default": act(PUBLISHES),
    "GET /regrades": page(REPAIRS_TOO, "stranger"),
    # Of others only by those who repair everything.
    "GET /regrades/<int:batch_id>": page(CHIEF),
    "GET /regrades/<int:batch_id>/override.csv": page(CHIEF),
    "GET /workers": page(SEES, "stranger", *OF_COURSE),
    "POST /workers/<host>/scale": act(REPAIRS, queue=QUEUE, count="2"),
    "POST /workers/<host>/drain": act(REPAIRS),
    "GET /deadlines": page(SEES, "stranger", *OF_COURSE),
    "POST /deadlines": act(REPAIRS, queue=QUEUE, at="2030-01-01T00:00", submissions="9"),
    "GET /accounts": page(CHIEF),
    "POST /accounts": act(CHIEF, name="new"),
    "GET /accounts/<name>": page(CHIEF),
    "POST /accounts/<name>/password": act(CHIEF, password="x" * 20),
    "POST /accounts/<name>/email": act(CHIEF, email="v@example.org"),
    "POST /accounts/<name>/active": act(CHIEF, active="yes"),
    "POST /accounts/<name>/grant": act(CHIEF, **GRANT),
    "POST /accounts/<name>/tokens": act(CHIEF, days="9", **GRANT),
    "POST /accounts/<name>/revoke": act(CHIEF, **GRANT),
    "GET /tokens": page(CHIEF),
    "POST /tokens/<int:token_id>/revoke": act(CHIEF),
    # Of one's own acts everybody; the whole log for whoever administers everything.
    "GET /events": page(CHIEF, *READS - CHIEF, *OF_COURSE, "stranger"),
    # At the end: what takes away.
    "POST /deadlines/<int:deadline_id>/remove": act(REPAIRS),
    "POST /workers/<host>/forget": act(CHIEF),
    "POST /accounts/<name>/remove": act(CHIEF, sure="victim"),
    "POST /queues/<name>/remove": act(CHIEF, sure=QUEUE),
}  # fmt: skip


def named(route: Route) -> str:
    return f"{route.method} {route.path}"


BY_NAME = {named(route): route for route in ROUTES}


def test_every_address_has_a_row() -> None:
    assert set(ROWS) == set(BY_NAME)


# -- where ----------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True, kw_only=True)
class Things:
    """One of each, all on the one queue and of the one course; and whoever looks at them."""

    server: Server
    secrets: Mapping[str, str]
    parts: Mapping[str, str]

    def ask(
        self, route: Route, who: str, *, csrf: str | None = None, origin: str | None = ORIGIN
    ) -> TestResponse:
        visitor = Visitor(self.server.app)
        if who in self.secrets:
            visitor.carry(self.secrets[who])
        path = re.sub(r"<(?:int:)?(\w+)>", lambda part: self._part(route, part[1]), route.path)
        if route.method == "GET":
            query = {"queue": QUEUE} if route.path.startswith("/bulk") else {}
            return visitor.raw("GET", f"/admin{path}", query_string=query)
        fields = dict(ROWS[named(route)].fields or {})
        fields["csrf"] = self.csrf(who) if csrf is None else csrf
        headers = {} if origin is None else {"Origin": origin}
        return visitor.raw("POST", f"/admin{path}", data=fields, headers=headers)

    def csrf(self, who: str) -> str:
        return csrf_token(self.server.services.settings.secret_key, self.secrets.get(who, ""))

    def _part(self, route: Route, name: str) -> str:
        if route.path.startswith("/accounts"):
            return "victim"
        if route.path.startswith("/queues/<name>"):
            return QUEUE
        return self.parts[name]


@pytest.fixture
def things(server: Server) -> Things:
    desk = server.desk
    add_queue(desk.storage, OTHER)
    site = Site(server)
    found: dict[str, Account] = {name: site.account(f"{name}-1", Role(name)) for name in ON_QUEUE}
    for name, role in (("course viewer", Role.VIEWER), ("course operator", Role.OPERATOR)):
        found[name] = site.account(name.replace(" ", "-"))
        with site.storage.write() as tx:
            given = CourseGrant(role=role, course=COURSE)
            course_grants.grant(tx, found[name].name, given, actor="test")
    found["stranger"] = site.account("stranger", *QUEUE_ROLES, queue=OTHER)
    found["chief"] = site.account("chief", Role.ADMIN, queue=ALL_QUEUES)
    chief = site.password(found["chief"])

    site.author.publish()
    graded = desk.submit(callback_url("a" * 32, user=LEARNER))
    desk.put(desk.lease())
    desk.submit(callback_url("b" * 32, user=LEARNER))
    desk.fail(desk.lease(), FailureKind.GRADER, "fault-of-one")
    chief.call("POST", f"/submissions/{graded}/regrade", json={"reason": "note-of-one"})
    with site.storage.write() as tx:
        accounts.add(tx, name="victim", password_hash="-", grants=(), actor="test")
        at = to_datetime(site.storage.now_us()) + timedelta(hours=1)
        deadline = deadlines.add(
            tx, queue=QUEUE, at=at, opens_at=None, submissions=7, course="", note="note-of-one",
            actor="account chief",
        )  # fmt: skip
    workforce.announce(site.storage, found["grader"], announcement("host-of-one"))
    parts = {
        "submission_id": str(graded),
        "result_id": str(desk.results_of(graded)[0].id),
        "callback_id": str(chief.get("/callbacks")["callbacks"][0]["id"]),
        "fault_id": str(chief.get("/faults")["faults"][0]["id"]),
        "batch_id": "1",
        "deadline_id": str(deadline),
        "token_id": "1",
        "host": "host-of-one",
        "queue": QUEUE,
        "name": "square",
        "act": "release",
    }
    secrets = {name: session.begin(site.storage, account) for name, account in found.items()}
    return Things(server=server, secrets=secrets, parts=parts)


# -- the questions --------------------------------------------------------------------------------


def test_everybody_is_answered_as_the_table_says(things: Things) -> None:
    wrong = []
    for name, row in ROWS.items():
        route = BY_NAME[name]
        for who in sorted(CALLERS - row.may):
            response = things.ask(route, who)
            said = response.get_data(as_text=True)
            # Of a bulk act it is told that nothing was done.
            expected = (200, 303) if who in row.empty else (403, 404)
            asked_for = things.parts["host"] if "<host>" in route.path else None
            leaks = [mark for mark in MARKS if mark in said and mark != asked_for]
            if response.status_code not in expected or leaks:
                wrong.append(f"{name} by {who}: {response.status_code} {leaks}")
    assert not wrong, "\n".join(wrong)


def test_whoever_may_is_let_in(things: Things) -> None:
    wrong = []
    for name, row in ROWS.items():
        for who in sorted(row.may):
            response = things.ask(BY_NAME[name], who)
            is_gone = response.status_code == 404 and name.endswith(("/remove", "/forget"))
            if response.status_code not in (200, 303, 409) and not (
                is_gone and who != min(row.may)
            ):
                wrong.append(f"{name} by {who}: {response.status_code}")
    assert not wrong, "\n".join(wrong)


def test_nobody_is_sent_to_sign_in(things: Things) -> None:
    """Nor is a session that is over, or one of the XQueue protocol."""
    wrong = []
    wire = things.server.services.sessions.issue(things.server.desk.lms)
    for name, route in BY_NAME.items():
        for cookie in (None, "", "A" * 43, wire):
            visitor = Visitor(things.server.app)
            if cookie is not None:
                visitor.carry(cookie)
                visitor.client.set_cookie("sessionid", wire)
            path = re.sub(r"<(?:int:)?\w+>", "1", route.path)
            response = visitor.raw(route.method, f"/admin{path}", headers={"Origin": ORIGIN})
            to = response.headers.get("Location", "")
            if response.status_code != 303 or not to.startswith("/admin/sign-in"):
                wrong.append(f"{name} with {cookie!r}: {response.status_code} {to}")
    assert not wrong, "\n".join(wrong)


def test_nothing_is_done_for_another_page(things: Things) -> None:
    """Without the token of this very session, or from another origin."""
    wrong = []
    for name, route in BY_NAME.items():
        if route.method != "POST":
            continue
        attacks: list[dict[str, str | None]] = [
            {"csrf": ""},
            {"csrf": things.csrf("operator")},
            {"origin": "https://evil.example.org"},
            {"origin": "null"},
        ]
        for attack in attacks:
            response = things.ask(route, "chief", **attack)
            if response.status_code != 403:
                wrong.append(f"{name} {attack}: {response.status_code}")
    assert not wrong, "\n".join(wrong)


def test_every_page_is_private_and_runs_only_our_script(things: Things) -> None:
    wrong = []
    for name, route in BY_NAME.items():
        if route.method != "GET":
            continue
        for who in ("chief", "lms", "nobody"):
            headers = things.ask(route, who).headers
            policy = headers.get("Content-Security-Policy", "")
            is_strict = "default-src 'none'" in policy and "script-src 'unsafe" not in policy
            has_frames = "frame-ancestors" in policy and "X-Frame-Options" in headers
            if not is_strict or not has_frames or headers.get("Cache-Control") != "no-store":
                wrong.append(f"{name} by {who}: {dict(headers)}")
    assert not wrong, "\n".join(wrong)


# -- what goes over the border of a queue ---------------------------------------------------------


def wishes_of(server: Server, host: str) -> dict[str, int]:
    with server.desk.storage.read() as tx:
        return {wish.queue: wish.count for wish in workers.wishes_for(tx, host)}


def post(things: Things, who: str, path: str, **fields: str) -> TestResponse:
    visitor = Visitor(things.server.app)
    visitor.carry(things.secrets[who])
    given = fields | {"csrf": things.csrf(who)}
    return visitor.raw("POST", path, data=given, headers={"Origin": ORIGIN})


def test_a_host_that_serves_only_queues_of_others_is_not_there(things: Things) -> None:
    scaled = post(things, "stranger", "/admin/workers/host-of-one/scale", queue=OTHER, count="9")
    drained = post(things, "stranger", "/admin/workers/host-of-one/drain")
    absent = post(things, "stranger", "/admin/workers/no-such-host/drain")
    assert [r.status_code for r in (scaled, drained, absent)] == [404, 404, 404]
    assert QUEUE not in drained.get_data(as_text=True)
    assert wishes_of(things.server, "host-of-one") == {}


def test_a_host_is_drained_only_by_who_may_repair_all_that_is_wanted_of_it(things: Things) -> None:
    storage = things.server.desk.storage
    stranger = add_account(storage, "another-grader", Role.GRADER)
    workforce.announce(storage, stranger, announcement("shared", queue=OTHER))
    workforce.wish(storage, "shared", QUEUE, 5, actor="test")
    drained = post(things, "stranger", "/admin/workers/shared/drain")
    assert drained.status_code == 403
    assert QUEUE not in drained.get_data(as_text=True)
    assert wishes_of(things.server, "shared") == {QUEUE: 5}
    assert post(things, "chief", "/admin/workers/shared/drain").status_code == 303
    assert wishes_of(things.server, "shared") == {QUEUE: 0, OTHER: 0}


def test_a_regrade_is_shown_no_more_when_the_grant_was_taken_back(things: Things) -> None:
    """Its scores are those of learners; whoever asked for it may still repair elsewhere."""
    storage, visitor = things.server.desk.storage, Visitor(things.server.app)
    desk = things.server.desk
    submission_id = desk.submit(callback_url("c" * 32, user=7))
    desk.put(desk.lease())
    asked = post(things, "operator", f"/admin/submissions/{submission_id}/regrade", reason="x")
    assert asked.status_code == 303
    visitor.carry(things.secrets["operator"])
    assert visitor.raw("GET", "/admin/regrades/2/override.csv").status_code == 200
    with storage.write() as tx:
        accounts.grant(tx, "operator-1", [Grant(role=Role.OPERATOR, queue=OTHER)], actor="test")
        accounts.revoke(tx, "operator-1", [Grant(role=Role.OPERATOR, queue=QUEUE)], actor="test")
    for path in ("/admin/regrades/2", "/admin/regrades/2/override.csv"):
        assert visitor.raw("GET", path).status_code == 404
    assert "Regrade 2" not in visitor.see("/admin/regrades").text
