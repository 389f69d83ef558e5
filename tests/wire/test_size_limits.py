"""Too much of everything: answered in words that the client can read, and the server lives on."""

from __future__ import annotations

import json

import pytest

from tests.wire.exchange import Wire
from tests.wire.traffic import fetch, header, put_result, submit

MB = 1024 * 1024


@pytest.fixture(autouse=True)
def server_goes_on(wire: Wire) -> object:
    yield
    assert submit(wire).content == "1"


@pytest.mark.parametrize("size_mb", [3, 9])
def test_bodies_that_broke_the_reference_are_taken(wire: Wire, size_mb: int) -> None:
    body = "x" * (size_mb * MB)
    assert submit(wire, body=body).content == "1"

    assert fetch(wire).body == body


@pytest.mark.parametrize("size_mb", [11, 25, 60])
def test_an_oversize_form_is_answered(wire: Wire, size_mb: int) -> None:
    assert "too large" in submit(wire, body="x" * (size_mb * MB)).complaint


def test_an_oversize_form_of_escapes_is_answered(wire: Wire) -> None:
    assert "too large" in submit(wire, body="\x00" * (11 * MB)).complaint


@pytest.mark.parametrize("size_mb", [11, 60])
def test_an_oversize_multipart_field_is_answered(wire: Wire, size_mb: int) -> None:
    form = {"xqueue_header": header(), "xqueue_body": "x" * (size_mb * MB)}

    assert "too large" in wire.upload("/xqueue/submit/", form, {}).complaint


@pytest.mark.parametrize("size_mb", [11, 60])
def test_an_oversize_file_is_answered(wire: Wire, size_mb: int) -> None:
    form = {"xqueue_header": header(), "xqueue_body": "{}"}
    files = {"big": ("big", b"x" * (size_mb * MB))}

    assert "larger than" in wire.upload("/xqueue/submit/", form, files).complaint


def test_too_many_files_are_answered(wire: Wire) -> None:
    form = {"xqueue_header": header(), "xqueue_body": "{}"}
    files = {f"f{n}": (f"f{n}", b"x") for n in range(21)}

    assert "too large" in wire.upload("/xqueue/submit/", form, files).complaint


def test_as_many_files_as_the_lms_allows_are_taken(wire: Wire) -> None:
    form = {"xqueue_header": header(), "xqueue_body": "{}"}
    files = {f"f{n}": (f"f{n}", b"x" * 1000) for n in range(20)}

    assert wire.upload("/xqueue/submit/", form, files).content == "1"
    assert len(json.loads(fetch(wire).files)) == 20


def test_more_fields_than_anyone_needs_are_answered(wire: Wire) -> None:
    form = {f"f{n}": "x" for n in range(5000)}

    assert wire.upload("/xqueue/submit/", form, {}).envelope["return_code"] == 1
    assert wire.post("/xqueue/submit/", form).envelope["return_code"] == 1


def test_an_oversize_result_is_answered(wire: Wire) -> None:
    submit(wire)

    assert "too large" in put_result(wire, fetch(wire).header, "x" * (11 * MB)).complaint


def test_an_oversize_body_of_somebody_unknown_is_sent_to_the_login(anonymous: Wire) -> None:
    assert submit(anonymous, body="x" * (60 * MB)).status == 302


def test_an_oversize_body_on_an_unknown_path_is_a_404(anonymous: Wire) -> None:
    assert anonymous.post("/nothing/", {"a": "x" * (20 * MB)}).status == 404
