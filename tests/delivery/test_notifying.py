"""Course teams hear of each new kind of fault once, and nothing of what learners wrote."""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
import logging
import socket
import socketserver
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from types import SimpleNamespace
from typing import Any

import pytest

from tests.delivery.certificates import Authority
from tests.delivery.lms import ScriptedLms
from tests.server.builders import LEARNER_CODE, QUEUE, Desk, add_queue, open_desk
from xqueue_server.authoring.notifying import (
    MOST_TRIES,
    Mailer,
    Notifier,
    delay_after,
    shown_secret,
    webhook_secret,
)
from xqueue_server.instant import ManualClock
from xqueue_server.settings import MailSecurity, MailSettings
from xqueue_server.storage import Storage, notifications, policies
from xqueue_server.submissions.leasing import FailureKind
from xqueue_server.transport.http import HttpTransport
from xqueue_server.transport.mail import NoMailer, SmtpMailer

SECRET_KEY = b"k" * 32
EMAIL = "staff@example.org"
DETAIL = f"ValueError: in {LEARNER_CODE}"


@pytest.fixture
def desk(storage: Storage, clock: ManualClock) -> Desk:
    add_queue(storage)
    return open_desk(storage, clock)


def tell(desk: Desk, **target: str) -> None:
    with desk.storage.write() as tx:
        policies.change(tx, QUEUE, actor="test", why="notify", **target)


def fail(desk: Desk, detail: str = DETAIL) -> None:
    desk.submit()
    desk.fail(desk.lease(), FailureKind.GRADER, detail)


@contextmanager
def notifier(
    desk: Desk, *allowed: str, mailer: Mailer | None = None, guarded: bool = False
) -> Iterator[Notifier]:
    transport = HttpTransport(access={}, is_guarded=lambda _: guarded)
    yield Notifier(
        desk.storage,
        webhooks=transport,
        mailer=mailer or NoMailer(),
        secret_key=SECRET_KEY,
        allows_origin=lambda origin: origin in allowed,
        uniform=lambda _low, high: high,
    )
    transport.close()


def rows(desk: Desk) -> list[tuple[str, int, Any]]:
    query = "SELECT state, attempt, last_error FROM notifications ORDER BY id"
    with desk.storage.engine.connect() as connection:
        found = connection.exec_driver_sql(query).all()
    return [(r[0], r[1], None if r[2] is None else bytes(r[2]).decode()) for r in found]


# -- webhooks ------------------------------------------------------------------------------------


def test_a_new_kind_is_posted_once_signed_and_without_what_anybody_wrote(
    desk: Desk, lms: ScriptedLms
) -> None:
    url = f"{lms.origin}/hook?course=1"
    tell(desk, webhook_url=url)
    for _ in range(3):
        fail(desk)
    with notifier(desk, lms.origin) as sender:
        assert [sender.send_due() for _ in range(2)] == [1, 0]
    [got] = lms.received
    assert got.path == "/hook?course=1"
    assert json.loads(got.raw) == {
        "type": "grader.fault", "queue": QUEUE, "grader": None, "version": None, "kind": "grader",
        "fault": 1, "count": 3, "at": "2026-01-01T00:00:00+00:00",
        "command": "xqueue-server fault show 1", "path": "/api/v1/faults/1",
    }  # fmt: skip
    signed = f"nt_1.{got.headers['webhook-timestamp']}.".encode() + got.raw
    shown = shown_secret(webhook_secret(SECRET_KEY, QUEUE, url)).removeprefix("whsec_")
    expected = hmac.digest(base64.b64decode(shown), signed, hashlib.sha256)
    assert got.headers["webhook-signature"] == f"v1,{base64.b64encode(expected).decode()}"
    assert got.headers["webhook-id"] == "nt_1"
    assert rows(desk) == [("sent", 1, None)]


def test_another_kind_is_another_notification(desk: Desk, lms: ScriptedLms) -> None:
    tell(desk, webhook_url=f"{lms.origin}/hook")
    fail(desk, "one")
    fail(desk, "two")
    with notifier(desk, lms.origin) as sender:
        assert sender.send_due() == 2
    assert [json.loads(got.raw)["fault"] for got in lms.received] == [1, 2]


def test_without_a_target_nobody_is_told(desk: Desk) -> None:
    fail(desk)
    assert desk.count("notifications") == 0


