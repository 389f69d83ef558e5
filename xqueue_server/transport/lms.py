"""What an LMS is told of attempts that it keeps: `…/ready` and `…/reviewed` of its edx-proctoring
API, signed in as a client of its OAuth2 server.

The same verdict again changes nothing there, but the comments of a review are appended to those
that it has. So where it may have got a review whose answer we have not, the review goes again
without them. It keeps those that it has got; what it has not got is on our console alone.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace

from proctoring_hooks.providers.base import Credentials
from proctoring_hooks.store import NotFound, Store
from xqueue_server.errors import SettingsError
from xqueue_server.models.callback import DueCallback
from xqueue_server.settings import origin_of
from xqueue_server.transport import Meaning, Outcome
from xqueue_server.transport.authorized import Authorized

FINAL = {
    400: "the LMS does not know this attempt, or takes no review of it",
    404: "the LMS no longer knows this attempt: it was removed there, or declined",
    412: "the exam is no longer proctored in the LMS",
}
GATEWAY = (502, 504)
"""Of a proxy that has got no answer from the LMS behind it: it, too, does not know. (A failing
LMS itself answers 500, and takes back all that it did.)"""


class LmsTransport:
    def __init__(
        self, store: Store, authorized: Authorized, *, count_ended: Callable[[int], int]
    ) -> None:
        """`count_ended`: of a message's tries since it was written or last replayed, how many ended
        on record."""
        self._store = store
        self._authorized = authorized
        self._count_ended = count_ended

    def send(self, due: DueCallback) -> Outcome:
        try:
            with self._store.read() as session:
                lms = session.lms(due.addressing.recipient)
        except NotFound as error:
            return Outcome(status=None, error=str(error), is_permanent=True)
        except SettingsError as error:
            return Outcome(status=None, error=str(error), meaning=Meaning.CREDENTIALS)
        if due.origin != origin_of(lms.base_url) or due.origin != origin_of(due.url):
            why = f"{due.url} is not at {lms.base_url}, where the LMS {lms.name} is"
            return Outcome(status=None, error=why, is_permanent=True)
        was_lost = self._was_lost(due)
        sent = without_comments(due.body) if was_lost else due.body
        outcome = self._authorized.send(
            due.addressing.method,
            origin=due.origin,
            url=due.url,
            body=sent.encode(),
            headers={"Content-Type": "application/json", "webhook-id": f"cb_{due.id}"},
            client=Credentials(
                token_url=f"{lms.base_url}/oauth2/access_token",
                client_id=lms.our_client_id,
                client_secret=lms.our_client_secret,
            ),
            is_once=has_comments(sent),
        )
        if outcome.meaning is None and outcome.status in FINAL:
            return replace(outcome, meaning=Meaning.FINAL, error=FINAL[outcome.status])
        may_have_arrived = outcome.may_have_arrived or outcome.status in GATEWAY
        if has_comments(due.body) and (was_lost or may_have_arrived):
            return replace(outcome, learned={"body": without_comments(due.body)})
        return outcome

    def _was_lost(self, due: DueCallback) -> bool:
        """Whether a try before this one is not on record: its sender died."""
        return due.attempt > 1 and due.attempt - 1 > self._count_ended(due.id)

    def close(self) -> None:
        self._authorized.close()


def has_comments(body: str) -> bool:
    return bool(json.loads(body).get("comments"))


def without_comments(body: str) -> str:
    told = json.loads(body)
    return json.dumps(told | {"comments": []}) if told.get("comments") else body
