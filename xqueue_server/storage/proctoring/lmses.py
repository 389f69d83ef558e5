"""LMSes that we serve: finding one by what it is known by, and entering it."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import fields
from typing import Any

from sqlalchemy import Row, bindparam, delete, select, update
from sqlalchemy import insert as insert_into

from proctoring_hooks.lms import Lms
from proctoring_hooks.store import NotFound
from xqueue_server.errors import Conflict
from xqueue_server.storage.engine import NOW, Transaction
from xqueue_server.storage.proctoring import console_sessions
from xqueue_server.storage.proctoring.sealing import Sealer
from xqueue_server.storage.proctoring_schema import exams, lmses

SECRETS = ("client_secret", "our_client_secret", "obfuscation_key", "studio_secret")
_PLAIN = tuple(f.name for f in fields(Lms) if f.name not in SECRETS)
_SELECT = select(lmses)
_BY_NAME = _SELECT.where(lmses.c.name == bindparam("of"))
_BY_CLIENT = _SELECT.where(lmses.c.client_id == bindparam("client"))
_ALL = _SELECT.order_by(lmses.c.name)
_HAS_EXAMS = select(exams.c.id).where(exams.c.lms == bindparam("of")).limit(1)
_REMOVE = delete(lmses).where(lmses.c.name == bindparam("of"))
_INSERT = insert_into(lmses).values(created_at=NOW)


class Lmses:
    def __init__(self, tx: Transaction, sealer: Sealer) -> None:
        self._tx = tx
        self._sealer = sealer

    def get(self, name: str) -> Lms:
        """Raises: NotFound; SettingsError (see `sealing`)."""
        row = self._tx.one(_BY_NAME, of=name)
        if row is None:
            raise NotFound(f"No LMS {name}")
        return self._of(row)

    def by_client_id(self, client_id: str) -> Lms | None:
        row = self._tx.one(_BY_CLIENT, client=client_id)
        return self._of(row) if row else None

    def all(self) -> Sequence[Lms]:
        return [self._of(row) for row in self._tx.all(_ALL)]

    def of_origin(self, origin: str) -> Lms | None:
        """The one whose submissions call back to this origin. A few rows: all are looked at."""
        return next((lms for lms in self.all() if origin in lms.origins), None)

    def add(self, lms: Lms) -> None:
        self._tx.run(_INSERT, **self._written(lms), now=self._tx.now)

    def replace(self, lms: Lms) -> None:
        """With another secret, the sessions of those end for whom the old one has vouched.

        Raises: NotFound.
        """
        if self.get(lms.name).client_secret != lms.client_secret:
            console_sessions.end_of_lms(self._tx, lms.name)
        changing = update(lmses).where(lmses.c.name == lms.name).values(self._written(lms))
        self._tx.run(changing)

    def remove(self, name: str) -> bool:
        """False: there is none. Raises: Conflict: it has exams."""
        if self._tx.scalar(_HAS_EXAMS, of=name):
            raise Conflict(f"LMS {name} has exams; they and their attempts belong to it")
        console_sessions.end_of_lms(self._tx, name)
        return bool(self._tx.run(_REMOVE, of=name))

    def _written(self, lms: Lms) -> dict[str, Any]:
        written = {name: getattr(lms, name) for name in _PLAIN}
        return written | {
            "origins": json.dumps(lms.origins),
            "page_origins": json.dumps(lms.page_origins),
            "secrets": self._sealer.seal({name: getattr(lms, name) for name in SECRETS}),
        }

    def _of(self, row: Row[Any]) -> Lms:
        found: dict[str, Any] = {name: getattr(row, name) for name in _PLAIN}
        found["origins"] = tuple(json.loads(row.origins))
        found["page_origins"] = tuple(json.loads(row.page_origins))
        return Lms(**(found | self._sealer.open(bytes(row.secrets))))
