"""The exam service, put together with what this server has."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from uuid import uuid4

from flask import Flask, g, request

from proctoring_hooks import links
from proctoring_hooks.attempt import Attempt
from proctoring_hooks.exam import Exam
from proctoring_hooks.web.exam_service import exam_service
from proctoring_hooks.web.exam_service_store import Answered, ExamService
from proctoring_hooks.web.worker_assets import WorkerHosting
from proctoring_hooks.worker.for_lms import desktop_application_js_url
from xqueue_server.accounts.client_address import client_address
from xqueue_server.accounts.failed_logins import FailedLogins
from xqueue_server.errors import StorageUnavailable
from xqueue_server.secret_key import key_for
from xqueue_server.storage import Storage, idempotency
from xqueue_server.storage.idempotency import Answer
from xqueue_server.storage.proctoring import ProctoringStore, looks
from xqueue_server.transport.access import read_access
from xqueue_server.transport.http import HttpTransport
from xqueue_server.transport.kept_exams import PATIENCE, KeptExams
from xqueue_server.web.proctoring.provider import LINKS
from xqueue_server.web.services import Services

ASK_EVERY_S = 60.0


def add_exam_service(
    app: Flask, services: Services, workers: WorkerHosting, time_s: Callable[[], float]
) -> None:
    """`/exams/…`, and the CSRF token at the root that the browser library asks for."""
    settings = services.settings
    base_url = settings.public_url.rstrip("/")
    link_key = key_for(LINKS, settings.secret_key)

    def address() -> str:
        return client_address(
            request.remote_addr, request.headers.get("X-Forwarded-For"), settings.trusted_proxies
        )

    def page_of(_exam: Exam, attempt: Attempt) -> str:
        with services.proctoring.read() as session:
            now = session.now
        return links.attempt_link(link_key, base_url, attempt.id, now=now)

    def worker_url(package: str, elsewhere: str) -> str | None:
        return desktop_application_js_url(
            workers.bundles, package, workers.base_url, elsewhere=elsewhere
        )

    def connect() -> HttpTransport:
        """An operator has entered each LMS by its address, so that a private one is meant."""
        return HttpTransport(
            access=read_access(settings.lms_access_file, allows_origin=settings.allows_origin),
            is_guarded=lambda _: False,
            patience=PATIENCE,
            kept_connections=at_once,
        )

    at_once = max(1, settings.threads // 4)
    app.register_blueprint(
        exam_service(
            ExamService(
                store=services.proctoring,
                base_url=base_url,
                token_key=key_for("provider tokens", settings.secret_key),
                keys=StoredKeys(services.storage),
                failures=FailedLogins(),
                address=address,
                request_id=lambda: str(g.request_id),
                looked=lambda subject, who: looks.note(
                    services.storage, [subject], who, request_id=str(g.request_id)
                ),
                new_id=lambda: uuid4().hex,
                time_s=time_s,
                monotonic_s=time.monotonic,
                page_of=page_of,
                worker_url=worker_url,
                ping_interval_s=settings.workers.ping_interval_s,
                ask_lms=KeptExams(connect, at_once=at_once),
                unavailable=(StorageUnavailable,),
            )
        )
    )


class StoredKeys:
    """`exam_service_store.IdempotencyKeys` in the database."""

    def __init__(self, storage: Storage) -> None:
        self._storage = storage

    def begin(self, key_hash: bytes, request_hash: bytes) -> Answered | None:
        with self._storage.write() as tx:
            known = idempotency.begin(tx, key_hash, request_hash)
        if known is None:
            return None
        answer = known.answer
        return Answered(
            request_hash=known.request_hash,
            status=None if answer is None else answer.status,
            body=b"" if answer is None else answer.body,
        )

    def finish(self, key_hash: bytes, status: int, body: bytes) -> None:
        with self._storage.write() as tx:
            idempotency.finish(tx, key_hash, Answer(status=status, body=body, location=None))

    def forget(self, key_hash: bytes) -> None:
        with self._storage.write() as tx:
            idempotency.forget(tx, key_hash)


class DatabaseTime:
    """The database's clock, which decides deadlines, without asking it each time.

    How far this host's clock is from it is measured once a minute, to half of what one question
    takes. Safe to share between threads.
    """

    def __init__(
        self,
        store: ProctoringStore,
        time_s: Callable[[], float],
        monotonic_s: Callable[[], float],
    ) -> None:
        self._store = store
        self._time_s = time_s
        self._monotonic_s = monotonic_s
        self._ahead_s = 0.0
        """Of the database; its clock = ours + that."""
        self._asked_at: float | None = None
        self._lock = threading.Lock()

    def __call__(self) -> float:
        with self._lock:
            is_due = self._asked_at is None or self._monotonic_s() - self._asked_at > ASK_EVERY_S
            if is_due:
                self._measure()
            return self._time_s() + self._ahead_s

    def _measure(self) -> None:
        """Raises: StorageUnavailable, only as long as it was never measured."""
        before = self._time_s()
        try:
            with self._store.read() as session:
                theirs = session.now.timestamp()
        except StorageUnavailable:
            if self._asked_at is None:
                raise
        else:
            self._ahead_s = theirs - (before + self._time_s()) / 2
        self._asked_at = self._monotonic_s()
