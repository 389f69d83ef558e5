"""Our programs as an operator runs them, on a database of their own, with exams to sit."""

from __future__ import annotations

import base64
import secrets
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, replace
from datetime import datetime
from functools import partial
from pathlib import Path
from types import MappingProxyType

from redis import Redis

from deploy.demo.processes import LongRunning, answers_http, command, free_port
from proctoring_hooks.exam import Exam, Release, Terms
from proctoring_hooks.providers.base import Entry
from proctoring_hooks.store import SecretSubscriber
from tests.acceptance.services import PrivateRedis
from tests.bench.cpu import tree_cpu_s
from tests.bench.database import Database
from tests.bench.memory import tree_memory_mib
from tests.delivery.lms import ScriptedLms
from tests.proctoring.conftest import EXAM, LMS
from tests.proctoring.own_exams import ISSUER, PUBLIC
from tests.server.builders import BLOCK, QUEUE, add_account, add_queue
from xqueue_server import settings
from xqueue_server.models.account import Role
from xqueue_server.storage import Storage, migration, open_storage
from xqueue_server.storage.proctoring import ProctoringStore, claims
from xqueue_server.storage.proctoring.claims import ClaimKind

SUBSCRIBER = "gradebook"
PROVIDER = "watcher"
START_S = 90.0
LISTENING = "/events"
MOST_STREAMS = 50


@dataclass(frozen=True, slots=True, kw_only=True)
class Sat:
    """An exam, and the problem that belongs to it."""

    exam: Exam
    problem: str
    """The part of its usage id that tells it from others."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Hall:
    database: Database
    storage: Storage
    store: ProctoringStore
    secret_key: bytes
    lms: ScriptedLms
    """Takes the grades; also listens to webhooks."""
    bus: Redis
    address: tuple[str, int]
    """Of `serve`."""
    events_port: int
    programs: Mapping[str, LongRunning]

    @property
    def url(self) -> str:
        return f"http://{self.address[0]}:{self.address[1]}"

    def cpu_s(self) -> dict[str, float]:
        """What each program has used so far."""
        return {name: tree_cpu_s(roots) for name, roots in self._roots().items()}

    def memory_mib(self) -> dict[str, float]:
        return {name: tree_memory_mib(roots) for name, roots in self._roots().items()}

    def _roots(self) -> dict[str, list[int]]:
        ours = {name: [program.pid] for name, program in self.programs.items()}
        theirs = self.database.processes()
        return ours | ({self.database.kind: theirs} if theirs else {})

    def check_running(self) -> None:
        """Raises: ProcessFailed."""
        for program in self.programs.values():
            if program.has_ended:
                raise program.failure("did not last")

    def enter_exams(self, due_at: datetime) -> list[Sat]:
        """One for each policy, all due at the same instant."""
        return [self._enter_exam(release, due_at) for release in Release]

    def _enter_exam(self, release: Release, due_at: datetime) -> Sat:
        name = secrets.token_hex(16)
        terms = Terms(release=release, provider=PROVIDER, incident_policy="warn_then_review")
        new = replace(
            EXAM,
            terms=terms,
            due_at=due_at,
            time_limit_mins=600,
            external_id=name,
            content_id=f"sequence {name}",
        )
        with self.store.write() as session:
            exam = session.exams.add(new)
            claims.add(session.tx, exam, ClaimKind.PROBLEM, BLOCK + name, actor="the bench")
        return Sat(exam=exam, problem=name)


@contextmanager
def opened(database: Database, folder: Path) -> Iterator[Hall]:
    """Everything runs within the block."""
    with ExitStack() as held:
        redis = PrivateRedis(folder)
        held.callback(redis.close)
        redis.start()
        lms = ScriptedLms()
        held.callback(lms.close)
        address, events_port = ("127.0.0.1", free_port()), free_port()
        given = {
            "XQUEUE_MODE": "production",
            "XQUEUE_DATABASE_URL": database.url,
            "XQUEUE_DATA_DIR": f"{folder}/data",
            "XQUEUE_SECRET_KEY": secrets.token_hex(32),
            "XQUEUE_PUBLIC_URL": f"http://{address[0]}:{address[1]}",
            "XQUEUE_LMS_ORIGINS": lms.origin,
            "XQUEUE_WEBHOOK_ORIGINS": lms.origin,
            "XQUEUE_EVENT_BUS_REDIS_URL": redis.url,
        }
        secret_key = settings.load(given).secret_key
        storage = open_storage(database.url)
        held.callback(storage.close)
        store = ProctoringStore(storage, secret_key)
        _furnish(storage, store, lms.origin)
        programs = _started(held, folder, given, address, events_port)
        yield Hall(
            database=database,
            storage=storage,
            store=store,
            secret_key=secret_key,
            lms=lms,
            bus=redis.client,
            address=address,
            events_port=events_port,
            programs=MappingProxyType(programs),
        )


def _furnish(storage: Storage, store: ProctoringStore, origin: str) -> None:
    migration.upgrade(storage)
    add_queue(storage, QUEUE)
    for role in (Role.LMS, Role.GRADER, Role.OPERATOR):
        add_account(storage, role.value, role)
    known = replace(LMS, origins=(origin,), jwt_issuer=ISSUER, jwt_keys=PUBLIC, sends_events=True)
    secret = f"whsec_{base64.b64encode(secrets.token_bytes(32)).decode()}"
    listener = SecretSubscriber(name=SUBSCRIBER, url=f"{origin}{LISTENING}", secret=secret)
    with store.write() as session:
        session.lmses.add(known)
        session.recipients.put_provider(
            Entry(name=PROVIDER, plugin="null", settings={}, secrets={})
        )
        session.recipients.put_subscriber(listener, lms=LMS.name, course_id="")


def _started(
    held: ExitStack,
    folder: Path,
    given: dict[str, str],
    address: tuple[str, int],
    events_port: int,
) -> dict[str, LongRunning]:
    arguments = {
        "serve": ("--bind", f"{address[0]}:{address[1]}", "--workers", "2"),
        "deliver": (),
        "sweep": (),
        "events": ("--bind", f"127.0.0.1:{events_port}", "--most-clients", str(MOST_STREAMS)),
    }
    programs = {}
    for name, options in arguments.items():
        argv = command("xqueue-server", name, *options)
        log_path = folder / f"{name}.log"
        programs[name] = LongRunning(name, argv, settings=given, log_path=log_path)
        held.callback(programs[name].stop)
    for name, port in (("serve", address[1]), ("events", events_port)):
        ready = f"http://127.0.0.1:{port}/readyz"
        programs[name].wait_until(partial(answers_http, ready), START_S)
    return programs


def wait_until(hall: Hall, what: str, is_so: Callable[[], bool], timeout_s: float) -> None:
    """Raises: TimeoutError; ProcessFailed."""
    until = time.monotonic() + timeout_s
    while not is_so():
        hall.check_running()
        if time.monotonic() > until:
            raise TimeoutError(f"not within {timeout_s:.0f} s: {what}")
        time.sleep(0.2)