def test_what_fails_is_tried_again_later_and_ten_times_at_most(
    desk: Desk, lms: ScriptedLms
) -> None:
    lms.always(503)
    tell(desk, webhook_url=f"{lms.origin}/hook")
    fail(desk)
    with notifier(desk, lms.origin) as sender:
        for attempt in range(1, MOST_TRIES + 1):
            assert sender.send_due() == 1
            assert sender.send_due() == 0
            desk.clock.advance(delay_after(attempt, lambda _low, high: high))
        assert sender.send_due() == 0
    assert rows(desk) == [("dead", MOST_TRIES, "HTTP 503")]
    assert {got.headers["webhook-id"] for got in lms.received} == {"nt_1"}


def test_what_a_killed_sender_had_claimed_is_due_a_minute_later(
    desk: Desk, lms: ScriptedLms
) -> None:
    tell(desk, webhook_url=f"{lms.origin}/hook")
    fail(desk)
    with desk.storage.write() as tx:
        killed = notifications.claim_due(tx, token=b"k" * 16)
    assert killed is not None
    with notifier(desk, lms.origin) as sender:
        assert sender.send_due() == 0
        desk.clock.advance(notifications.CLAIM_S)
        assert sender.send_due() == 1
    with desk.storage.write() as tx:
        assert not notifications.finish_dead(tx, killed, "it was only slow")
    assert rows(desk) == [("sent", 2, None)]


def test_a_private_address_is_refused_for_good(desk: Desk, lms: ScriptedLms) -> None:
    tell(desk, webhook_url=f"{lms.origin}/hook")
    fail(desk)
    with notifier(desk, lms.origin, guarded=True) as sender:
        sender.send_due()
    assert lms.received == []
    [(state, _, error)] = rows(desk)
    assert (state, "not a public address" in error) == ("dead", True)


def test_an_origin_that_is_not_allowed_any_more_is_not_asked(desk: Desk, lms: ScriptedLms) -> None:
    tell(desk, webhook_url=f"{lms.origin}/hook")
    fail(desk)
    with notifier(desk) as sender:
        sender.send_due()
    assert lms.received == []
    assert rows(desk)[0][0] == "dead"


def test_redirects_are_not_followed(desk: Desk, lms: ScriptedLms) -> None:
    lms.always(302, Location=f"{lms.origin}/elsewhere")
    tell(desk, webhook_url=f"{lms.origin}/hook")
    fail(desk)
    with notifier(desk, lms.origin) as sender:
        sender.send_due()
    assert [got.path for got in lms.received] == ["/hook"]
    assert rows(desk) == [("pending", 1, "HTTP 302")]


