"""Reading request bodies within limits, and letting the client finish talking.

A client that is still sending when we answer and close sees a reset instead of our answer; so
whatever is left of a body is read and thrown away, up to a bound.
"""

from __future__ import annotations

import contextlib
from dataclasses import dataclass, field

from flask import Request
from gunicorn.http.errors import ParseException
from werkzeug.datastructures import FileStorage
from werkzeug.exceptions import ClientDisconnected, HTTPException, RequestEntityTooLarge

from xqueue_server.errors import InvalidRequest
from xqueue_server.settings import MB, Settings

DRAIN_BYTES = 256 * MB
CHUNK = 64 * 1024
URLENCODED_GROWTH = 3  # one byte may take three, %XX
SLACK = 64 * 1024  # names of fields, part headers
MAX_PARTS = 1000
BROKEN_STREAM = (OSError, ValueError, ParseException)
"""What reading a body raises when the client left, or sent chunks that are none."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Form:
    """The fields and files of a request; of several values of one name the last, as Django does."""

    fields: dict[str, str] = field(repr=False)
    files: dict[str, FileStorage]


@dataclass(frozen=True, slots=True, kw_only=True)
class BodyLimits:
    fields_bytes: int
    """All fields together."""
    files: int
    file_bytes: int


SHORT_FORM = BodyLimits(fields_bytes=16 * 1024, files=0, file_bytes=0)
"""For whoever is not signed in yet."""


def limits_of(settings: Settings) -> BodyLimits:
    return BodyLimits(
        fields_bytes=settings.max_body_bytes,
        files=settings.max_files,
        file_bytes=settings.max_file_bytes,
    )


def read_form(request: Request, limits: BodyLimits) -> Form:
    """Parse a urlencoded or multipart body; anything else is an empty form.

    Raises:
        InvalidRequest: too large (the rest is drained by `drain`), or broken beyond parsing.
    """
    _set_limits(request, limits)
    try:
        if request.mimetype == "application/x-www-form-urlencoded":
            _look_at_urlencoded(request)
        fields = {name: request.form.getlist(name)[-1] for name in request.form}
        files = {name: request.files.getlist(name)[-1] for name in request.files}
    except RequestEntityTooLarge:
        raise InvalidRequest(too_large(limits)) from None
    except (HTTPException, *BROKEN_STREAM):
        raise InvalidRequest("The request body can not be parsed") from None
    if sum(len(value.encode()) for value in fields.values()) > limits.fields_bytes:
        raise InvalidRequest(too_large(limits))
    if len(files) > limits.files:
        raise InvalidRequest(f"Queue request is too large: more than {limits.files} files")
    return Form(fields=fields, files=files)


def too_large(limits: BodyLimits) -> str:
    return (
        f"Queue request is too large: fields may have {limits.fields_bytes} bytes together, "
        f"each of up to {limits.files} files {limits.file_bytes} bytes"
    )


def _look_at_urlencoded(request: Request) -> None:
    """Before it is parsed (a multipart body shows its own end and counts its own parts): any
    beginning of it is a form, and 30 MB of "a&" take 20 s and a gigabyte."""
    content = request.get_data(parse_form_data=False)
    if request.content_length is None and len(content) == request.max_content_length:
        raise RequestEntityTooLarge  # chunked: the framework stops reading here without a word
    if not is_whole(request, len(content)):
        raise ClientDisconnected
    if content.count(b"&") >= MAX_PARTS:
        raise RequestEntityTooLarge


def is_whole(request: Request, read_bytes: int) -> bool:
    """Whether so much is the body that was announced: a client that is gone looks like its end.

    Of a chunked body the server knows the end, and reading one that is cut short fails.
    """
    return request.content_length is None or read_bytes >= request.content_length


def _set_limits(request: Request, limits: BodyLimits) -> None:
    """Flask's own limit on text fields (500 kB) is far below what learners may send."""
    request.max_form_parts = MAX_PARTS
    if request.mimetype == "multipart/form-data":
        files = limits.files * limits.file_bytes
        request.max_form_memory_size = limits.fields_bytes
        request.max_content_length = limits.fields_bytes + files + SLACK
    else:
        encoded = limits.fields_bytes * URLENCODED_GROWTH + SLACK
        request.max_form_memory_size = encoded
        request.max_content_length = encoded


def drain(request: Request) -> None:
    """Read what is left of the body, up to `DRAIN_BYTES`, and forget it."""
    stream = request.environ["wsgi.input"]
    left = DRAIN_BYTES
    with contextlib.suppress(*BROKEN_STREAM):
        while left > 0 and (chunk := stream.read(min(CHUNK, left))):
            left -= len(chunk)
