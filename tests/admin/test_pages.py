"""Every page, empty and with something on it; what it says, and to whom."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from tests.admin.conftest import SignedIn
from tests.admin.hosts import announcement
from tests.admin.sample import fill
from tests.admin.visitor import Visitor
from tests.conftest import database_url
from tests.server.builders import (
    BLOCK,
    COURSE,
    LEARNER_CODE,
    ORIGIN,
    QUEUE,
    add_account,
    add_queue,
    callback_url,
)
from tests.server.web_client import Server
from xqueue_server.models.account import Role
from xqueue_server.storage import accounts, callbacks, course_grants, readiness
from xqueue_server.storage.course_grants import CourseGrant
from xqueue_server.storage.readiness import HostReport
from xqueue_server.submissions.leasing import FailureKind
from xqueue_server.workload import workforce

__all__ = ["database_url"]

PAGES = (
    "/admin/",
    "/admin/submissions",
    "/admin/callbacks",
    "/admin/faults",
    "/admin/regrades",
    "/admin/queues",
    f"/admin/queues/{QUEUE}",
    "/admin/workers",
    "/admin/deadlines",
    "/admin/accounts",
    "/admin/accounts/lms",
    "/admin/tokens",
    "/admin/events",
)


@pytest.mark.parametrize("is_filled", [False, True])
def test_every_page_opens(server: Server, admin: Visitor, is_filled: bool) -> None:
    found = fill(server) if is_filled else {}
    own = [f"/admin/submissions/{id_}" for id_ in found.values()]
    if found:
        own += ["/admin/callbacks/1", "/admin/callbacks/2", "/admin/faults/1"]
        own += ["/admin/faults/1/release", f"/admin/bulk/release?queue={QUEUE}"]
        own += ["/admin/bulk/regrade", "/admin/bulk/replay", "/admin/bulk/give_up"]

    for path in (*PAGES, *own):
        page = admin.see(path)
        assert page.status == 200, f"{path}: {page.text}"


def test_every_link_on_every_page_leads_somewhere(server: Server, admin: Visitor) -> None:
    found = fill(server)
    to_see = [*PAGES, *(f"/admin/submissions/{id_}" for id_ in found.values()), "/admin/faults/1"]
    links = {link for path in to_see for link in admin.see(path).links if link.startswith("/")}

    assert len(links) > 40
    for link in sorted(links):
        assert admin.see(link).status == 200, link


@pytest.mark.parametrize(
    ("query", "kinds"),
    [
        ({"state": "held"}, {"held", "rejected"}),
        ({"held_reason": "grader"}, {"held"}),
        ({"callback": "dead"}, {"dead"}),
        ({"learner": "5"}, {"leased"}),
        ({"course": COURSE, "state": "queued"}, {"queued"}),
        ({"problem": f"{ORIGIN}/courses/{COURSE}/jump_to/{BLOCK}{'a' * 32}"}, {"graded"}),
        ({"problem": callback_url("b" * 32)}, {"dead"}),
        ({"queue": "another"}, set()),
        ({"since": "2027-01-01"}, set()),
    ],
)
def test_filters_compose_and_a_pasted_address_is_a_problem(
    server: Server, admin: Visitor, query: dict[str, str], kinds: set[str]
) -> None:
    found = fill(server)

    page = admin.see("/admin/submissions", **query)

    listed = {
        kind for kind, id_ in found.items() if f'href="/admin/submissions/{id_}"' in page.text
    }
    assert listed == kinds


def test_a_filter_that_can_not_be_used_says_why_and_keeps_what_was_written(
    admin: Visitor,
) -> None:
    page = admin.see("/admin/submissions", since="yesterday", learner="7")

    assert page.status == 422
    assert "is not like 2026-11-20T18:00" in page.text
    assert page.form("/admin/submissions").fields["learner"] == "7"


def test_a_list_says_of_each_why_it_is_there_and_what_next(server: Server, admin: Visitor) -> None:
    fill(server)

    text = admin.see("/admin/submissions").text

    assert "Its grader is broken, or does not exist." in text
    assert "The LMS did not take the message: its last answer was 400." in text
    assert "Mend the cause, then send it again" in text


def test_the_overview_warns_of_hosts_that_are_silent_or_not_safe(
    server: Server, admin: Visitor
) -> None:
    storage, grader = server.desk.storage, server.desk.grader
    workforce.announce(storage, grader, announcement("silent-host"))
    server.desk.clock.advance(60)
    workforce.announce(storage, grader, announcement("unsafe-host", is_canary_ok=False))

    page = admin.see("/admin/").text
    assert "silent-host has not been heard of since" in page
    assert "The sandbox of unsafe-host does not pass its own check" in page


def test_a_host_says_which_grader_is_not_ready_on_it(server: Server, admin: Visitor) -> None:
    workforce.announce(server.desk.storage, server.desk.grader, announcement("grade-1"))
    with server.desk.storage.write() as tx:
        for version, problem in ((1, None), (2, "the image <can> not be fetched")):
            readiness.store(
                tx,
                HostReport(
                    queue=QUEUE,
                    name="square",
                    version=version,
                    host="grade-1",
                    is_ready=problem is None,
                    problem=problem,
                ),
            )

    page = admin.see("/admin/workers").text
    assert "the image &lt;can&gt; not be fetched" in page
    assert "version 2 of" in page
    assert "version 1 of" not in page


def test_what_the_learner_sent_is_shown_on_demand_and_on_record(
    server: Server, admin: Visitor
) -> None:
    found = fill(server)
    page = admin.see(f"/admin/submissions/{found['held']}")
    assert LEARNER_CODE not in page.text

    shown = admin.send(page, f"/admin/submissions/{found['held']}/code")

    assert "the code of a learner" in shown.text
    event = server.desk.events_of(found["held"])[-1]
    assert (event.why, event.actor) == ("code seen", "account chief")


def test_a_viewer_sees_no_code_and_no_buttons(server: Server, signed_in: SignedIn) -> None:
    found, viewer = fill(server), signed_in(Role.VIEWER)

    for kind, id_ in found.items():
        page = viewer.see(f"/admin/submissions/{id_}")
        assert page.status == 200, kind
        assert [form.action for form in page.forms] == ["/admin/sign-out"], kind
    refused = viewer.post(f"/admin/submissions/{found['held']}/code", csrf=viewer.csrf)
    assert refused.status == 403
    assert "the code of a learner" not in refused.text


def test_what_is_not_ones_own_is_not_there(server: Server, signed_in: SignedIn) -> None:
    add_queue(server.desk.storage, "other")
    found, stranger = fill(server), signed_in(Role.OPERATOR, queue="other")

    assert f"/admin/submissions/{found['held']}" not in stranger.see("/admin/submissions").text
    assert QUEUE not in stranger.see("/admin/queues").text
    missing = stranger.see("/admin/submissions/999")
    for path in (
        f"/admin/submissions/{found['held']}",
        f"/admin/submissions/{found['graded']}/reply/1",
        "/admin/callbacks/1",
        "/admin/faults/1",
        f"/admin/queues/{QUEUE}",
    ):
        assert stranger.see(path).status == missing.status == 404, path


def test_an_author_sees_graders_and_faults_but_no_submission(
    server: Server, signed_in: SignedIn
) -> None:
    found, author = fill(server), signed_in(Role.AUTHOR)

    assert author.see("/admin/submissions").status == 403
    assert author.see(f"/admin/submissions/{found['held']}").status == 403
    for path in ("/admin/", "/admin/queues", f"/admin/queues/{QUEUE}", "/admin/faults/1"):
        page = author.see(path)
        assert page.status == 200, path
        for link in filter(lambda link: link.startswith("/"), page.links):
            assert not link.startswith("/admin/submissions"), path
            assert author.see(link).status == 200, f"{path} -> {link}"


def test_a_grant_for_a_course_shows_that_course_on_every_queue(
    server: Server, signed_in: SignedIn
) -> None:
    add_queue(server.desk.storage, "other")
    found = fill(server)
    elsewhere = server.desk.submit("https://lms.example.org/not/of/a/course", queue="other")
    viewer = signed_in(name="teacher")
    with server.desk.storage.write() as tx:
        given = CourseGrant(role=Role.VIEWER, course=COURSE)
        course_grants.grant(tx, "teacher", given, actor="test")

    page = viewer.see("/admin/submissions")

    assert all(f'href="/admin/submissions/{id_}"' in page.text for id_ in found.values())
    assert f'href="/admin/submissions/{elsewhere}"' not in page.text
    assert viewer.see(f"/admin/submissions/{found['held']}").status == 200
    assert viewer.see(f"/admin/submissions/{elsewhere}").status == 404
    assert not viewer.see(f"/admin/submissions/{found['held']}").has_form(
        f"/admin/submissions/{found['held']}/release"
    )
    assert COURSE in viewer.see("/admin/").text


def test_a_page_is_not_sent_twice_when_nothing_has_changed(
    server: Server,
    admin: Visitor,
) -> None:
    fill(server)
    for path in PAGES:
        first = admin.raw("GET", path, headers={"X-Live": "1"})
        again = admin.raw(
            "GET", path, headers={"X-Live": "1", "If-None-Match": first.headers["ETag"]}
        )
        assert (first.status_code, again.status_code) == (200, 304), path
        assert not again.get_data()
    held = admin.raw("GET", "/admin/submissions?state=held", headers={"X-Live": "1"})
    with server.desk.storage.write() as tx:
        callbacks.replay(tx, 2, actor="test")
        accounts.set_active(tx, "grader", False, actor="test")
    dead = admin.raw("GET", "/admin/callbacks", headers={"X-Live": "1"})
    assert b"None: every grade has reached its LMS" in dead.get_data()
    assert held.headers["ETag"] != dead.headers["ETag"]


Unsafe = Callable[[Visitor], str]


def test_every_answer_forbids_scripts_framing_sniffing_and_caching(
    server: Server, admin: Visitor, visitor: Visitor
) -> None:
    fill(server)
    paths = (*PAGES, "/admin/sign-in", "/admin/nowhere", "/admin/submissions/99999999")
    for path in paths:
        headers = (visitor if "sign-in" in path else admin).raw("GET", path).headers
        policy = headers["Content-Security-Policy"]
        assert policy.startswith("default-src 'none'; script-src 'self'; style-src 'self';"), path
        assert "frame-ancestors 'none'" in policy
        assert "unsafe" not in policy
        assert headers["Cache-Control"] == "no-store"
        assert headers["X-Content-Type-Options"] == "nosniff"
        assert headers["Referrer-Policy"] == "same-origin"


def test_no_page_has_script_or_style_in_it(server: Server, admin: Visitor) -> None:
    found = fill(server)
    for path in (*PAGES, f"/admin/submissions/{found['graded']}", "/admin/sign-in"):
        text = admin.see(path).text
        for inline in ("style=", "<style", "onclick", "onload", "javascript:", "<script>"):
            assert inline not in text, f"{path} has {inline}"


def test_text_of_others_is_never_markup(server: Server, admin: Visitor) -> None:
    evil = "<script>alert(1)</script><img src=x onerror=alert(2)>"
    add_account(server.desk.storage, "lms2", Role.LMS)
    submission_id = server.desk.submit(callback_url("a" * 32, user="<b>7"))  # type: ignore[arg-type]
    server.desk.fail(server.desk.lease(), FailureKind.GRADER, evil)

    for path in (
        f"/admin/submissions/{submission_id}",
        "/admin/submissions?learner=%3Cb%3E7",
        "/admin/faults",
        "/admin/faults/1",
        "/admin/events",
    ):
        text = admin.see(path).text
        assert "<script>alert" not in text, path
        assert "<img src=x" not in text, path
        assert "<b>7" not in text, path


def test_static_files_are_kept_for_ever_under_an_address_of_their_content(admin: Visitor) -> None:
    page = admin.see("/admin/")
    path = page.text.split('rel="stylesheet" href="')[1].split('"')[0]

    answer = admin.raw("GET", path)
    older = admin.raw("GET", path.replace(path.split("/")[3], "0" * 16))

    assert answer.headers["Cache-Control"] == "public, max-age=31536000, immutable"
    assert answer.content_type == "text/css; charset=utf-8"
    assert older.headers["Cache-Control"] == "no-store"
    assert admin.raw("GET", "/admin/static/x/../routes.py").status_code == 404
    assert admin.raw("GET", "/admin/static/x/%2e%2e%2froutes.py").status_code == 404


def test_the_reply_is_a_page_that_may_do_nothing(server: Server, admin: Visitor) -> None:
    found = fill(server)

    answer = admin.raw("GET", f"/admin/submissions/{found['graded']}/reply/1")

    assert b"<p>Well done</p>" in answer.get_data()
    policy = answer.headers["Content-Security-Policy"]
    assert policy.startswith("sandbox; default-src 'none';")
    assert "script-src" not in policy
    assert "allow-scripts" not in policy


def test_what_broke_is_said_on_a_friendly_page(server: Server, admin: Visitor) -> None:
    missing = admin.see("/admin/submissions/12345")
    odd = admin.see("/admin/no/such/page")

    assert "There is no submission 12345, or it is not yours to see." in missing.text
    assert (odd.status, "There is no such page." in odd.text) == (404, True)
