"""What an LMS says of exams that it keeps itself: its edx-proctoring is asked while somebody's page
waits, signed in as a client of its OAuth2 server.

An LMS that hangs may not take all threads of a web process: only some ask at once, others are told
at once that it did not say. (Threads must be left, too, for what edx-proctoring asks its provider
before it answers: that may be us.)
"""

from __future__ import annotations

import json
import logging
import threading
from collections.abc import Callable, Collection, Mapping
from typing import Any
from urllib.parse import quote, urlencode

from proctoring_hooks.lms import Lms
from proctoring_hooks.providers.base import Credentials
from proctoring_hooks.web.exam_service_store import NotTold, Told
from xqueue_server.errors import SettingsError
from xqueue_server.settings import origin_of
from xqueue_server.transport import Meaning, Outcome
from xqueue_server.transport.authorized import Authorized
from xqueue_server.transport.http import RESPONSE_CAP_BYTES, HttpTransport, Patience
from xqueue_server.transport.tokens import Tokens

log = logging.getLogger(__name__)

API = "/api/edx_proctoring/v1"
PATIENCE = Patience(connect_s=3, read_s=5, total_s=8)
WITHIN_S = 10.0
"""With a token that must be got first."""


class KeptExams:
    """`exam_service_store.AskLms`; safe for many threads."""

    def __init__(self, connect: Callable[[], HttpTransport], *, at_once: int) -> None:
        """`connect` is called when it is first needed; it may raise SettingsError."""
        self._connect = connect
        self._authorized: Authorized | None = None
        self._lock = threading.Lock()
        self._places = threading.BoundedSemaphore(at_once)

    def __call__(
        self,
        lms: Lms,
        method: str,
        path: str,
        *,
        query: Mapping[str, str],
        body: Any,
        expected: Collection[int],
    ) -> Told:
        try:
            return read(lms, self._asked(lms, method, path, query=query, body=body), expected)
        except NotTold as error:
            log.error(
                "LMS %s does not say which exams it keeps: %s; %s",
                lms.name,
                error.why,
                error.to_do,
                extra={"action": "exams_not_told"},
            )
            raise

    def _asked(
        self, lms: Lms, method: str, path: str, *, query: Mapping[str, str], body: Any
    ) -> Outcome:
        if not self._places.acquire(blocking=False):
            raise NotTold("as many as may already wait for it", "it is slow or hangs: look there")
        try:
            return ask(self._opened(), lms, method, path, query=query, body=body)
        except SettingsError as error:
            raise NotTold(str(error), "mend it, and restart `serve`") from None
        finally:
            self._places.release()

    def _opened(self) -> Authorized:
        with self._lock:
            if self._authorized is None:
                http = self._connect()
                self._authorized = Authorized(http, Tokens(http), within_s=WITHIN_S)
            return self._authorized


def ask(
    authorized: Authorized,
    lms: Lms,
    method: str,
    path: str,
    *,
    query: Mapping[str, str],
    body: Any = None,
) -> Outcome:
    url = f"{lms.base_url}{API}{quote(path, safe='/:+')}"
    return authorized.send(
        method,
        origin=origin_of(lms.base_url) or "",
        url=f"{url}?{urlencode(query)}" if query else url,
        body=None if body is None else json.dumps(body).encode(),
        headers={"Accept": "application/json"}
        | ({} if body is None else {"Content-Type": "application/json"}),
        client=Credentials(
            token_url=f"{lms.base_url}/oauth2/access_token",
            client_id=lms.our_client_id,
            client_secret=lms.our_client_secret,
        ),
    )


def read(lms: Lms, outcome: Outcome, expected: Collection[int]) -> Told:
    """Raises: NotTold."""
    status = outcome.status
    if status is None or outcome.meaning is Meaning.CREDENTIALS:
        why = outcome.error or f"answered {status} to our sign-in"
        raise NotTold(why, "`xqueue-server proctoring check` says what to do")
    if status in (401, 403):
        to_do = f"make the user of its OAuth2 client {lms.our_client_id} staff there"
        raise NotTold(f"answered {status}: we may not ask about its learners", to_do)
    if status not in expected or outcome.error:
        to_do = "look into its log; has it edx-proctoring, and does --url lead there directly?"
        raise NotTold(outcome.error or f"answered {status}", to_do)
    try:
        document = json.loads(outcome.response or "")
    except (ValueError, RecursionError):
        why = f"the answer is no JSON, or longer than {RESPONSE_CAP_BYTES} bytes"
        raise NotTold(why, "does --url lead to the LMS, and not to a page before it?") from None
    return Told(status=status, document=document)
