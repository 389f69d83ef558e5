"""What can be done on the admin pages: by whom, only on purpose, and with what effect."""

from __future__ import annotations

import re
from typing import Any

import pytest

from tests.admin.conftest import SignedIn
from tests.admin.sample import announce, fill
from tests.admin.visitor import Visitor
from tests.server.builders import PASSWORD, QUEUE, add_account, add_queue, callback_url, grade
from tests.server.web_client import Server
from xqueue_server.models.account import ALL_QUEUES, Grant, Role
from xqueue_server.models.callback import CallbackState
from xqueue_server.models.submission import SubmissionState
from xqueue_server.storage import accounts, audit, deadlines, queues, tokens, workers
from xqueue_server.submissions.leasing import FailureKind
from xqueue_server.web.admin import bulk_pages, session
from xqueue_server.web.admin.routes import ROUTES

POSTS = [route for route in ROUTES if route.method == "POST"]
PARTS = {
    "submission_id": "3",
    "callback_id": "2",
    "fault_id": "1",
    "deadline_id": "1",
    "token_id": "1",
    "act": "release",
    "name": QUEUE,
    "queue": QUEUE,
    "host": "grade-1",
}
FIELDS = {
    "confirmed": "1",
    "sure": "yes",
    "reason": "because",
    "queue": QUEUE,
    "name": "fresh",
    "role": "viewer",
    "course": "course-v1:A+B+C",
    "weight": "2",
    "count": "2",
    "version": "1",
    "priority": "5",
    "lease_s": "60",
    "max_attempts": "3",
    "max_platform_failures": "5",
    "give_up_after_s": "0",
    "at": "2026-03-01T18:00",
    "submissions": "10",
}


def path_of(path: str) -> str:
    """Of things that `fill` makes."""
    filled = re.sub(r"<(?:int:)?(\w+)>", lambda found: PARTS[found[1]], path)
    if path.startswith("/accounts/"):
        filled = filled.replace(f"/accounts/{QUEUE}", "/accounts/lms")
    return f"/admin{filled}"


def state_of(server: Server) -> list[Any]:
    """Everything that any act changes leaves an event."""
    with server.desk.storage.read() as tx:
        return [event.id for event in audit.page(tx, limit=1000)]


def test_no_act_without_being_signed_in(server: Server, visitor: Visitor) -> None:
    fill(server)
    before = state_of(server)
    for route in POSTS:
        response = visitor.raw("POST", path_of(route.path), data=FIELDS)
        assert response.status_code == 303, route.path
        assert response.headers["Location"] == "/admin/sign-in", route.path
    assert state_of(server) == before


def test_no_act_without_the_token_of_the_page(server: Server, admin: Visitor) -> None:
    fill(server)
    before = state_of(server)
    for route in POSTS:
        for wrong in ({}, {"csrf": ""}, {"csrf": "0" * 64}):
            assert admin.post(path_of(route.path), **FIELDS, **wrong).status == 403, route.path
    assert state_of(server) == before


def test_no_act_from_a_page_of_another_site(server: Server, admin: Visitor) -> None:
    fill(server)
    csrf, before = admin.csrf, state_of(server)
    for route in POSTS:
        for origin in ("https://evil.example.org", "null", "http://localhost.evil.example.org"):
            page = admin.post(path_of(route.path), origin=origin, csrf=csrf, **FIELDS)
            assert page.status == 403, route.path
    assert state_of(server) == before


@pytest.mark.parametrize("role", [Role.VIEWER, Role.AUTHOR, Role.OPERATOR, Role.ADMIN])
def test_an_act_is_refused_to_roles_that_may_not_do_it(
    server: Server, signed_in: SignedIn, role: Role
) -> None:
    """A queue's administrator, too, does nothing about accounts."""
    fill(server)
    person = signed_in(role)
    csrf = person.csrf
    for route in POSTS:
        before = state_of(server)
        is_allowed = role in route.roles and not route.path.startswith(("/accounts", "/tokens"))
        status = person.post(path_of(route.path), csrf=csrf, **FIELDS).status
        if not is_allowed:
            assert status == 403, f"{role} at {route.path}"
            assert state_of(server) == before, f"{role} at {route.path}"
        else:
            assert status != 403 or route.path in NEEDS_EVERYTHING, f"{role} at {route.path}"


NEEDS_EVERYTHING = {"/queues", "/queues/<name>/remove", "/workers/<host>/forget"}