def test_the_log_names_the_kind_and_nothing_that_was_written(
    desk: Desk, lms: ScriptedLms, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    tell(desk, webhook_url=f"{lms.origin}/secret-path")
    fail(desk)
    with notifier(desk, lms.origin) as sender:
        sender.send_due()
    logged = " ".join(str(record.__dict__) for record in caplog.records if record.name != "urllib3")
    assert "notification_sent" in logged
    assert LEARNER_CODE not in logged


# -- e-mail --------------------------------------------------------------------------------------


class SmtpServer(socketserver.ThreadingTCPServer):
    """Speaks as much SMTP as a client needs; `refuse` answers every recipient."""

    allow_reuse_address = True
    daemon_threads = True

    def __init__(self, *, tls: Any = None, refuse: str | None = None) -> None:
        super().__init__(("127.0.0.1", 0), _SmtpHandler)
        self.tls = tls
        self.refuse = refuse
        self.messages: list[str] = []
        self.credentials: list[str] = []
        self.was_secure: list[bool] = []


class _SmtpHandler(socketserver.StreamRequestHandler):
    server: SmtpServer

    def handle(self) -> None:
        self.secure = False
        self.say("220 ready")
        while line := self.rfile.readline().decode().strip():
            if not self.obey(line):
                return

    def finish(self) -> None:
        super().finish()
        self.connection.close()  # under TLS not the socket that the server will close

    def say(self, text: str) -> None:
        self.wfile.write(f"{text}\r\n".encode())

    def obey(self, line: str) -> bool:
        verb = line.split()[0].upper()
        if verb == "EHLO":
            offers = ["STARTTLS"] if self.server.tls and not self.secure else []
            for offer in ["hello", *offers]:
                self.say(f"250-{offer}")
            self.say("250 AUTH PLAIN")
        elif verb == "STARTTLS":
            self.say("220 go")
            self.connection = self.server.tls.wrap_socket(self.connection, server_side=True)
            self.rfile, self.wfile = (self.connection.makefile(m, 0) for m in ("rb", "wb"))
            self.secure = True
        elif verb == "AUTH":
            self.server.credentials.append(base64.b64decode(line.split()[-1]).decode())
            self.say("235 welcome")
        elif verb == "RCPT" and self.server.refuse:
            self.say(self.server.refuse)
        elif verb == "DATA":
            self.say("354 go on")
            self.take()
        elif verb == "QUIT":
            self.say("221 bye")
            return False
        else:
            self.say("250 ok")
        return True

    def take(self) -> None:
        lines = []
        while (line := self.rfile.readline().decode()) != ".\r\n":
            lines.append(line)
        self.server.messages.append("".join(lines))
        self.server.was_secure.append(self.secure)
        self.say("250 taken")


@contextmanager
def smtp(**terms: Any) -> Iterator[SmtpServer]:
    with SmtpServer(**terms) as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
        thread.start()
        try:
            yield server
        finally:
            server.shutdown()
            thread.join()


def mailer(
    server: SmtpServer | SimpleNamespace, security: MailSecurity, tls: Any = None, **more: Any
) -> SmtpMailer:
    return SmtpMailer(
        MailSettings(
            host="127.0.0.1",
            port=server.server_address[1],
            security=security,
            user=more.get("user"),
            password=more.get("password"),
            sender="XQueue <xqueue@example.org>",
        ),
        tls=tls,
    )


def test_an_e_mail_says_what_to_do_and_nothing_that_was_written(desk: Desk) -> None:
    tell(desk, email=EMAIL)
    fail(desk)
    with smtp() as server, notifier(desk, mailer=mailer(server, MailSecurity.NONE)) as sender:
        assert sender.send_due() == 1
    [message] = server.messages
    assert f"To: {EMAIL}" in message
    assert f"queue {QUEUE}" in message
    assert "xqueue-server fault show 1" in message
    assert "print(" not in message
    assert "ValueError" not in message
    assert rows(desk) == [("sent", 1, None)]


def test_an_e_mail_and_its_password_go_over_tls(desk: Desk) -> None:
    authority = Authority()
    tell(desk, email=EMAIL)
    fail(desk)
    with smtp(tls=authority.server_context("127.0.0.1")) as server:
        secure = mailer(
            server, MailSecurity.STARTTLS, authority.client_context(), user="u", password="p w"
        )
        with notifier(desk, mailer=secure) as sender:
            sender.send_due()
    assert server.was_secure == [True]
    assert server.credentials == ["\0u\0p w"]


def test_a_mail_server_without_tls_gets_neither_message_nor_password(desk: Desk) -> None:
    tell(desk, email=EMAIL)
    fail(desk)
    with smtp() as server:
        strict = mailer(server, MailSecurity.STARTTLS, user="u", password="p")
        with notifier(desk, mailer=strict) as sender:
            sender.send_due()
    assert server.messages == server.credentials == []
    assert rows(desk)[0][0] == "pending"


@pytest.mark.parametrize(
    ("answer", "state"), [("550 no such user", "dead"), ("451 later", "pending")]
)
def test_a_refused_recipient_is_for_good_or_for_now(desk: Desk, answer: str, state: str) -> None:
    tell(desk, email=EMAIL)
    fail(desk)
    with (
        smtp(refuse=answer) as server,
        notifier(desk, mailer=mailer(server, MailSecurity.NONE)) as sender,
    ):
        sender.send_due()
    assert rows(desk) == [(state, 1, f"the mail server answered {answer[:3]}")]


def test_a_mail_server_that_is_away_is_tried_again(desk: Desk) -> None:
    tell(desk, email=EMAIL)
    fail(desk)
    with socket.socket() as taken:  # bound, and nobody listens
        taken.bind(("127.0.0.1", 0))
        gone = mailer(SimpleNamespace(server_address=taken.getsockname()), MailSecurity.NONE)
        with notifier(desk, mailer=gone) as sender:
            sender.send_due()
    assert rows(desk) == [("pending", 1, "SMTP: ConnectionRefusedError")]


def test_without_a_mail_server_it_says_so(desk: Desk) -> None:
    tell(desk, email=EMAIL)
    fail(desk)
    with notifier(desk) as sender:
        sender.send_due()
    assert rows(desk) == [("dead", 1, "XQUEUE_SMTP_SERVER is not set")]


@pytest.mark.parametrize("address", ["a@b\r\nBcc: c@d", "a@b\nc"])
def test_an_address_can_not_add_a_header(desk: Desk, address: str) -> None:
    with smtp() as server:
        outcome = mailer(server, MailSecurity.NONE).send(
            to=address, subject="s", text="t", message_id="m"
        )
    assert outcome.is_permanent
    assert server.messages == []
