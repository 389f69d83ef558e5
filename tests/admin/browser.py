"""A real browser at a real server with a stand-in LMS behind it."""

from __future__ import annotations

import json
import secrets
import shutil
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from playwright.sync_api import Browser, BrowserContext, ConsoleMessage, Page, expect
from sqlalchemy import text

from deploy.demo.capa import CapaClient
from deploy.demo.lms import StandInLms
from deploy.demo.processes import LongRunning, answers_http, command, free_port, stop_all
from tests.server.builders import PASSWORD, add_account, add_queue
from xqueue_server.models.account import Account, Role
from xqueue_server.models.queue import Queue
from xqueue_server.models.submission import LeasedSubmission
from xqueue_server.storage import Storage, open_storage, queues
from xqueue_server.submissions import leasing, results
from xqueue_server.submissions.leasing import FailureKind

QUEUE = "cs101"
COURSE = "course-v1:DemoX+CS101+2026"
FLAGS = ["--no-sandbox", "--disable-gpu", "--disable-background-networking"]
START_S = 60.0
PATIENCE_MS = 60_000
expect.set_options(timeout=PATIENCE_MS)  # of 5 s otherwise, which a loaded machine may need
QUICKER = {
    "xqueue_server.callbacks.redelivery.REFUSED_DELAYS_S": (0.3, 0.3, 0.3, 0.3),
    "xqueue_server.callbacks.redelivery.REFUSED_TRIES": 2,
}
"""Otherwise a refusal is believed after a quarter of an hour."""
EARLIER = "UPDATE callbacks SET retry_from = retry_from - :us WHERE submission_id = :of"
TRIED_EARLIER = (
    "UPDATE callback_attempts SET started_at = started_at - :us WHERE callback_id IN "
    "(SELECT id FROM callbacks WHERE submission_id = :of)"
)
A_QUARTER_US = 20 * 60 * 1_000_000


@dataclass(kw_only=True)
class Installation:
    """`serve` and `deliver` as their operator runs them, on SQLite."""

    url: str
    storage: Storage
    lms: StandInLms
    grader: Account

    def submit(self, problem: str = "square", learner: int = 7) -> str:
        """Over HTTP, as an LMS does."""
        client = CapaClient(url=self.url, username="lms", password=PASSWORD, read_timeout_s=START_S)
        block = f"block-v1:{COURSE.removeprefix('course-v1:')}+type@problem+block@{problem}"
        url = f"{self.lms.origin}/courses/{COURSE}/xqueue/{learner}/{block}/score_update"
        header = {"lms_callback_url": url, "lms_key": secrets.token_hex(16), "queue_name": QUEUE}
        body = {"student_info": "{}", "student_response": "x", "grader_payload": "{}"}
        reply = client.submit(json.dumps(header), json.dumps(body))
        assert reply.accepted, reply
        return url

    def lease(self) -> LeasedSubmission:
        with self.storage.read() as tx:
            terms: Queue = queues.get(tx, QUEUE)
        leased = leasing.lease(
            self.storage,
            self.grader,
            terms,
            key=secrets.token_hex(16),
            lease_s=600,
            request_id=secrets.token_hex(8),
            is_retry=False,
        )
        assert leased is not None, "nothing to lease"
        return leased

    def grade(self, leased: LeasedSubmission, message: str = "<p>Good</p>") -> None:
        body = json.dumps({"correct": True, "score": 1, "msg": message})
        results.receive(
            self.storage,
            self.grader,
            results.IncomingResult(
                submission_id=leased.submission_id,
                key=leased.key,
                body=body,
                request_id=secrets.token_hex(8),
            ),
        )

    def let_a_quarter_pass(self, submission_id: int) -> None:
        """Since the first try to tell the LMS; the refusal is then believed."""
        with self.storage.write() as tx:
            for statement in (EARLIER, TRIED_EARLIER):
                tx.run(text(statement), us=A_QUARTER_US, of=submission_id)

    def break_grader(self, leased: LeasedSubmission) -> None:
        leasing.report_failure(
            self.storage,
            self.grader,
            leased.submission_id,
            leased.key,
            kind=FailureKind.GRADER,
            detail="No module named numpy",
            request_id=secrets.token_hex(8),
        )


@contextmanager
def installation(folder: Path, template: Path, lms: StandInLms) -> Iterator[Installation]:
    database = folder / "xqueue.db"
    shutil.copyfile(template, database)
    storage = open_storage(f"sqlite:///{database}")
    add_queue(storage, QUEUE)
    add_account(storage, "lms", Role.LMS)
    grader = add_account(storage, "grader", Role.GRADER)
    add_account(storage, "olga", Role.ADMIN)
    url = f"http://127.0.0.1:{free_port()}"
    settings = {
        "XQUEUE_DATABASE_URL": f"sqlite:///{database}",
        "XQUEUE_DATA_DIR": str(folder / "data"),
        "XQUEUE_SECRET_KEY": secrets.token_hex(32),
        "XQUEUE_PUBLIC_URL": url,
        "XQUEUE_LMS_ORIGINS": lms.origin,
    }
    processes: list[LongRunning] = []

    def start(name: str, argv: list[str]) -> LongRunning:
        process = LongRunning(name, argv, settings=settings, log_path=folder / f"{name}.log")
        processes.append(process)
        return process

    try:
        bind = ("--bind", url.removeprefix("http://"), "--workers", "1")
        serve = start("serve", command("xqueue-server", "serve", *bind))
        quicker = [f"--set={name}={value!r}" for name, value in QUICKER.items()]
        launcher = [sys.executable, "-m", "tests.crash.dying", *quicker]
        start("deliver", [*launcher, "--", "xqueue-server", "deliver"])
        serve.wait_until(lambda: answers_http(f"{url}/readyz"), START_S)
        yield Installation(url=url, storage=storage, lms=lms, grader=grader)
    finally:
        stop_all(processes)
        storage.close()


@dataclass(kw_only=True)
class Tab:
    """A page, and everything that went wrong on it."""

    page: Page
    url: str
    complaints: list[str] = field(default_factory=list)

    def go(self, path: str) -> None:
        self.page.goto(self.url + path)

    def sign_in(self, name: str = "olga") -> None:
        self.go("/admin/sign-in")
        self.page.get_by_label("Account").fill(name)
        self.page.get_by_label("Password").fill(PASSWORD)
        self.page.get_by_role("button", name="Sign in").click()
        self.page.get_by_role("heading", name="Overview").wait_for()


def open_tab(browser: Browser, url: str, **options: object) -> Tab:
    """What the console says and what is blocked is collected: a test fails on it."""
    context: BrowserContext = browser.new_context(**options)  # type: ignore[arg-type]
    context.set_default_timeout(PATIENCE_MS)
    page = context.new_page()
    tab = Tab(page=page, url=url)

    def hear(message: ConsoleMessage) -> None:
        if message.type in ("error", "warning"):
            tab.complaints.append(f"{message.type}: {message.text}")

    page.on("console", hear)
    page.on("pageerror", lambda error: tab.complaints.append(f"script: {error}"))
    return tab