def test_an_act_on_what_is_not_ones_own_finds_nothing(server: Server, signed_in: SignedIn) -> None:
    add_queue(server.desk.storage, "other")
    found, stranger = fill(server), signed_in(Role.ADMIN, queue="other")
    csrf = stranger.csrf
    for route in POSTS:
        before = state_of(server)
        page = stranger.post(path_of(route.path), csrf=csrf, **FIELDS)
        if route.path == "/bulk/<act>":  # nothing of the own queue matches: done to none
            assert page.status == 200
            assert server.desk.see(found["held"]).state is SubmissionState.HELD
            continue
        assert page.status in (403, 404), f"{route.path}: {page.text}"
        assert state_of(server) == before, route.path


def test_every_act_that_is_possible_has_a_button_and_no_other_has(
    server: Server, signed_in: SignedIn
) -> None:
    found, operator = fill(server), signed_in(Role.OPERATOR)
    buttons = {
        "held": {"release", "give-up", "priority", "code"},
        "graded": {"regrade", "code"},
        "dead": {"regrade", "code"},
        "queued": {"priority", "code"},
        "leased": {"code"},
    }
    for kind, expected in buttons.items():
        path = f"/admin/submissions/{found[kind]}"
        forms = {form.action.removeprefix(path).strip("/") for form in operator.see(path).forms}
        own = {action for action in forms if not action.startswith("admin/")}
        assert own == expected, kind
    assert operator.see(f"/admin/submissions/{found['dead']}").has_form("/admin/callbacks/2/replay")
    assert not operator.see(f"/admin/queues/{QUEUE}").has_form(f"/admin/queues/{QUEUE}/terms")
    assert operator.see(f"/admin/queues/{QUEUE}").has_form(f"/admin/queues/{QUEUE}/pause")


# -- submissions ---------------------------------------------------------------------------------


def test_a_held_submission_is_released_and_the_page_says_so(server: Server, admin: Visitor) -> None:
    found = fill(server)
    path = f"/admin/submissions/{found['held']}"

    page = admin.send(admin.see(path), f"{path}/release")

    assert server.desk.see(found["held"]).state is SubmissionState.QUEUED
    assert f"Submission {found['held']} is queued again, with all its attempts." in page.text
    event = server.desk.events_of(found["held"])[-1]
    assert f"event {event.id}</a>" in page.text
    assert event.actor == "account chief"
    assert "Recorded as" not in admin.see(path).text


def test_giving_up_needs_the_box_that_says_it_is_for_good(server: Server, admin: Visitor) -> None:
    found = fill(server)
    path = f"/admin/submissions/{found['held']}"

    refused = admin.post(f"{path}/give-up", csrf=admin.csrf)
    assert refused.status == 422
    assert server.desk.see(found["held"]).state is SubmissionState.HELD

    admin.post(f"{path}/give-up", csrf=admin.csrf, sure="yes")
    assert server.desk.see(found["held"]).state is SubmissionState.GIVEN_UP


def test_a_dead_letter_is_sent_again(server: Server, admin: Visitor) -> None:
    found = fill(server)

    page = admin.send(admin.see(f"/admin/submissions/{found['dead']}"), "/admin/callbacks/2/replay")

    (callback,) = server.desk.callbacks_of(found["dead"])
    assert callback.state is CallbackState.PENDING
    assert "is sent again at once" in page.text


def test_one_submission_is_graded_anew_for_a_reason(server: Server, admin: Visitor) -> None:
    found = fill(server)
    path = f"/admin/submissions/{found['graded']}"

    page = admin.send(admin.see(path), f"{path}/regrade", reason="the third test was wrong")

    assert server.desk.see(found["graded"]).is_regrade
    assert "graded anew" in page.text
    admin.send(admin.see(path), f"{path}/cancel-regrade")
    assert not server.desk.see(found["graded"]).is_regrade


def test_a_conflict_is_said_and_nothing_is_done(server: Server, admin: Visitor) -> None:
    found = fill(server)

    page = admin.post(f"/admin/submissions/{found['graded']}/release", csrf=admin.csrf)

    assert page.status == 409
    assert "is graded, not held" in page.text


# -- many at once --------------------------------------------------------------------------------


