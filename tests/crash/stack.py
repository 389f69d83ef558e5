"""All programs of the product on one database, each of which can be made to die at a step."""

from __future__ import annotations

import secrets
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

from deploy.demo.capa import CapaClient
from deploy.demo.lms import StandInLms
from deploy.demo.processes import answers_http, command, free_port, listens_at, run_to_end
from grader_worker.server_account import ServerAccount
from grader_worker.xqueue_client import XQueueClient
from tests.crash.nursery import Nursery
from tests.crash.program import Program
from tests.crash.step import Step
from tests.delivery.lms import ScriptedLms
from xqueue_server import settings
from xqueue_server.storage import Storage, open_storage
from xqueue_server.storage.proctoring import ProctoringStore

PASSWORD = "correct horse battery staple"
OPERATOR = "operator"
LEASE_S = 1
ANSWER_S = 60.0

WORKER_QUEUE = "python"
"""Graded by the worker."""
DESK_QUEUE = "desk"
"""Graded by the test itself, at leisure."""
BRIEF_QUEUE = "brief"
"""The same, but leases are short."""
LAST_QUEUE = "last"
"""The same, and one expired lease is one too many: the learner is told a second later."""
HOLD_QUEUE = "hold"
"""The same, but people decide."""
PUBLISHED_QUEUE = "published"
"""Graded by the test itself, with what it publishes."""

QUEUES: dict[str, tuple[str, ...]] = {
    WORKER_QUEUE: ("--lease-s", str(LEASE_S), "--max-attempts", "100"),
    DESK_QUEUE: (),
    BRIEF_QUEUE: ("--lease-s", str(LEASE_S), "--max-attempts", "100"),
    LAST_QUEUE: ("--lease-s", "1", "--max-attempts", "1", "--give-up-after-s", "1"),
    HOLD_QUEUE: ("--lease-s", "1", "--max-attempts", "1", "--give-up-after-s", "0"),
    PUBLISHED_QUEUE: (),
}

SERVER_CONSTANTS: dict[str, object] = {
    "xqueue_server.repair.bulk.BATCH": 1,  # so that two are enough for an act to die between them
}
DELIVER_CONSTANTS: dict[str, object] = {
    "xqueue_server.storage.outbox.CLAIM_S": 1,
    "xqueue_server.callbacks.redelivery.EXACT_DELAYS_S": (0.2, 0.2, 0.2),
    "xqueue_server.callbacks.redelivery.JITTERED_DELAYS_S": (0.4, 0.4),
    "xqueue_server.callbacks.redelivery.LAST_DELAY_S": 0.4,
    "xqueue_server.storage.breakers.PROBE_EVERY_S": (0.2, 0.4),
    "xqueue_server.cli.notifications.NOTIFY_EVERY_S": 0.2,
}
SWEEP_CONSTANTS: dict[str, object] = {
    "xqueue_server.cli.sweep.SWEEP_EVERY_S": 0.2,
    "xqueue_server.cli.sweep.TIDY_EVERY_S": 0.2,
}
WORKER_CONSTANTS: dict[str, object] = {
    "grader_worker.renewal.RENEW_EVERY_S": LEASE_S / 4,  # first: `turn` copies it
    "grader_worker.sandbox_gate.FIRST_CHECK_S": 0.2,
    "grader_worker.sandbox_gate.CHECK_CAP_S": 0.2,
    "grader_worker.poller.ERROR_CAP_S": 0.3,
}
"""Times that the programs wait for something that died, shortened, and how much they do at once;
what they do is not changed."""


