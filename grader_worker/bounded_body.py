"""Reading what a server sends within bytes and seconds.

The timeouts of requests are for each piece that arrives: a body that comes a byte at a time would
hold a thread for days.
"""

from __future__ import annotations

from collections.abc import Callable

import requests
import urllib3

CHUNK_BYTES = 64 * 1024


class BodyTooLong(Exception):
    """More bytes than were allowed for."""


class BodyTooSlow(Exception):
    """Not all of it in time."""


def read_body(
    response: requests.Response, *, max_bytes: int, deadline: float, clock: Callable[[], float]
) -> bytes:
    """The body of a response that was asked for with `stream=True`; `deadline` is on `clock`.

    Raises:
        BodyTooLong, BodyTooSlow.
        requests.RequestException: the connection broke, or ended before the announced length.
    """
    body = bytearray()
    try:
        # Not `iter_content`, which waits until a chunk is full.
        while piece := response.raw.read1(CHUNK_BYTES, decode_content=True):
            body += piece
            if len(body) > max_bytes:
                raise BodyTooLong
            if clock() > deadline:
                raise BodyTooSlow
    except urllib3.exceptions.HTTPError as error:
        raise requests.ConnectionError(f"the body broke off: {error}") from error
    return bytes(body)
