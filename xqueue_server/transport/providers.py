"""What proctoring providers are told, each by its plug-in. The plug-in makes the request from what
is true when it is sent, and reads the answer; what goes out, and where to, is looked after here."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import asdict, replace

from proctoring_hooks.messages import exam_order_key
from proctoring_hooks.providers import telling
from proctoring_hooks.providers.base import (
    About,
    Answer,
    BadSettings,
    Entry,
    Learned,
    NotTaken,
    NotYet,
    Occasion,
    Provider,
    Request,
    WrongAnswer,
)
from proctoring_hooks.providers.telling import Told
from proctoring_hooks.store import NotFound, Store
from xqueue_server.errors import SettingsError
from xqueue_server.models.callback import DueCallback
from xqueue_server.settings import origin_of
from xqueue_server.transport import Meaning, Outcome
from xqueue_server.transport.authorized import Authorized

LEFT_TO_THE_TABLE = (401, 403, 408, 425, 429)
"""Statuses that mean the same whoever answers so."""
FAILING = 500
EXAM_FIRST = "the provider is still to be told what has changed in the exam"


class ProviderTransport:
    def __init__(
        self,
        store: Store,
        authorized: Authorized,
        *,
        load: Callable[[Entry], Provider],
        callback_url: str,
    ) -> None:
        self._store = store
        self._authorized = authorized
        self._load = load
        self._callback_url = callback_url

    def send(self, due: DueCallback) -> Outcome:
        told = told_by(due)
        try:
            with self._store.read() as session:
                entry = session.provider(told.provider)
                about = telling.about(session, told, callback_url=self._callback_url)
                waits = _is_known(about) and session.is_awaited(
                    exam_order_key(told.provider, told.exam_id), before=due.id
                )
            provider = self._load(entry)
        except NotFound as error:
            return Outcome(status=None, error=str(error), is_permanent=True)
        except (BadSettings, SettingsError) as error:
            return Outcome(status=None, error=str(error), meaning=Meaning.CREDENTIALS)
        if waits:
            return Outcome(status=None, error=EXAM_FIRST, meaning=Meaning.NOT_YET)
        try:
            request = provider.tell(told.occasion, about)
        except NotYet as error:
            return Outcome(status=None, error=str(error), meaning=Meaning.NOT_YET)
        except NotTaken as error:
            return Outcome(status=None, error=str(error), meaning=Meaning.FINAL)
        if isinstance(request, Learned):
            return _done(Outcome(status=None), request)
        outcome = self._sent(due, entry, request)
        return _read(provider, told.occasion, about, outcome)

    def _sent(self, due: DueCallback, entry: Entry, request: Request) -> Outcome:
        origin = origin_of(request.url)
        if origin is None or origin != origin_of(str(entry.settings.get("base_url"))):
            error = f"the plug-in {entry.plugin} wants to send to another place than its base_url"
            return Outcome(status=None, error=error, is_permanent=True)
        return self._authorized.send(
            request.method,
            origin=origin,
            url=request.url,
            body=request.body,
            headers={"Idempotency-Key": f"cb_{due.id}", **request.headers},
            client=request.credentials,
        )

    def close(self) -> None:
        self._authorized.close()


def _is_known(about: About) -> bool:
    """An attempt at an exam that the provider knows; what it does not know, plug-ins wait for."""
    return about.attempt is not None and about.exam.provider_exam_id != ""


def told_by(due: DueCallback) -> Told:
    return Told(
        provider=due.addressing.recipient,
        occasion=Occasion(due.addressing.purpose),
        exam_id=json.loads(due.body)["exam_id"],
        attempt_id=due.attempt_id,
    )


def _read(provider: Provider, occasion: Occasion, about: About, outcome: Outcome) -> Outcome:
    status = outcome.status
    is_left = status is None or status >= FAILING or status in LEFT_TO_THE_TABLE
    if outcome.meaning is not None or status is None or is_left:
        return outcome
    try:
        learned = provider.read(occasion, about, Answer(status=status, text=outcome.response or ""))
    except NotTaken as error:
        return replace(outcome, error=str(error), meaning=Meaning.FINAL)
    except WrongAnswer as error:
        return replace(outcome, error=str(error), meaning=Meaning.WRONG)
    return outcome if learned is None else _done(outcome, learned)


def _done(outcome: Outcome, learned: Learned) -> Outcome:
    told = {name: value for name, value in asdict(learned).items() if value}
    return replace(outcome, meaning=Meaning.DONE, learned=told)
