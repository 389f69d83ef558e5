"""What leaves because of exams: a deliverer as `xqueue-server deliver` puts it together, whose
every step a test takes itself, and small servers to deliver to."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from typing import Any

from proctoring_hooks.providers.base import Entry
from tests.delivery.lms import Received, Reply, ScriptedLms
from tests.delivery.outbox_data import longest
from tests.proctoring.conftest import LMS, SECRET_KEY
from xqueue_server.callbacks.delivery import Deliverer
from xqueue_server.cli.outgoing import by_kind, keeper
from xqueue_server.models.callback import Callback
from xqueue_server.settings import load
from xqueue_server.storage import Storage, callbacks
from xqueue_server.storage.callbacks import Attempt as Try
from xqueue_server.storage.proctoring import ProctoringStore
from xqueue_server.transport.http import HttpTransport, Patience

TOKEN_PATH = "/oauth2/access_token"
PUBLIC_URL = "http://127.0.0.1:9"
PATIENCE = Patience(connect_s=30, read_s=30, total_s=60)


@contextmanager
def post_office(
    storage: Storage, store: ProctoringStore, *, patience: Patience = PATIENCE, **settings: str
) -> Iterator[Deliverer]:
    """`settings` are those of the environment."""
    environ = {
        "XQUEUE_MODE": "demo",
        "XQUEUE_SECRET_KEY": SECRET_KEY.decode(),
        "XQUEUE_PUBLIC_URL": PUBLIC_URL,
    }
    http = HttpTransport(access={}, is_guarded=lambda _: False, patience=patience)
    transport = by_kind(load(environ | settings), store, callbacks=http, lms_http=http)
    deliverer = Deliverer(
        storage,
        transport,
        allows_origin=lambda _: False,
        keep=keeper(store),
        uniform=longest,
        monotonic=lambda: 0.0,
    )
    try:
        yield deliverer
    finally:
        deliverer.close()


class SignedIn:
    """A server that gives tokens and takes them, by a script of its own for either."""

    def __init__(self, server: ScriptedLms) -> None:
        self.server = server
        self.token_type = "JWT"
        self.expires_in = 3600
        self.tokens: list[Reply | int] = []
        """Answers of the token endpoint before it gives tokens."""
        self.answers: list[Reply | int] = []
        """Of everything else, before it answers 200 "OK"."""
        self.revoked: set[str] = set()
        self.given: list[str] = []
        server.answer = self._answer

    def _answer(self, got: Received) -> Reply:
        if got.path == TOKEN_PATH:
            return self._token(got)
        scheme, _, token = got.headers.get("authorization", "").partition(" ")
        if token not in self.given or token in self.revoked or scheme != self.token_type:
            return Reply(status=401)
        return _reply(self.answers.pop(0)) if self.answers else Reply(body=b'"OK"')

    def _token(self, got: Received) -> Reply:
        if self.tokens:
            return _reply(self.tokens.pop(0))
        self.given.append(f"token-{len(self.given) + 1}")
        return answered(
            {
                "access_token": self.given[-1],
                "token_type": self.token_type,
                "expires_in": self.expires_in,
            }
        )

    @property
    def calls(self) -> list[Received]:
        """All but those for tokens."""
        return [each for each in self.server.received if each.path != TOKEN_PATH]

    @property
    def told(self) -> list[tuple[str, str, Any]]:
        """(method, path, body) of each."""
        return [
            (each.method, each.path, json.loads(each.raw) if each.raw else None)
            for each in self.calls
        ]


def _reply(given: Reply | int) -> Reply:
    return Reply(status=given) if isinstance(given, int) else given


def answered(body: object, *, status: int = 200) -> Reply:
    return Reply(status=status, body=json.dumps(body).encode())


def move_lms(store: ProctoringStore, base_url: str) -> None:
    """The LMS `edx` is there from now on."""
    with store.write() as session:
        session.lmses.replace(replace(LMS, base_url=base_url))


def put_provider(store: ProctoringStore, plugin: str, **settings: Any) -> None:
    secrets = {"client_secret": "s", "obfuscation_key": "o"}
    with store.write() as session:
        session.recipients.put_provider(
            Entry(name="watcher", plugin=plugin, settings=settings, secrets=secrets)
        )


def messages(storage: Storage) -> list[Callback]:
    """All, oldest first."""
    with storage.read() as tx:
        return list(reversed(callbacks.latest(tx)))


def tries(storage: Storage, message: Callback) -> list[Try]:
    with storage.read() as tx:
        return list(callbacks.attempts_of(tx, message.id))


def summary(storage: Storage) -> list[tuple[str | None, str]]:
    """(purpose, state) of all, oldest first."""
    return [(each.purpose, each.state.value) for each in messages(storage)]