def test_bulk_asks_with_the_number_and_does_it_to_those(server: Server, admin: Visitor) -> None:
    found = fill(server)

    asked = admin.see("/admin/bulk/release", queue=QUEUE, held_reason="grader")
    assert "Release 1 submission?" in asked.text
    done = admin.send(asked, "/admin/bulk/release")

    assert server.desk.see(found["held"]).state is SubmissionState.QUEUED
    assert server.desk.see(found["rejected"]).state is SubmissionState.HELD
    assert "1 submission released." in done.text


def test_bulk_does_nothing_when_more_match_than_were_confirmed(
    server: Server, admin: Visitor
) -> None:
    found = fill(server)
    asked = admin.see("/admin/bulk/release", queue=QUEUE, held_reason="grader")
    server.desk.fail(server.desk.lease(), FailureKind.GRADER)

    page = admin.send(asked, "/admin/bulk/release")

    assert page.status == 409
    assert "2 submissions match now, but 1 were confirmed" in page.text
    assert server.desk.see(found["held"]).state is SubmissionState.HELD
    admin.send(page, "/admin/bulk/release")
    assert server.desk.see(found["held"]).state is SubmissionState.QUEUED


def test_bulk_regrade_says_how_many_the_lms_has_and_is_found_again(
    server: Server, admin: Visitor
) -> None:
    found = fill(server)

    asked = admin.see("/admin/bulk/regrade", queue=QUEUE)
    assert "The LMS has taken 1 of these 2 grades already" in asked.text
    page = admin.send(asked, "/admin/bulk/regrade", reason="rounding")

    assert "2 submissions queued to be graded anew." in page.text
    assert "<h1>Regrade 1</h1>" in page.text
    assert f"/admin/submissions/{found['graded']}" in page.text
    assert f"/admin/submissions/{found['held']}" not in page.text


def test_bulk_regrade_that_takes_too_long_is_continued_as_the_same_one(
    server: Server, admin: Visitor, signed_in: SignedIn, monkeypatch: pytest.MonkeyPatch
) -> None:
    fill(server)
    monkeypatch.setattr(bulk_pages, "LONGEST_S", -1.0)
    page = admin.send(
        admin.see("/admin/bulk/regrade", queue=QUEUE), "/admin/bulk/regrade", reason="rounding"
    )
    assert "0 submissions queued to be graded anew. Time was over before the end" in page.text
    assert "Grade anew 2 submissions?" in page.text
    monkeypatch.undo()
    page = admin.send(page, "/admin/bulk/regrade")

    assert "2 submissions queued to be graded anew." in page.text
    assert "<h1>Regrade 1</h1>" in page.text
    other = signed_in(Role.OPERATOR, name="somebody-else")
    continued = {"queue": QUEUE, "continue": "1"}
    assert other.see("/admin/bulk/regrade", **continued).status == 404


def test_changed_scores_that_the_lms_keeps_are_downloaded(
    server: Server, admin: Visitor, signed_in: SignedIn
) -> None:
    found = fill(server)
    graded = server.desk.lease()  # what waited before
    server.desk.put(graded)
    path = f"/admin/submissions/{found['graded']}"
    admin.send(admin.see(path), f"{path}/regrade", reason="rounding")
    server.desk.put(server.desk.lease(), grade(0.5))

    answer = admin.raw("GET", "/admin/regrades/1/override.csv")

    assert answer.headers["Content-Disposition"] == 'attachment; filename="regrade-1.csv"'
    header, row = answer.get_data(as_text=True).splitlines()
    assert dict(zip(header.split(","), row.split(","), strict=True))["New Points"] == "0.5"
    other = signed_in(Role.OPERATOR, name="somebody-else")
    assert other.see("/admin/regrades/1/override.csv").status == 404
    assert "rounding" not in other.see("/admin/regrades").text


def test_bulk_never_reaches_beyond_the_scope(server: Server, signed_in: SignedIn) -> None:
    add_queue(server.desk.storage, "other")
    found = fill(server)
    theirs = server.desk.submit(callback_url("9" * 32, user=9), queue="other")
    server.desk.fail(server.desk.lease("other"), FailureKind.GRADER)
    operator = signed_in(Role.OPERATOR, queue="other")

    operator.send(operator.see("/admin/bulk/release"), "/admin/bulk/release")

    assert server.desk.see(theirs).state is SubmissionState.QUEUED
    assert server.desk.see(found["held"]).state is SubmissionState.HELD


