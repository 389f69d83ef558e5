"""Limits of what a request may carry, and that nothing in one is a fault of the server."""

from __future__ import annotations

import io
from collections.abc import Iterator
from urllib.parse import quote, urlencode

import pytest
from hypothesis import HealthCheck, given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st
from urllib3 import encode_multipart_formdata

from tests.server.builders import QUEUE, lms_body, lms_header
from tests.server.web_client import Server, read_answer
from xqueue_server.web.forms import SLACK, URLENCODED_GROWTH
from xqueue_server.web.routes import ENDPOINTS

LIMIT = 700_000
FORM = "application/x-www-form-urlencoded"
fuzz = hypothesis_settings(
    deadline=None,
    max_examples=60,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
PATHS = [f"/xqueue/{endpoint.name}/" for endpoint in ENDPOINTS]


@pytest.fixture(autouse=True)
def _no_fault_was_logged(caplog: pytest.LogCaptureFixture) -> Iterator[None]:
    yield
    said = caplog.get_records("call")
    assert not [r.getMessage() for r in said if r.levelname in ("ERROR", "CRITICAL")]


def fitting_body(extra: int = 0) -> str:
    return "x" * (LIMIT - len(lms_header()) + extra)


@pytest.mark.parametrize("multipart", [False, True])
def test_fields_of_exactly_the_limit_are_taken_and_one_byte_more_refused(
    server: Server, multipart: bool
) -> None:
    def submit(body: str) -> int:
        fields = {"xqueue_header": lms_header(), "xqueue_body": body}
        data, kind = encode_multipart_formdata(fields) if multipart else (urlencode(fields), FORM)
        response = server.lms.raw("POST", "/xqueue/submit/", data=data, content_type=kind)
        return read_answer(response).code

    assert submit(fitting_body()) == 0
    assert submit(fitting_body(1)) == 1
    assert server.desk.count("submissions") == 1


def test_escapes_do_not_count_against_the_limit(server: Server) -> None:
    body = "\x00" * (LIMIT - 1000)
    assert server.lms.submit(body=body).code == 0
    assert server.grader.fetch().body == body


def test_a_body_far_beyond_the_limit_is_answered(server: Server) -> None:
    answer = server.lms.submit(body="x" * 5 * LIMIT)
    assert (answer.code, "too large" in answer.content) == (1, True)


@pytest.mark.parametrize("unit", ["a&", "a=1&", "&"])
def test_a_million_fields_are_refused_before_they_are_parsed(server: Server, unit: str) -> None:
    for caller, path in ((server.lms, "submit"), (server.nobody, "login")):
        data = (unit * (1_000_000 // len(unit))).encode()
        response = caller.raw("POST", f"/xqueue/{path}/", data=data, content_type=FORM)
        assert "too large" in read_answer(response).content


def test_whoever_is_not_signed_in_may_send_little(server: Server) -> None:
    answer = server.nobody.post("login", username="lms", password="x" * 100_000)
    assert (answer.code, "too large" in answer.content) == (1, True)


@pytest.mark.parametrize(
    "content_type",
    [FORM, f"{FORM}; charset=latin-1", f"{FORM}; charset=no-such", "multipart/form-data",
     "multipart/form-data; boundary=", "multipart/form-data; boundary=x", "text/plain",
     "application/json", "", "x", "multipart/form-data; boundary=" + "x" * 500],
)  # fmt: skip
@pytest.mark.parametrize(
    "data",
    [b"", b"\x00", b"\xff\xfe%", b"--x\r\n\r\n", b"--x--", b"--x\r\nContent-Disposition: form-data",
     b"--x\r\nContent-Disposition: form-data; name=\r\n\r\na\r\n--x--\r\n", b"%", b"a=%zz", b"{}",
     b"--x\r\nContent-Disposition: form-data; name=\"xqueue_header\"\r\n\r\n\xff\r\n--x--\r\n"],
)  # fmt: skip
def test_a_broken_body_is_answered(server: Server, content_type: str, data: bytes) -> None:
    for caller, path in ((server.lms, "submit"), (server.nobody, "login")):
        response = caller.raw("POST", f"/xqueue/{path}/", data=data, content_type=content_type)
        assert read_answer(response).code == 1


@pytest.mark.parametrize("missing", [1, 20])
def test_a_form_that_ends_early_is_not_taken_for_a_shorter_one(
    server: Server, missing: int
) -> None:
    """Half of a learner's program must not be graded because the LMS was killed while it sent."""
    whole = urlencode({"xqueue_header": lms_header(), "xqueue_body": lms_body()}).encode()
    response = server.lms.raw(
        "POST",
        "/xqueue/submit/",
        input_stream=io.BytesIO(whole[:-missing]),
        content_type=FORM,
        environ_overrides={
            "CONTENT_LENGTH": str(len(whole)),
            "wsgi.input_terminated": True,  # as gunicorn says, always
        },
    )
    answer = read_answer(response)
    assert (answer.code, answer.content) == (1, "The request body can not be parsed")
    assert server.desk.count("submissions") == 0


def test_a_chunked_form_beyond_the_limit_is_refused_and_not_cut(server: Server) -> None:
    """The framework stops reading at the limit and says nothing."""
    padding = "&pad=" + "%20" * (LIMIT + 100_000)
    fields = {"xqueue_header": lms_header(), "xqueue_body": lms_body()}
    content = f"pad=&{urlencode(fields)}{padding}".encode()
    assert len(content) > URLENCODED_GROWTH * LIMIT + SLACK
    response = server.lms.raw(
        "POST",
        "/xqueue/submit/",
        input_stream=io.BytesIO(content + b"&pad="),
        content_type=FORM,
        headers={"Transfer-Encoding": "chunked"},
        environ_overrides={"wsgi.input_terminated": True},
    )
    assert "too large" in read_answer(response).content
    assert server.desk.count("submissions") == 0


@pytest.mark.parametrize("path", ["//xqueue/submit/", "/xqueue//submit/", "/xqueue/submit//"])
def test_a_doubled_slash_is_an_unknown_path_and_no_redirect(server: Server, path: str) -> None:
    """werkzeug would redirect it with 308, which watchers take for a dead server."""
    response = server.lms.raw("GET", path, base_url="http://localhost")
    assert response.status_code == 404


_text = st.text(max_size=40) | st.sampled_from([QUEUE, "", "\x00", "9" * 30, "NaN", "{}", "[]"])


@given(data=st.data())
@hypothesis_settings(fuzz)
def test_no_endpoint_fails_on_any_form(server: Server, data: st.DataObject) -> None:
    path = data.draw(st.sampled_from(PATHS))
    names = ["xqueue_header", "xqueue_body", "kind", "detail", "lease_s", "username", "password"]
    fields = data.draw(st.dictionaries(st.sampled_from(names) | st.text(max_size=5), _text))
    header = data.draw(
        st.fixed_dictionaries(
            {"submission_id": st.integers() | _text | st.none() | st.floats(allow_nan=False)},
            optional={"submission_key": _text | st.none() | st.integers(), "queue_name": _text},
        )
    )
    if data.draw(st.booleans()):
        fields["xqueue_header"] = str(header).replace("'", '"').replace("None", "null")
    query = data.draw(st.dictionaries(st.sampled_from(["queue_name", "lease_s", "x"]), _text))
    caller = data.draw(st.sampled_from([server.lms, server.grader, server.nobody]))
    method = data.draw(st.sampled_from(["GET", "POST", "PUT", "DELETE", "OPTIONS", "HEAD"]))
    clean = {k.encode(errors="replace").decode(): v for k, v in fields.items()}
    response = caller.raw(method, path, data=clean, query_string=query)
    assert response.status_code in (200, 302, 403)


@given(data=st.binary(max_size=300), path=st.sampled_from(PATHS))
@hypothesis_settings(fuzz)
def test_no_endpoint_fails_on_any_bytes(server: Server, data: bytes, path: str) -> None:
    for kind in (FORM, "multipart/form-data; boundary=x"):
        response = server.grader.raw("POST", path, data=data, content_type=kind)
        assert response.status_code in (200, 403)


@given(
    query=st.binary(max_size=60).map(quote) | st.text(alphabet="%&=;+aqueue_name\xff", max_size=40)
)
@hypothesis_settings(fuzz)
def test_no_endpoint_fails_on_any_query(server: Server, query: str) -> None:
    for path in ("/xqueue/get_submission", "/xqueue/get_submission/", "/xqueue/get_queuelen/"):
        for caller in (server.grader, server.nobody):
            response = caller.raw("GET", path, query_string=query)
            assert response.status_code in (200, 301, 302)


@given(cookie=st.text(alphabet=st.characters(max_codepoint=255), max_size=80))
@hypothesis_settings(fuzz)
def test_no_cookie_is_a_session_but_ours(server: Server, cookie: str) -> None:
    clean = cookie.replace("\r", "").replace("\n", "")
    headers = {"Cookie": f"sessionid={clean}"}
    response = server.nobody.raw("GET", "/xqueue/get_submission/", headers=headers)
    assert response.status_code == 302


@pytest.mark.parametrize("host", ["", "x y", "[", "a" * 300, "ü", "evil.example", "[::1"])
def test_no_host_header_is_a_fault(server: Server, host: str) -> None:
    response = server.lms.raw(
        "POST",
        "/xqueue/submit/",
        data={"xqueue_header": lms_header(), "xqueue_body": lms_body()},
        environ_overrides={"HTTP_HOST": host},
    )
    assert response.status_code in (200, 302, 400)
