"""Logging in and out, and the cookies (facts 1.0 to 1.2)."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from email.utils import parsedate_to_datetime

import pytest

from tests.wire.exchange import PASSWORD, USERNAME, Wire, expected

FOURTEEN_DAYS_S = 1_209_600


def test_the_right_password_opens_a_session(anonymous: Wire) -> None:
    answer = anonymous.login()

    assert answer.body == b'{"return_code": 0, "content": "Logged in"}'
    assert answer.headers["Content-Type"] == "text/html; charset=utf-8"
    assert anonymous.get("/xqueue/get_queuelen/?queue_name=test-queue").status == 200


def test_the_session_cookie_has_the_attributes_that_clients_know(anonymous: Wire) -> None:
    cookie = anonymous.login().cookie("sessionid")

    assert (cookie["max-age"], cookie["path"]) == (str(FOURTEEN_DAYS_S), "/")
    assert (cookie["httponly"], cookie["samesite"], cookie["secure"]) == (True, "Lax", "")
    assert cookie["domain"] == ""
    ends = parsedate_to_datetime(cookie["expires"]) - datetime.now(UTC)
    assert abs(ends - timedelta(seconds=FOURTEEN_DAYS_S)) < timedelta(minutes=1)


def test_the_session_cookie_can_be_pasted_into_a_command_line(anonymous: Wire) -> None:
    anonymous.login()

    value = anonymous.session or ""

    assert value
    assert not set(value) & set("\"'; ,\\$`")


def test_a_login_also_sets_a_csrf_token_that_scripts_can_read(anonymous: Wire) -> None:
    cookie = anonymous.login().cookie("csrftoken")

    assert cookie.value.isalnum()
    assert (cookie["path"], cookie["samesite"], cookie["httponly"]) == ("/", "Lax", "")


@pytest.mark.parametrize(
    ("form", "complaint"),
    [
        ({"username": USERNAME, "password": "wrong"}, "Incorrect login credentials"),
        ({"username": "nobody", "password": PASSWORD}, "Incorrect login credentials"),
        ({"username": "no\x00body", "password": "\x00"}, "Incorrect login credentials"),
        ({"username": "", "password": ""}, "Incorrect login credentials"),
        ({"username": USERNAME}, "Insufficient login info"),
        ({}, "Insufficient login info"),
    ],
)
def test_a_login_that_fails_says_why_and_sets_no_cookie(
    anonymous: Wire, form: dict[str, str], complaint: str
) -> None:
    answer = anonymous.post("/xqueue/login/", form)

    assert (answer.status, answer.body) == (200, expected(1, complaint))
    assert not answer.headers.get_all("Set-Cookie")


def test_a_password_without_a_user_name_is_a_complaint_and_no_crash(anonymous: Wire) -> None:
    answer = anonymous.post("/xqueue/login/", {"password": "x"})

    assert answer.complaint == "Insufficient login info"


@pytest.mark.parametrize("method", ["GET", "PUT", "DELETE"])
@pytest.mark.parametrize("query", ["", "?next=/xqueue/submit/", "?username=lms&password=x"])
def test_any_other_method_on_login_is_the_sign_to_log_in(
    anonymous: Wire, method: str, query: str
) -> None:
    answer = anonymous.request(method, f"/xqueue/login/{query}")

    assert (answer.status, answer.body) == (200, expected(1, "login_required"))


@pytest.mark.parametrize("method", ["GET", "POST", "PUT", "DELETE"])
def test_anybody_may_log_out_with_any_method(anonymous: Wire, method: str) -> None:
    answer = anonymous.request(method, "/xqueue/logout/")

    assert (answer.status, answer.body) == (200, expected(0, "Goodbye"))


def test_logging_out_takes_the_cookie_back(anonymous: Wire) -> None:
    anonymous.login()

    cookie = anonymous.post("/xqueue/logout/").cookie("sessionid")

    assert (cookie.value, cookie["max-age"], cookie["path"]) == ("", "0", "/")


def test_a_login_can_come_as_multipart(anonymous: Wire) -> None:
    form = {"username": USERNAME, "password": PASSWORD}

    assert anonymous.upload("/xqueue/login/", form, {}).content == "Logged in"