def test_all_that_a_fault_holds_is_released_at_once(server: Server, admin: Visitor) -> None:
    found = fill(server)

    asked = admin.see("/admin/faults/1/release")
    page = admin.send(asked, "/admin/faults/1/release")

    assert "1 submission released." in page.text
    assert server.desk.see(found["held"]).state is SubmissionState.QUEUED


# -- queues, workers, deadlines ------------------------------------------------------------------


def test_a_queue_is_paused_for_a_reason_and_resumed(server: Server, admin: Visitor) -> None:
    path = f"/admin/queues/{QUEUE}"

    page = admin.send(admin.see(path), f"{path}/pause", reason="exam is being reset")

    assert "exam is being reset" in page.text
    assert server.desk.try_lease() is None
    admin.send(page, f"{path}/resume")
    with server.desk.storage.read() as tx:
        assert queues.get(tx, QUEUE).paused_at is None


def test_terms_limits_and_shares_of_a_queue_are_changed(server: Server, admin: Visitor) -> None:
    path = f"/admin/queues/{QUEUE}"

    admin.send(admin.see(path), f"{path}/terms", lease_s="90", learner_cap="2")
    admin.send(admin.see(path), f"{path}/limits", max_wall_s="45.5", max_memory_mb="512")
    admin.send(admin.see(path), f"{path}/weight", course="course-v1:A+B+C", weight="4")
    page = admin.see(path)

    with server.desk.storage.read() as tx:
        terms = queues.get(tx, QUEUE)
    assert (terms.lease_s, terms.learner_cap, terms.max_attempts) == (90, 2, 3)
    assert page.form(f"{path}/limits").fields["max_wall_s"] == "45.5"
    assert "512.0 MB" in page.text
    assert "course-v1:A+B+C" in page.text
    refused = admin.send(page, f"{path}/terms", lease_s="0")
    assert refused.status == 422
    assert "The lease must be a whole number from 1" in refused.text


def test_a_queue_is_added_and_removed(server: Server, admin: Visitor) -> None:
    admin.send(admin.see("/admin/queues"), "/admin/queues", name="cs 102")
    path = "/admin/queues/cs%20102"

    refused = admin.send(admin.see(path), f"{path}/remove", sure="cs 101")
    gone = admin.send(admin.see(path), f"{path}/remove", sure="cs 102")

    assert refused.status == 422
    assert "Removed queue cs 102." in gone.text


def test_a_deadline_is_told_and_taken_back(server: Server, admin: Visitor) -> None:
    page = admin.send(
        admin.see("/admin/deadlines"),
        "/admin/deadlines",
        at="2026-03-01T18:00",
        submissions="6000",
    )
    assert "2026-03-01 18:00:00" in page.text

    admin.send(page, "/admin/deadlines/1/remove")
    with server.desk.storage.read() as tx:
        assert not deadlines.all_deadlines(tx)


def test_a_host_is_scaled_drained_and_left_alone_again(server: Server, admin: Visitor) -> None:
    announce(server)
    scale = "/admin/workers/grade-1/scale"

    page = admin.send(admin.see("/admin/workers"), scale, count="4")
    assert wishes(server) == {QUEUE: 4}
    page = admin.send(page, "/admin/workers/grade-1/drain")
    assert wishes(server) == {QUEUE: 0}
    admin.post(scale, csrf=admin.csrf, queue=QUEUE, act="withdraw")

    assert wishes(server) == {}


def wishes(server: Server) -> dict[str, int]:
    with server.desk.storage.read() as tx:
        return {wish.queue: wish.count for wish in workers.all_wishes(tx)}


# -- accounts and tokens -------------------------------------------------------------------------


def test_an_account_is_made_granted_and_disabled(server: Server, admin: Visitor) -> None:
    page = admin.send(
        admin.see("/admin/accounts"), "/admin/accounts", name="piotr", password="long enough one"
    )
    path = "/admin/accounts/piotr"
    assert "It may do nothing yet" in page.text

    admin.send(admin.see(path), f"{path}/grant", role="operator", queue=QUEUE)
    piotr = Visitor(server.app)
    assert "<h1>Overview</h1>" in piotr.sign_in("piotr", "long enough one").text
    with server.desk.storage.read() as tx:
        assert accounts.get(tx, "piotr").grants == (Grant(role=Role.OPERATOR, queue=QUEUE),)

    assert admin.send(admin.see(path), f"{path}/email", email="piotr").status == 422
    address = "p@example.org"
    assert address in admin.send(admin.see(path), f"{path}/email", email=address).text
    assert address not in admin.send(admin.see(path), f"{path}/email", email="").text
    admin.send(admin.see(path), f"{path}/revoke")
    assert piotr.see("/admin/").status == 403
    admin.send(admin.see(path), f"{path}/active")
    assert "Sign in to XQueue" in piotr.see("/admin/").text
    admin.send(admin.see(path), f"{path}/remove", sure="piotr")
    with server.desk.storage.read() as tx:
        assert accounts.by_name(tx, "piotr") is None


