"""What a submission must be to be taken; nothing in it is too odd for a clear answer."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import HealthCheck, given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st

from tests.server.builders import ORIGIN, QUEUE, Desk, callback_url, lms_body, lms_header
from tests.server.web_client import Server
from xqueue_server import settings
from xqueue_server.errors import InvalidRequest
from xqueue_server.settings import Settings, origin_of
from xqueue_server.submissions import intake

INVALID = "Queue request has invalid format"
SECRET = {"XQUEUE_SECRET_KEY": "s" * 32}
fuzz = hypothesis_settings(
    deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)

# -- origins ---------------------------------------------------------------------------------------

ORIGINS = {
    "https://lms.example.org/x": "https://lms.example.org",
    "https://lms.example.org": "https://lms.example.org",
    "HTTPS://LMS.Example.ORG/x": "https://lms.example.org",
    "https://lms.example.org:443/x": "https://lms.example.org",
    "http://lms.example.org:80/x": "http://lms.example.org",
    "https://lms.example.org:/x": "https://lms.example.org",
    "http://lms.example.org:443/x": "http://lms.example.org:443",
    "https://lms.example.org:8443/x": "https://lms.example.org:8443",
    "https://lms.example.org:08443/x": "https://lms.example.org:8443",
    "http://[::1]:8000/x": "http://[::1]:8000",
    "http://[FE80::1]/x": "http://[fe80::1]",
    "https://lms.example.org./x": "https://lms.example.org.",
    "https://xn--lms-tna.example/x": "https://xn--lms-tna.example",
    "https://lms.example.org?x": "https://lms.example.org",
    "https://lms.example.org#x": "https://lms.example.org",
    "https://user@lms.example.org/x": None,
    "https://user:pass@lms.example.org/x": None,
    "https://@lms.example.org/x": None,
    "https://lms.example.org\\@evil.example/x": None,
    "https://evil.example\\.lms.example.org/x": None,
    "https://lms.example.org%2f@evil.example/": None,
    "https://lms.example.org%00/": None,
    "https://lms.exämple.org/x": None,
    "https://ｌｍｓ.example.org/x": None,
    "https://lms.example.org:99999/x": None,
    "https://lms.example.org:-1/x": None,
    "https://lms.example.org:x/": None,
    "https://[::1/x": None,
    "https://[fe80::1%25eth0]/x": None,
    "https:///x": None,
    "https:lms.example.org": None,
    "//lms.example.org/x": None,
    "/x": None,
    "": None,
    "ftp://lms.example.org/x": None,
    "javascript:alert(1)": None,
    "file:///etc/passwd": None,
    "https://lms,example/": None,
    "https://*/": None,
}


@pytest.mark.parametrize("url", ORIGINS)
def test_the_origin_of_a_url_is_normalised_or_nothing(url: str) -> None:
    assert origin_of(url) == ORIGINS[url]


def allows(mode: str, origins: str, url: str) -> bool:
    loaded = settings.load(
        SECRET
        | {
            "XQUEUE_MODE": mode,
            "XQUEUE_LMS_ORIGINS": origins,
            "XQUEUE_DATABASE_URL": "postgresql://h/d",
        }
    )
    try:
        intake.check_callback_url(url, loaded.allows_origin)
    except InvalidRequest:
        return False
    return True


@pytest.mark.parametrize(
    ("origins", "url", "is_allowed"),
    [
        ("https://lms.example.org", "https://lms.example.org/x", True),
        ("https://LMS.example.org:443/", "https://lms.example.org/x", True),
        ("https://lms.example.org", "https://lms.example.org:443/x", True),
        (" https://a.example , https://lms.example.org ,", "https://lms.example.org/x", True),
        ("https://lms.example.org", "http://lms.example.org/x", False),
        ("https://lms.example.org", "https://lms.example.org:8443/x", False),
        ("https://lms.example.org", "https://lms.example.org.evil.example/x", False),
        ("https://lms.example.org", "https://evil.lms.example.org/x", False),
        ("https://lms.example.org", "https://lms.example.org./x", False),
        ("https://lms.example.org", "https://user@lms.example.org/x", False),
        ("http://[::1]:8000", "http://[::1]:8000/x", True),
        ("", "https://lms.example.org/x", False),
        ("", "http://127.0.0.1/x", False),
        ("https://*", "https://any.example/x", True),
        ("https://*", "https://any.example:8443/x", True),
        ("https://*", "http://any.example/x", False),
        ("https://*,http://lms.example.org", "http://lms.example.org/x", True),
    ],
)
def test_in_production_exactly_the_listed_origins_are_allowed(
    origins: str, url: str, is_allowed: bool
) -> None:
    assert allows("production", origins, url) is is_allowed


@pytest.mark.parametrize(
    ("url", "is_allowed"),
    [
        ("http://127.0.0.1/x", True),
        ("http://127.0.0.1:8000/x", True),
        ("http://localhost:8000/x", True),
        ("http://LOCALHOST/x", True),
        ("http://[::1]:8000/x", True),
        ("https://127.0.0.1/x", False),
        ("http://127.0.0.2/x", False),
        ("http://127.1/x", False),
        ("http://0x7f000001/x", False),
        ("http://0.0.0.0/x", False),
        ("http://localhost.evil.example/x", False),
        ("http://127.0.0.1.evil.example/x", False),
        ("http://[::ffff:127.0.0.1]/x", False),
        ("http://10.0.0.1/x", False),
        ("https://lms.example.org/x", False),
    ],
)
def test_demo_mode_allows_loopback_and_nothing_else(url: str, is_allowed: bool) -> None:
    assert allows("demo", "", url) is is_allowed


@pytest.mark.parametrize(
    "url",
    [f"{ORIGIN}/a b", f"{ORIGIN}/\r\nX: y", f"{ORIGIN}/\x00", f" {ORIGIN}/", f"{ORIGIN}/\x7f",
     f"{ORIGIN}/\ud800", f"{ORIGIN}/\x85", f"ht\ntps://{ORIGIN[8:]}/", f"{ORIGIN}\t/x"],
)  # fmt: skip
def test_a_url_with_characters_that_split_headers_is_refused(url: str) -> None:
    assert not allows("production", ORIGIN, url)


@given(url=st.text() | st.text(alphabet="htps:/@[]?#\\.%0aA:81lmse ", max_size=40))
@hypothesis_settings(max_examples=500, deadline=None)
def test_no_text_is_too_odd_for_a_url(url: str) -> None:
    origin = origin_of(url)
    assert origin is None or origin.startswith(("http://", "https://"))
    allows_nothing: Any = lambda _origin: False  # noqa: E731
    with pytest.raises(InvalidRequest):
        intake.check_callback_url(url, allows_nothing)


def test_a_refused_origin_is_named_with_the_setting_that_would_allow_it(server: Server) -> None:
    answer = server.lms.submit(lms_header("https://other.example:8443/x"))
    assert answer.code == 1
    assert answer.content == (
        "Callbacks to https://other.example:8443 are not allowed here; add it to XQUEUE_LMS_ORIGINS"
    )
    assert server.desk.count("submissions") == 0


# -- headers ---------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "header",
    ["", "x", "[]", "null", "1", '"x"', "{}", "{", "[" * 100_000, '{"a":' * 100_000, "9" * 5000,
     '{"lms_key": "k", "queue_name": "python"}', "\x00", "NaN"],
)  # fmt: skip
def test_a_header_that_is_no_object_with_the_three_keys_is_refused(
    server: Server, header: str
) -> None:
    answer = server.lms.submit(header)
    assert (answer.code, answer.content) == (1, INVALID)


def test_every_nesting_around_the_recursion_limit_is_answered_without_a_fault(
    server: Server, caplog: pytest.LogCaptureFixture
) -> None:
    for depth in range(700, 1010, 2):
        nested = "[" * depth + "]" * depth
        for name in ("lms_key", "queue_name", "lms_callback_url"):
            parts = {"lms_key": '"k"', "queue_name": '"q"', "lms_callback_url": '"u"'}
            parts[name] = nested
            header = "{" + ", ".join(f'"{k}": {v}' for k, v in parts.items()) + "}"
            assert server.lms.submit(header).code == 1
    assert not [r for r in caplog.records if r.levelname == "ERROR"]


@pytest.mark.parametrize(
    "key",
    ["k", "", 7, 0.5, None, True, [1, {"a": None}], {"b": [], "a": "\x00\ud800"}, 10**4000],
    ids=lambda value: repr(value)[:20],
)  # fmt: skip
def test_the_lms_key_may_be_anything_and_goes_back_as_it_came(desk: Desk, key: Any) -> None:
    submission_id = desk.submit(key=key)
    desk.put(desk.lease())
    due = desk.claim_callback()
    assert due.submission_id == submission_id
    assert due.header == lms_header(key=key)


@pytest.mark.parametrize(
    "queue", [None, 1, [], {"a": 1}, "", "\x00", "\ud800", "no such", "*", "%"]
)
def test_a_queue_that_does_not_exist_is_named(server: Server, queue: Any) -> None:
    answer = server.lms.submit(lms_header(queue=queue))
    assert (answer.code, answer.content) == (1, f"Queue '{queue}' not found")


_json = st.recursive(
    st.none() | st.booleans() | st.floats() | st.integers() | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=8,
)


@given(
    header=st.fixed_dictionaries(
        {},
        optional={
            "lms_callback_url": _json | st.just(callback_url()),
            "lms_key": _json,
            "queue_name": _json | st.just(QUEUE),
            "extra": _json,
        },
    )
    | _json,
    body=st.text(),
)
@hypothesis_settings(fuzz, max_examples=120)
def test_whatever_is_taken_goes_through_unchanged_and_the_rest_is_refused(
    server: Server, header: Any, body: str
) -> None:
    body = body.encode(errors="replace").decode()
    header_text = json.dumps(header)
    answer = server.lms.submit(header_text, body)
    if answer.code == 1:
        assert isinstance(answer.content, str)
        return
    given = server.grader.fetch()
    assert given.body == body
    assert server.grader.put(given).code == 0
    due = server.desk.claim_callback()
    assert due.header == header_text
    assert server.desk.deliver(due)


def test_a_long_header_and_body_are_kept_to_the_last_byte(server: Server) -> None:
    header = json.dumps({**json.loads(lms_header()), "extra": "\U0001f511" * 2000}, indent=3)
    body = lms_body(response="\U0001f511\x00\r\n" * 500)
    server.lms.submit(header, body)
    assert server.grader.fetch().body == body


def test_the_answer_to_a_submit_is_the_queue_length_as_text(server: Server) -> None:
    assert server.lms.submit().content == "1"
    assert server.lms.submit().content == "2"
    server.grader.fetch()
    assert server.lms.submit().content == "2"


def test_a_production_server_without_origins_takes_no_submission(
    server: Server, environment: dict[str, str]
) -> None:
    loaded: Settings = settings.load(environment | {"XQUEUE_LMS_ORIGINS": ""})
    assert not loaded.allows_origin(ORIGIN)
    assert not loaded.allows_origin("http://127.0.0.1:8000")
