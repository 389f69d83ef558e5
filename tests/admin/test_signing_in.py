"""Who gets in, and for how long."""

from __future__ import annotations

import pytest

from tests.admin.conftest import SignedIn
from tests.admin.visitor import Visitor
from tests.conftest import database_url
from tests.server.builders import PASSWORD, QUEUE, add_account
from tests.server.web_client import Server
from xqueue_server.accounts import passwords
from xqueue_server.models.account import Role
from xqueue_server.storage import accounts
from xqueue_server.web.admin import session

__all__ = ["database_url"]

OVERVIEW = "<h1>Overview</h1>"


def is_let_in(visitor: Visitor) -> bool:
    return OVERVIEW in visitor.see("/admin/").text


def test_whoever_is_not_signed_in_is_asked_to(visitor: Visitor) -> None:
    page = visitor.see("/admin/submissions?state=held")

    assert page.form("/admin/sign-in").fields["next"] == "/admin/submissions?state=held"


def test_a_local_account_signs_in_with_its_password(server: Server, visitor: Visitor) -> None:
    add_account(server.desk.storage, "olga", Role.OPERATOR)

    assert OVERVIEW in visitor.sign_in("olga").text
    assert is_let_in(visitor)


def test_a_wrong_password_says_nothing_about_the_account(server: Server, visitor: Visitor) -> None:
    add_account(server.desk.storage, "olga", Role.OPERATOR)

    wrong = visitor.sign_in("olga", "wrong")
    unknown = visitor.sign_in("nobody-at-all", "wrong")

    assert wrong.status == unknown.status == 401
    assert wrong.text.replace("olga", "") == unknown.text.replace("nobody-at-all", "")
    assert not is_let_in(visitor)


def test_too_many_wrong_passwords_close_the_account_for_a_while(
    server: Server, visitor: Visitor
) -> None:
    add_account(server.desk.storage, "olga", Role.OPERATOR)
    for _ in range(10):
        visitor.sign_in("olga", "wrong")

    assert "Too many failed logins" in visitor.sign_in("olga").text
    assert not is_let_in(visitor)


def test_an_account_without_grants_sees_what_an_administrator_must_do(signed_in: SignedIn) -> None:
    page = signed_in(name="newcomer").see("/admin/")

    assert page.status == 403
    assert "xqueue-server account grant newcomer" in page.text


@pytest.mark.parametrize("role", [Role.LMS, Role.GRADER])
def test_a_role_of_the_protocol_opens_no_page(signed_in: SignedIn, role: Role) -> None:
    visitor = signed_in(role, name="a-program")

    assert visitor.see("/admin/").status == 403
    assert visitor.see("/admin/submissions").status == 403


def test_a_session_of_the_protocol_opens_no_admin_page(server: Server, visitor: Visitor) -> None:
    account = add_account(server.desk.storage, "olga", Role.ADMIN, Role.LMS)
    token = server.services.sessions.issue(account)
    for name in ("sessionid", session.COOKIE):
        visitor.client.set_cookie(name, token, path="/")

    assert not is_let_in(visitor)


def test_an_admin_session_opens_nothing_of_the_protocol(server: Server, visitor: Visitor) -> None:
    add_account(server.desk.storage, "olga", Role.ADMIN, Role.LMS, Role.AUTHOR)
    visitor.sign_in("olga")
    cookie = visitor.client.get_cookie(session.COOKIE, path="/admin")
    assert cookie is not None
    visitor.client.set_cookie("sessionid", cookie.value, path="/")

    queue_length = visitor.raw("GET", f"/xqueue/get_queuelen/?queue_name={QUEUE}")
    assert queue_length.status_code == 302
    assert visitor.raw("GET", "/api/v1/graders").status_code == 401


def test_signing_out_ends_the_session_and_not_only_the_cookie(
    server: Server, signed_in: SignedIn
) -> None:
    visitor, thief = signed_in(Role.OPERATOR), Visitor(server.app)
    cookie = visitor.client.get_cookie(session.COOKIE, path="/admin")
    assert cookie is not None
    thief.client.set_cookie(session.COOKIE, cookie.value, path="/admin")
    assert is_let_in(thief)

    visitor.send(visitor.see("/admin/"), "/admin/sign-out")

    assert not is_let_in(visitor)
    assert not is_let_in(thief)