def test_a_password_of_a_few_letters_is_refused(admin: Visitor) -> None:
    page = admin.send(
        admin.see("/admin/accounts"), "/admin/accounts", name="piotr", password="short"
    )

    assert page.status == 422
    assert "12 characters or more" in page.text


def test_an_administrator_can_not_lock_himself_out(server: Server, admin: Visitor) -> None:
    csrf, me = admin.csrf, "/admin/accounts/chief"
    for path, fields in (
        ("active", {"active": "no"}),
        ("remove", {"sure": "chief"}),
        ("revoke", {"role": "admin", "queue": ALL_QUEUES}),
    ):
        assert admin.post(f"{me}/{path}", csrf=csrf, **fields).status == 409, path
    assert admin.see("/admin/accounts").status == 200


def test_a_token_is_shown_once_and_revoked(server: Server, admin: Visitor) -> None:
    add_account(server.desk.storage, "robot", Role.VIEWER, queue=QUEUE)
    path = "/admin/accounts/robot"

    page = admin.send(admin.see(path), f"{path}/tokens", queue=QUEUE)
    found = re.search(r"xqt_[\w-]{43}", page.text)
    assert found is not None
    assert found[0] not in admin.see(path).text
    assert found[0] not in admin.see("/admin/tokens").text
    client = server.app.test_client()
    bearer = {"Authorization": f"Bearer {found[0]}"}
    assert client.get("/api/v1/queues", headers=bearer).status_code == 200

    admin.send(admin.see("/admin/tokens"), "/admin/tokens/1/revoke")

    assert client.get("/api/v1/queues", headers=bearer).status_code == 401
    with server.desk.storage.read() as tx:
        assert tokens.all_tokens(tx)[0].revoked_at is not None


# -- the record ----------------------------------------------------------------------------------


def test_the_audit_log_shows_to_everybody_what_is_theirs(
    server: Server, signed_in: SignedIn
) -> None:
    found = fill(server)
    operator = signed_in(Role.OPERATOR, name="piotr")
    operator.post(f"/admin/submissions/{found['held']}/release", csrf=operator.csrf)

    mine = operator.see("/admin/events")
    assert "account piotr" in mine.text
    assert "account lms" not in mine.text
    assert "account lms" in operator.see("/admin/events", subject="submission 3").text
    assert operator.see("/admin/events", actor="account lms").status == 403
    assert operator.see("/admin/events", subject="account lms").status == 403
    assert operator.see("/admin/events", subject="queue other").status == 404


def test_the_audit_log_begins_with_what_people_did(server: Server, admin: Visitor) -> None:
    found = fill(server)
    admin.post(f"/admin/submissions/{found['held']}/release", csrf=admin.csrf)

    begins = admin.see("/admin/events")
    assert '<td class="nowrap">account chief</td>' in begins.text
    assert '<td class="nowrap">account lms</td>' not in begins.text
    everything = admin.see("/admin/events", by="all")
    assert '<td class="nowrap">account lms</td>' in everything.text


def test_a_forged_word_about_what_was_done_is_not_shown(admin: Visitor) -> None:
    admin.client.set_cookie("xqueue_admin_notice", "eyJ0ZXh0IjoiaGkifQ.forged", path="/admin")

    assert 'class="notice"' not in admin.see("/admin/").text


def test_the_token_of_a_form_belongs_to_one_session(server: Server, admin: Visitor) -> None:
    with server.desk.storage.read() as tx:
        account = accounts.get(tx, "chief")
    other = Visitor(server.app)
    other.carry(session.begin(server.desk.storage, account))

    assert other.csrf != admin.csrf
    assert admin.post(f"/admin/queues/{QUEUE}/pause", csrf=other.csrf, reason="x").status == 403
    assert PASSWORD not in other.see("/admin/").text