class CrashStack:
    """Keeps running from test to test; whatever a test has killed runs again afterwards."""

    def __init__(
        self,
        directory: Path,
        database_url: str,
        *,
        lms: StandInLms,
        listener: ScriptedLms,
        nursery: Nursery,
    ) -> None:
        self.lms = lms
        self.listener = listener
        self.url = f"http://127.0.0.1:{free_port()}"
        self.storage: Storage = open_storage(database_url)
        self._directory = directory
        self._nursery = nursery
        self._settings = {
            "XQUEUE_MODE": "production",
            "XQUEUE_LMS_ORIGINS": lms.origin,
            "XQUEUE_DATA_DIR": str(directory / "data"),
            "XQUEUE_DATABASE_URL": database_url,
            "XQUEUE_SECRET_KEY": secrets.token_hex(32),
            "XQUEUE_PUBLIC_URL": self.url,
            "XQUEUE_WEBHOOK_ORIGINS": listener.origin,
        }
        secret_key = settings.load(self._settings).secret_key
        self.exams = ProctoringStore(self.storage, secret_key)
        self.server = self._program(
            "xqueue-server",
            *("serve", "--bind", self.url.removeprefix("http://"), "--workers", "1"),
            constants=SERVER_CONSTANTS,
            is_ready=lambda: answers_http(f"{self.url}/readyz"),
        )
        self.deliver = self._program("xqueue-server", "deliver", constants=DELIVER_CONSTANTS)
        self.sweeper = self._program("xqueue-server", "sweep", constants=SWEEP_CONSTANTS)
        self.sandboxd = self._fake_sandboxd()
        self.worker = self._program(
            "grader-worker",
            *("poll", "--server", self.url, "--queue", WORKER_QUEUE, "--username", "grader"),
            *("--password-file", str(directory / "password"), "--grader", "a-grader"),
            *("--socket", str(self._socket)),
            constants=WORKER_CONSTANTS,
        )
        self.programs = (self.server, self.deliver, self.sweeper, self.sandboxd, self.worker)

    def begin(self) -> None:
        (self._directory / "password").write_text(PASSWORD)
        self.command("db", "upgrade")
        for name, terms in QUEUES.items():
            self.command("queue", "add", name, *terms)
        for role in ("lms", "grader", "author", OPERATOR):
            account = ("account", "add", role, "--role", role, "--all-queues", "--password-stdin")
            self.command(*account, stdin=PASSWORD)
        for program in self.programs:
            program.start()
        for program in self.programs:
            program.wait_until_ready()

    def end(self) -> None:
        with ExitStack() as stack:
            stack.callback(self.storage.close)
            for program in self.programs:
                stack.callback(program.kill)

    @contextmanager
    def dying(self, program: Program, step: Step) -> Iterator[None]:
        """In the block the program dies at this step, once, and is started again."""
        program.start(step)
        program.wait_until_ready()
        try:
            yield
            program.wait_until_died(step)
        finally:
            if not program.has_died:
                program.start()
            program.wait_until_ready()

    def assert_well(self) -> None:
        """No program has ended by itself, other than where it was told to."""
        for program in self.programs:
            program.assert_well()

    def command(self, *arguments: str, stdin: str = "") -> str:
        return run_to_end(
            command("xqueue-server", *arguments), settings=self._settings, stdin=stdin
        )

    def capa(self) -> CapaClient:
        return CapaClient(url=self.url, username="lms", password=PASSWORD, read_timeout_s=ANSWER_S)

    def desk(self) -> XQueueClient:
        """A grader's client for the queues that the test grades itself."""
        account = ServerAccount(url=self.url, username="grader", password=PASSWORD)
        client = XQueueClient(account)
        client.login()
        return client

    @property
    def _socket(self) -> Path:
        return self._directory / "sandboxd.sock"

    def _fake_sandboxd(self) -> Program:
        memory = ("--memory", str(self._directory / "memory"))
        return self._program(
            "fake-sandboxd",
            *("--socket", str(self._socket), *memory),
            constants={},
            is_ready=lambda: listens_at(self._socket),
        )

    def _program(self, name: str, *arguments: str, **options: object) -> Program:
        settings = self._settings if name == "xqueue-server" else {}
        return Program(
            name,
            *arguments,
            nursery=self._nursery,
            settings=settings,
            directory=self._directory,
            **options,
        )