def test_a_new_password_ends_the_session(server: Server, signed_in: SignedIn) -> None:
    visitor = signed_in(Role.OPERATOR, name="olga")
    with server.desk.storage.write() as tx:
        accounts.set_password(tx, "olga", passwords.hash_password("another one"), actor="test")

    assert not is_let_in(visitor)


def test_a_disabled_account_is_out_at_once(server: Server, signed_in: SignedIn) -> None:
    visitor = signed_in(Role.OPERATOR, name="olga")
    with server.desk.storage.write() as tx:
        accounts.set_active(tx, "olga", False, actor="test")

    assert not is_let_in(visitor)


def test_a_session_lasts_half_a_day(server: Server, signed_in: SignedIn) -> None:
    visitor = signed_in(Role.OPERATOR)
    server.desk.clock.advance(session.LASTS_S - 1)
    assert is_let_in(visitor)

    server.desk.clock.advance(2)

    assert not is_let_in(visitor)


def test_the_cookie_is_out_of_reach_of_scripts_and_other_sites(
    server: Server, visitor: Visitor
) -> None:
    add_account(server.desk.storage, "olga", Role.OPERATOR)
    response = visitor.raw(
        "POST",
        "/admin/sign-in",
        data={"name": "olga", "password": PASSWORD},
        base_url="https://xqueue.example.org",
        headers={"Origin": "https://xqueue.example.org"},
    )

    cookie = next(c for c in response.headers.getlist("Set-Cookie") if session.COOKIE in c)
    for attribute in ("HttpOnly", "SameSite=Lax", "Secure", "Path=/admin", "Max-Age=43200"):
        assert attribute in cookie


@pytest.mark.parametrize("secure", ["http", "https"])
def test_the_cookie_is_secure_exactly_where_the_page_is(
    server: Server, visitor: Visitor, secure: str
) -> None:
    add_account(server.desk.storage, "olga", Role.OPERATOR)
    response = visitor.raw(
        "POST",
        "/admin/sign-in",
        data={"name": "olga", "password": PASSWORD},
        headers={"X-Forwarded-Proto": secure},
    )

    cookie = next(c for c in response.headers.getlist("Set-Cookie") if session.COOKIE in c)
    assert ("Secure" in cookie) == (secure == "https")


@pytest.mark.parametrize(
    "next_",
    [
        "https://evil.example.org/",
        "//evil.example.org/",
        "/\\evil.example.org",
        "/admin/\\evil.example.org",
        "/admin//../../xqueue/logout/",
        "/admin/sign-out",
        "/xqueue/logout/",
        "javascript:alert(1)",
        "/admin/\r\nLocation: https://evil.example.org",
        "",
    ],
)
def test_signing_in_leads_nowhere_else(server: Server, visitor: Visitor, next_: str) -> None:
    add_account(server.desk.storage, "olga", Role.OPERATOR)

    response = visitor.raw(
        "POST", "/admin/sign-in", data={"name": "olga", "password": PASSWORD, "next": next_}
    )

    assert response.status_code == 303
    assert response.headers["Location"] == "/admin/"


def test_signing_in_leads_to_the_page_that_was_asked_for(server: Server, visitor: Visitor) -> None:
    add_account(server.desk.storage, "olga", Role.OPERATOR)

    response = visitor.raw(
        "POST",
        "/admin/sign-in",
        data={
            "name": "olga",
            "password": PASSWORD,
            "next": "/admin/submissions?state=held&q=a%20b",
        },
    )

    assert response.headers["Location"] == "/admin/submissions?state=held&q=a%20b"


def test_another_site_can_not_sign_somebody_in(server: Server, visitor: Visitor) -> None:
    add_account(server.desk.storage, "mallory", Role.OPERATOR)

    page = visitor.post(
        "/admin/sign-in", origin="https://evil.example.org", name="mallory", password=PASSWORD
    )

    assert page.status == 403
    assert not is_let_in(visitor)
