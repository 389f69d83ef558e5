"""The proctors' console: who sees what, and what each action does, once."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace

import pytest
from flask import Flask
from sqlalchemy import insert, select

from proctoring_hooks import accepting
from proctoring_hooks.attempt import Attempt
from proctoring_hooks.exam import ClockOwner, Exam
from proctoring_hooks.grades import GradeState, Standing
from proctoring_hooks.statuses import Status
from proctoring_hooks.store import NO_ATTEMPT
from proctoring_hooks.transitions import Action, Actor, By
from tests.admin.visitor import Page, Visitor
from tests.proctoring.conftest import COURSE, LMS, SECRET_KEY, MakeExam
from tests.proctoring.site import (
    LMS_SAYS,
    AtConsole,
    act,
    begun,
    instructor,
    link_of,
    look,
    sitting,
    submitted,
)
from tests.server.builders import add_account, add_queue, callback_url, open_desk
from xqueue_server import settings
from xqueue_server.app import create_app
from xqueue_server.live import ticket as tickets
from xqueue_server.models.account import ALL_QUEUES, Account, Role
from xqueue_server.storage import Storage, accounts, audit, course_grants
from xqueue_server.storage.course_grants import CourseGrant
from xqueue_server.storage.engine import NOW
from xqueue_server.storage.proctoring import ProctoringStore
from xqueue_server.storage.proctoring_schema import exam_learners, exam_news
from xqueue_server.storage.schema import callbacks
from xqueue_server.web.admin import session as admin_session
from xqueue_server.web.proctoring import console_session
from xqueue_server.web.proctoring.paths import CONSOLE

OTHER = "course-v1:edX+Other+2026"
SURE = {"reason": "because", "sure": "yes"}

Enter = Callable[..., AtConsole]


@pytest.fixture
def app(storage: Storage, database_url: str, tmp_path: object) -> Flask:
    loaded = settings.load(
        {
            "XQUEUE_DATA_DIR": str(tmp_path),
            "XQUEUE_DATABASE_URL": database_url,
            "XQUEUE_SECRET_KEY": SECRET_KEY.decode(),
            "XQUEUE_LMS_ORIGINS": "https://lms.example",
            "XQUEUE_PUBLIC_URL": "https://xqueue.example.org",
        }
    )
    return create_app(loaded, storage)


@pytest.fixture
def enter(app: Flask, storage: Storage) -> Enter:
    """Somebody with an account that has a role on a course, or on all queues."""

    def sign_in(role: Role, course: str | None = COURSE, name: str = "") -> AtConsole:
        account = _account(storage, name or role, role, course)
        at = AtConsole(app=app)
        at.carry(console_session.begin_for_account(storage, account))
        return at

    return sign_in


def _account(storage: Storage, name: str, role: Role, course: str | None) -> Account:
    if course is None:
        return add_account(storage, name, role, queue=ALL_QUEUES)
    account = add_account(storage, name)
    with storage.write() as tx:
        course_grants.grant(tx, name, CourseGrant(role=role, course=course), actor="test")
        return accounts.get(tx, account.name)


@pytest.fixture
def proctor(enter: Enter, store: ProctoringStore) -> AtConsole:
    return enter(Role.PROCTOR)


def looked(storage: Storage) -> list[tuple[str, str]]:
    with storage.read() as tx:
        found = audit.page(tx, limit=50)
    return [(event.subject, event.actor) for event in found if event.why == "looked"]


def name_learner(storage: Storage, user_id: str, name: str) -> None:
    with storage.write() as tx:
        tx.run(
            insert(exam_learners).values(told_at=NOW),
            lms="edx",
            learner=user_id,
            full_name=name,
            email=f"{user_id}@example.org",
            username=f"user{user_id}",
            now=tx.now,
        )


# -- who sees what -------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("role", "course", "sees", "acts"),
    [
        (Role.PROCTOR, COURSE, True, True),
        (Role.OPERATOR, COURSE, True, True),
        (Role.VIEWER, COURSE, True, False),
        (Role.PROCTOR, OTHER, False, False),
        (Role.OPERATOR, None, True, True),
        (Role.ADMIN, None, True, True),
        (Role.VIEWER, None, True, False),
        (Role.GRADER, None, False, False),
        (Role.AUTHOR, None, False, False),
    ],
)
def test_who_sees_an_attempt_its_learner_s_name_and_who_acts(
    storage: Storage,
    store: ProctoringStore,
    make_exam: MakeExam,
    enter: Enter,
    role: Role,
    course: str | None,
    sees: bool,
    acts: bool,
) -> None:
    exam = make_exam()
    attempt = begun(store, exam)
    name_learner(storage, "42", "Lena Learner")
    at = enter(role, course, name="somebody")

    assert ("Final" in at.see().text) is sees
    assert at.see(f"/exams/{exam.id}").status == (200 if sees else 404)
    page = at.see(f"/attempts/{attempt.id}")
    assert page.status == (200 if sees else 404)
    assert ("Lena Learner" in page.text) is acts
    assert ("/terminate" in page.text) is acts
    assert at.raw("/ticket", query_string={"lms": "edx", "course": COURSE}).status_code == (
        200 if sees else 404
    )


def test_who_may_only_look_can_not_act_by_sending_the_form(
    store: ProctoringStore, make_exam: MakeExam, enter: Enter
) -> None:
    attempt = begun(store, make_exam())
    proctor, viewer = enter(Role.PROCTOR), enter(Role.VIEWER)
    form = dict(proctor.form(attempt.id, "terminate")) | SURE
    form["csrf"] = viewer.see().form("/proctoring/console/leave").fields["csrf"]
    assert viewer.send(f"/attempts/{attempt.id}/terminate", **form).status == 403
    assert look(store, attempt.id).status is Status.STARTED


def test_an_instructor_whom_the_lms_sent_has_that_course_and_nothing_else(
    app: Flask, storage: Storage, store: ProctoringStore, make_exam: MakeExam
) -> None:
    here, elsewhere = make_exam(), make_exam(course_id=OTHER, external_id="exam-2")
    attempt, other = begun(store, here), begun(store, elsewhere, user_id="43")
    at = instructor(app, storage, course_id=COURSE)
    assert at.see().text.count("Final") == 1
    assert at.see(f"/attempts/{other.id}").status == 404
    assert at.do(attempt.id, "extend", minutes="10", reason="fire alarm").status == 200
    with store.read() as session:
        assert session.attempts.history(attempt.id)[-1].change.who == "instructor 0b5c of edx"

    foreign = instructor(app, storage, lms="another", course_id=COURSE)
    assert foreign.see(f"/attempts/{attempt.id}").status == 404


def test_a_session_ends_by_leaving_by_time_and_with_its_account(
    app: Flask, storage: Storage, store: ProctoringStore, proctor: AtConsole
) -> None:
    at = instructor(app, storage, course_id=COURSE)
    assert at.see().status == 200
    csrf = at.see().form("/proctoring/console/leave").fields["csrf"]
    secret = at.client.get_cookie(console_session.COOKIE, path="/proctoring/console")
    assert secret is not None
    assert at.send("/leave", csrf=csrf).status == 200
    at.carry(secret.value)
    assert at.see().status == 401

    assert proctor.see().status == 200
    with storage.write() as tx:
        accounts.set_active(tx, "proctor", False, actor="test")
    assert proctor.see().status == 401

    again = instructor(app, storage, course_id=COURSE)
    storage.clock.advance(console_session.INSTRUCTOR_LASTS_S + 1)  # type: ignore[attr-defined]
    assert again.see().status == 401


def test_whoever_signs_out_of_the_admin_pages_has_left_the_console(
    app: Flask, storage: Storage, store: ProctoringStore, proctor: AtConsole
) -> None:
    account = _account(storage, "olga", Role.OPERATOR, None)
    visitor, at = Visitor(app), AtConsole(app=app)
    visitor.carry(admin_session.begin(storage, account))
    at.carry(console_session.begin_for_account(storage, account))
    assert at.see().status == 200
    visitor.post("/admin/sign-out", csrf=visitor.csrf)
    assert (at.see().status, proctor.see().status) == (401, 200)


def test_with_an_lms_s_secret_the_sessions_end_that_it_has_opened(
    app: Flask, storage: Storage, store: ProctoringStore, proctor: AtConsole
) -> None:
    at = instructor(app, storage, course_id=COURSE)
    with store.write() as session:
        session.lmses.replace(replace(LMS, origins=("https://lms.example", "https://x.example")))
    assert at.see().status == 200
    with store.write() as session:
        session.lmses.replace(replace(LMS, client_secret="another"))
    assert (at.see().status, proctor.see().status) == (401, 200)


def test_a_failing_review_is_final_at_the_lms_only_with_an_address_and_the_form_says_so(
    app: Flask, storage: Storage, store: ProctoringStore, make_exam: MakeExam, proctor: AtConsole
) -> None:
    theirs = make_exam(clock_owner=ClockOwner.LMS)
    attempt = sitting(store, theirs, user_id="42", by=LMS_SAYS)
    act(store, attempt.id, Action.START, Action.SUBMIT, actor=Actor.LMS)
    ours = submitted(store, make_exam(content_id="ours", external_id="ours"))
    path, hint = f"/attempts/{attempt.id}", "your account has no e-mail address"
    assert hint in proctor.see(path).text
    assert hint not in proctor.see(f"/attempts/{ours.id}").text
    assert (
        "second review required”:" not in instructor(app, storage, course_id=COURSE).see(path).text
    )
    with storage.write() as tx:
        accounts.set_email(tx, "proctor", "paula@example.org", actor="test")
    assert hint not in proctor.see(path).text
    page = proctor.do(attempt.id, "fail", **SURE)
    assert "paula@example.org" in page.text  # on the timeline
    with storage.read() as tx:
        (sent,) = tx.all(select(callbacks).where(callbacks.c.attempt_id == attempt.id))
    assert json.loads(sent.body)["reviewed_by"] == "paula@example.org"


def test_a_mark_down_is_taken_back_with_a_reason_where_there_is_one(
    store: ProctoringStore, make_exam: MakeExam, proctor: AtConsole
) -> None:
    attempt = begun(store, make_exam(terms={"incident_policy": "two_strikes"}))
    assert "unmark" not in proctor.offers(attempt.id)
    proctor.do(attempt.id, "warn", kind="talks to somebody", severity="warning")
    assert "flagged; marks count 50%" in proctor.see(f"/attempts/{attempt.id}").text
    assert proctor.do(attempt.id, "unmark").status == 422, "it needs a reason"
    assert look(store, attempt.id).mark_factor == 0.5
    page = proctor.do(attempt.id, "unmark", reason="it was his dog")
    assert "count fully again" in page.text
    assert (look(store, attempt.id).mark_factor, page.text.count("it was his dog")) == (1.0, 1)
    assert "unmark" not in proctor.offers(attempt.id)


def test_people_with_an_account_come_from_the_admin_pages(
    app: Flask, storage: Storage, store: ProctoringStore, make_exam: MakeExam
) -> None:
    make_exam()
    account = _account(storage, "olga", Role.OPERATOR, None)
    visitor = Visitor(app)
    assert "/admin/sign-in" in visitor.raw("GET", "/admin/proctoring").headers["Location"]
    visitor.carry(admin_session.begin(storage, account))
    page = Page(visitor.client.get("/admin/proctoring", follow_redirects=True))
    assert (page.status, "Final" in page.text) == (200, True)


def test_pages_of_nobody_s_session_are_401_and_strangers_forms_are_refused(
    app: Flask, store: ProctoringStore, make_exam: MakeExam, proctor: AtConsole
) -> None:
    attempt = begun(store, make_exam())
    assert AtConsole(app=app).see(f"/attempts/{attempt.id}").status == 401
    form = dict(proctor.form(attempt.id, "terminate")) | SURE
    path = f"/attempts/{attempt.id}/terminate"
    assert proctor.send(path, origin="https://evil.example", **form).status == 403
    assert proctor.send(path, **form | {"csrf": "0" * 64}).status == 403
    assert look(store, attempt.id).status is Status.STARTED
    headers = proctor.raw("/").headers
    assert "script-src 'self'" in headers["Content-Security-Policy"]
    assert "frame-ancestors 'none'" in headers["Content-Security-Policy"]
    assert headers["Cache-Control"] == "no-store"


# -- names, and who has looked -------------------------------------------------------------------


def test_a_look_at_learners_is_on_record_once_for_a_while_of_looking(
    storage: Storage, store: ProctoringStore, make_exam: MakeExam, proctor: AtConsole
) -> None:
    exam = make_exam()
    proctor.see()
    proctor.see(f"/exams/{exam.id}")
    assert looked(storage) == []  # nobody has come
    attempt = begun(store, exam)
    for _ in range(3):
        proctor.raw(f"/attempts/{attempt.id}", headers={"X-Live": "1"})
    assert looked(storage) == [(f"attempt {attempt.id}", "account proctor")]
    proctor.see(f"/exams/{exam.id}")
    assert (f"exam {exam.id}", "account proctor") in looked(storage)
    storage.clock.advance(16 * 60)  # type: ignore[attr-defined]
    proctor.see(f"/attempts/{attempt.id}")
    assert looked(storage).count((f"attempt {attempt.id}", "account proctor")) == 2


def test_attempts_are_found_by_name_id_status_and_flag(
    storage: Storage,
    store: ProctoringStore,
    make_exam: MakeExam,
    proctor: AtConsole,
    enter: Enter,
) -> None:
    exam = make_exam()
    lena, max_ = begun(store, exam, user_id="42"), submitted(store, exam, user_id="43")
    name_learner(storage, "42", "Lena Learner")
    name_learner(storage, "43", "Max Other")

    def found(at: AtConsole, **query: str) -> set[int]:
        links = at.see(f"/exams/{exam.id}", **query).links
        return {int(each.rpartition("/")[2]) for each in links if "/attempts/" in each}

    assert found(proctor) == {lena.id, max_.id}
    assert found(proctor, learner="lena") == {lena.id}
    assert found(proctor, learner="43@EXAMPLE.org") == {max_.id}
    assert found(proctor, learner="43") == {max_.id}
    assert found(proctor, group="writing") == {lena.id}
    assert found(proctor, group="submitted") == {max_.id}
    assert found(proctor, flagged="1") == set()
    assert found(enter(Role.VIEWER), learner="lena") == set()  # nor may names be guessed
    act(store, lena.id, Action.TERMINATE, actor=Actor.PROCTOR)
    assert found(proctor, flagged="1") == {lena.id}


# -- actions -------------------------------------------------------------------------------------


def test_a_proctor_lets_start_extends_warns_ends_and_judges(
    storage: Storage, store: ProctoringStore, make_exam: MakeExam, proctor: AtConsole
) -> None:
    attempt = sitting(store, make_exam(), user_id="42")
    proctor.do(attempt.id, "ready")
    assert look(store, attempt.id).status is Status.READY_TO_START
    before = act(store, attempt.id, Action.START, actor=Actor.LEARNER)

    page = proctor.do(attempt.id, "extend", minutes="15", reason="fire alarm")
    assert "Gave the learner 15 min more." in page.text
    assert "<div>more time<" in page.text  # on the timeline
    after = look(store, attempt.id)
    assert before.expires_at is not None
    assert after.expires_at is not None
    assert (after.expires_at - before.expires_at).total_seconds() == 900

    page = proctor.do(attempt.id, "warn", kind="talks to somebody", severity="warning")
    assert "Incident: talks to somebody" in page.text
    assert "ended" in proctor.do(attempt.id, "terminate", **SURE).text
    assert look(store, attempt.id).status is Status.SECOND_REVIEW_REQUIRED
    proctor.do(attempt.id, "fail", **SURE)
    assert look(store, attempt.id).status is Status.REJECTED
    page = proctor.do(attempt.id, "pass", reason="it was his brother")
    assert look(store, attempt.id).status is Status.VERIFIED
    assert "it was his brother" in page.text
    with store.read() as session:
        rows = session.attempts.history(attempt.id)
    assert {row.change.who for row in rows[-4:]} == {"account proctor"}
    assert all(row.change.request_id for row in rows[-4:])


def test_a_form_that_is_sent_twice_acts_once(
    store: ProctoringStore, make_exam: MakeExam, proctor: AtConsole
) -> None:
    attempt = begun(store, make_exam())
    form = dict(proctor.form(attempt.id, "extend")) | {"minutes": "5", "reason": "late start"}
    proctor.send(f"/attempts/{attempt.id}/extend", **form)
    once = look(store, attempt.id).expires_at
    page = proctor.send(f"/attempts/{attempt.id}/extend", **form)
    assert "done already" in page.text
    assert look(store, attempt.id).expires_at == once


def test_two_warnings_in_a_row_are_two(
    store: ProctoringStore, make_exam: MakeExam, proctor: AtConsole
) -> None:
    attempt = begun(store, make_exam())
    for _ in range(2):
        proctor.do(attempt.id, "warn", kind="phone", severity="remark")
    with store.read() as session:
        assert len(session.records.incidents(attempt.id)) == 2


def test_what_changed_since_the_page_was_opened_is_not_acted_on(
    store: ProctoringStore, make_exam: MakeExam, proctor: AtConsole
) -> None:
    attempt = begun(store, make_exam())
    form = dict(proctor.form(attempt.id, "terminate")) | SURE
    act(store, attempt.id, Action.SUBMIT, actor=Actor.LEARNER)
    page = proctor.send(f"/attempts/{attempt.id}/terminate", **form)
    assert (page.status, "has changed" in page.text) == (409, True)
    assert look(store, attempt.id).status is Status.SUBMITTED


@pytest.mark.parametrize(
    ("deed", "filled"),
    [
        ("terminate", {"reason": "because"}),
        ("terminate", {"sure": "yes"}),
        ("extend", {"minutes": "5"}),
        ("extend", {"minutes": "many", "reason": "because"}),
        ("extend", {"minutes": "0", "reason": "because"}),
        ("extend", {"minutes": "601", "reason": "because"}),
        ("warn", {"kind": "", "severity": "warning"}),
        ("warn", {"kind": "x", "severity": "deadly"}),
        ("terminate", {"sure": "yes", "reason": "x" * 1001}),
    ],
)
def test_what_is_not_confirmed_or_makes_no_sense_does_nothing(
    store: ProctoringStore,
    make_exam: MakeExam,
    proctor: AtConsole,
    deed: str,
    filled: dict[str, str],
) -> None:
    attempt = begun(store, make_exam())
    assert proctor.do(attempt.id, deed, **filled).status == 422
    assert look(store, attempt.id) == attempt


def test_an_attempt_that_the_lms_keeps_offers_what_the_lms_hears_of(
    store: ProctoringStore, make_exam: MakeExam, proctor: AtConsole
) -> None:
    exam = make_exam(clock_owner=ClockOwner.LMS)
    attempt = sitting(store, exam, user_id="42", by=LMS_SAYS)
    act(store, attempt.id, Action.START, actor=Actor.LMS)
    assert proctor.offers(attempt.id) == {"warn", "terminate", "pass", "fail", "second"}
    page = proctor.see(f"/attempts/{attempt.id}")
    assert f"https://lms.example/courses/{COURSE}/instructor#view-special_exams" in page.text
    form = dict(proctor.form(attempt.id, "warn")) | {"minutes": "5", "reason": "because"}
    assert proctor.send(f"/attempts/{attempt.id}/extend", **form).status == 409
    act(store, attempt.id, Action.ERROR, actor=Actor.LMS)
    assert not {"resume", "reset", "extend"} & proctor.offers(attempt.id)


def test_an_attempt_of_ours_can_be_resumed_and_removed(
    store: ProctoringStore, make_exam: MakeExam, proctor: AtConsole, enter: Enter
) -> None:
    exam = make_exam()
    attempt = begun(store, exam)
    act(store, attempt.id, Action.ERROR, actor=Actor.LEARNER)
    proctor.do(attempt.id, "resume", reason="power cut")
    assert look(store, attempt.id).ready_to_resume
    assert "resume" not in proctor.offers(attempt.id)
    # That is more than to judge.
    assert "reset" not in proctor.offers(attempt.id)
    operator = enter(Role.OPERATOR)
    sent = dict(proctor.form(attempt.id, "fail")) | SURE
    assert proctor.send(f"/attempts/{attempt.id}/reset", **sent).status == 403
    page = operator.do(attempt.id, "reset", **SURE)
    assert "Nobody has begun yet" in page.text
    assert proctor.see(f"/attempts/{attempt.id}").status == 404


# -- what is refused loses nothing that was typed -------------------------------------------------


def test_a_form_that_comes_too_late_is_shown_again_with_what_was_typed(
    store: ProctoringStore, make_exam: MakeExam, proctor: AtConsole
) -> None:
    attempt = begun(store, make_exam())
    path = f"/attempts/{attempt.id}/warn"
    form = dict(proctor.form(attempt.id, "warn")) | {"kind": "a <phone>", "severity": "grave"}
    act(store, attempt.id, Action.STOP, actor=Actor.LEARNER)
    page = proctor.send(path, **form | {"reason": "one\r\ntwo"})
    assert page.status == 409
    again = page.form(f"{CONSOLE}{path}").fields
    assert again["kind"] == "a <phone>"
    assert "<option selected>grave</option>" in page.text
    assert "one\ntwo</textarea>" in page.text
    fresh = {"version": again["version"], "key": again["key"], "reason": "one"}
    assert proctor.send(path, **form | fresh).status == 200
    with store.read() as session:
        assert [each.detail for each in session.records.incidents(attempt.id)] == ["one"]


def test_what_can_not_be_done_any_more_is_shown_with_what_was_typed(
    store: ProctoringStore, make_exam: MakeExam, proctor: AtConsole
) -> None:
    attempt = begun(store, make_exam())
    form = dict(proctor.form(attempt.id, "extend")) | {"minutes": "5", "reason": "fire <alarm>"}
    act(store, attempt.id, Action.SUBMIT, actor=Actor.LEARNER)
    page = proctor.send(f"/attempts/{attempt.id}/extend", **form)
    assert (page.status, "fire &lt;alarm&gt;" in page.text) == (409, True)


def test_a_session_that_ends_while_somebody_writes_loses_nothing(
    app: Flask, storage: Storage, store: ProctoringStore, make_exam: MakeExam, proctor: AtConsole
) -> None:
    attempt = submitted(store, make_exam())
    path = f"/attempts/{attempt.id}/fail"
    form = dict(proctor.form(attempt.id, "fail")) | SURE | {"reason": "a <long> comment"}
    nobody = AtConsole(app=app)
    page = nobody.send(path, **form)
    assert (page.status, "a &lt;long&gt; comment" in page.text) == (401, True)
    # Another site does not have its words shown here.
    page = nobody.send(path, origin="https://evil.example", **form)
    assert (page.status, "comment" in page.text) == (401, False)
    # In a new session the form is an old one; it is asked again.
    again = instructor(app, storage, course_id=COURSE)
    page = again.send(path, **form)
    assert (page.status, "a &lt;long&gt; comment</textarea>" in page.text) == (403, True)
    fresh = page.form(f"{CONSOLE}{path}").fields
    assert again.send(path, **dict(fresh) | SURE | {"reason": "a comment"}).status == 200
    assert look(store, attempt.id).status is Status.REJECTED


def test_a_comment_of_many_lines_is_counted_as_the_browser_counts_it(
    store: ProctoringStore, make_exam: MakeExam, proctor: AtConsole
) -> None:
    attempt = submitted(store, make_exam())
    lines = "\r\n".join(["x"] * 500)  # 999 characters, 1498 as they are sent
    assert proctor.do(attempt.id, "pass", reason=lines).status == 200


# -- submissions held back ------------------------------------------------------------------------


def held(
    storage: Storage, store: ProctoringStore, exam: Exam, attempt: Attempt | None, count: int
) -> list[int]:
    desk = open_desk(storage, storage.clock)  # type: ignore[arg-type]  # a ManualClock in tests
    add_queue(storage)
    ids = [desk.submit(callback_url(f"{n}" * 32)) for n in range(count)]
    standing = Standing.LATE if attempt else Standing.NO_ATTEMPT
    with store.write() as session:
        for each in ids:
            of = attempt.id if attempt else None
            session.grades.add(each, exam.id, of, standing, GradeState.FLAGGED, factor=1.0)
    return ids


def states(store: ProctoringStore, ids: list[int]) -> list[str]:
    with store.read() as session:
        return [str(found.state) for each in ids if (found := session.grades.find(each))]


def test_held_submissions_are_accepted_or_refused_one_by_one(
    storage: Storage, store: ProctoringStore, make_exam: MakeExam, proctor: AtConsole, enter: Enter
) -> None:
    exam, other = make_exam(), make_exam(external_id="exam-2", content_id="another")
    ids = held(storage, store, exam, submitted(store, exam), 3)
    form = proctor.see(f"/exams/{exam.id}").form(f"{CONSOLE}/exams/{exam.id}/accept").fields
    assert form["submission"] == str(ids[0])
    because = dict(form) | {"reason": "late bus"}
    assert "Let 1 grade go" in proctor.send(f"/exams/{exam.id}/accept", **because).text
    assert "Let 0 grades go" in proctor.send(f"/exams/{exam.id}/accept", **because).text
    second = because | {"submission": str(ids[1])}
    assert "Refused submission" in proctor.send(f"/exams/{exam.id}/refuse", **second).text
    assert proctor.send(f"/exams/{exam.id}/refuse", **second).status == 409
    for wrong, status in (
        ({"reason": ""}, 422),
        ({"submission": "x"}, 422),
        ({"submission": "999"}, 404),
    ):
        for deed in ("accept", "refuse"):
            sent = proctor.send(f"/exams/{exam.id}/{deed}", **second | wrong)
            assert sent.status == status, (wrong, deed)
    third = because | {"submission": str(ids[2])}
    assert proctor.send(f"/exams/{other.id}/accept", **third).status == 404
    viewer = enter(Role.VIEWER)
    third["csrf"] = viewer.see().form(f"{CONSOLE}/leave").fields["csrf"]
    assert viewer.send(f"/exams/{exam.id}/refuse", **third).status == 403
    assert states(store, ids) == ["released", "withheld", "flagged"]
    with storage.read() as tx:
        found = {e.why: (e.actor, e.detail) for e in audit.page(tx, limit=50)}
    by = ("account proctor", "late bus")
    assert (found["exam_released"], found["exam_withheld"]) == (by, by)


def test_all_that_is_held_is_accepted_only_if_it_is_what_was_seen(
    storage: Storage, store: ProctoringStore, make_exam: MakeExam, proctor: AtConsole
) -> None:
    exam = make_exam()
    ids = held(storage, store, exam, None, 3)
    page = proctor.see(f"/exams/{exam.id}")
    assert "The LMS gets the grades of 3 submissions" in page.text
    assert "none (learner 42)" in page.text  # all that is known of whose it is
    (form,) = [each.fields for each in page.forms if "held" in each.fields]
    path, sure = f"/exams/{exam.id}/accept", dict(form) | SURE
    assert proctor.send(path, **sure | {"sure": ""}).status == 422
    with store.write() as session:
        accepting.accept(session, ids[0], By(actor=Actor.PROCTOR, who="account jane"))
    page = proctor.send(path, **sure)
    assert (page.status, "There are 2 submissions" in page.text) == (409, True)
    assert states(store, ids) == ["released", "flagged", "flagged"]
    with storage.read() as tx:  # other pages are told
        told = [(row.attempt_id, row.kind) for row in tx.all(select(exam_news))]
    assert told == [(NO_ATTEMPT, "accepted")]
    assert "Let 2 grades go" in proctor.send(path, **sure | {"held": "2"}).text
    assert "Submissions held back" not in proctor.see(f"/exams/{exam.id}").text


def test_all_of_an_attempt_is_accepted_from_its_page(
    storage: Storage, store: ProctoringStore, make_exam: MakeExam, proctor: AtConsole
) -> None:
    exam = make_exam()
    attempt = submitted(store, exam)
    assert "accept" not in proctor.offers(attempt.id)
    ids = held(storage, store, exam, attempt, 2)
    assert "Let 2 grades go" in proctor.do(attempt.id, "accept", reason="late bus").text
    assert states(store, ids) == ["released", "released"]
    assert "accept" not in proctor.offers(attempt.id)


def test_auto_pass_is_said_wherever_it_is_in_force(
    store: ProctoringStore, make_exam: MakeExam, proctor: AtConsole
) -> None:
    exam = make_exam(terms={"review": "auto_pass"})
    attempt = submitted(store, exam)
    assert "auto-pass" in proctor.see().text
    assert "nobody looks at it" in proctor.see(f"/exams/{exam.id}").text
    page = proctor.see(f"/attempts/{attempt.id}")
    assert "nobody looks at it" in page.text
    assert "auto-pass: nobody has looked" in page.text  # in the review, and in the history
    link = link_of(store, SECRET_KEY, attempt.id)
    assert "auto-pass" in Page(proctor.client.get(link)).text


# -- live ----------------------------------------------------------------------------------------


def test_a_page_that_has_not_changed_is_304_and_one_that_has_is_not(
    store: ProctoringStore, make_exam: MakeExam, proctor: AtConsole
) -> None:
    attempt = begun(store, make_exam())
    for path in ("/", f"/exams/{attempt.exam_id}", f"/attempts/{attempt.id}"):
        etag = proctor.raw(path).headers["ETag"]
        asked = {"X-Live": "1", "If-None-Match": etag}
        assert proctor.raw(path, headers=asked).status_code == 304
        act(store, attempt.id, Action.STOP, actor=Actor.LEARNER)
        changed = path != "/"  # it counts both as writing
        assert proctor.raw(path, headers=asked).status_code == (200 if changed else 304)
        act(store, attempt.id, Action.START, actor=Actor.LEARNER)


def test_a_ticket_is_for_the_course_and_short(
    store: ProctoringStore, make_exam: MakeExam, proctor: AtConsole, storage: Storage
) -> None:
    make_exam()
    given = proctor.raw("/ticket", query_string={"lms": "edx", "course": COURSE}).get_json()
    now_s = storage.now_us() / 1e6
    ticket = tickets.read(given["ticket"], SECRET_KEY, now_s)
    assert (ticket.lms, ticket.course_id) == ("edx", COURSE)
    assert 0 < ticket.until_s - now_s <= 301
    assert "proctor" not in ticket.holder
    refused = proctor.raw("/ticket", query_string={"lms": "edx", "course": OTHER})
    assert refused.status_code == 404
