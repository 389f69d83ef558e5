"""Sends notifications by SMTP."""

from __future__ import annotations

import smtplib
import ssl
from email.message import EmailMessage

from xqueue_server.settings import MailSecurity, MailSettings
from xqueue_server.transport import Outcome

TIMEOUT_S = 15.0


class SmtpMailer:
    """One connection for each message: notifications are rare."""

    def __init__(self, server: MailSettings, *, tls: ssl.SSLContext | None = None) -> None:
        self._server = server
        self._tls = tls or ssl.create_default_context()

    def send(self, *, to: str, subject: str, text: str, message_id: str) -> Outcome:
        """Send once. A refusal for good (5xx) is permanent, all else may be tried again."""
        try:
            message = self._message(to, subject, text, message_id)
        except ValueError:  # a line break in an address, for one
            return Outcome(status=None, error="not an e-mail address", is_permanent=True)
        try:
            with self._connected() as connection:
                connection.send_message(message)
        except smtplib.SMTPResponseException as error:
            return _refused(error.smtp_code)
        except smtplib.SMTPRecipientsRefused as error:
            return _refused(min(code for code, _ in error.recipients.values()))
        except (smtplib.SMTPException, OSError) as error:
            return Outcome(status=None, error=f"SMTP: {type(error).__name__}")
        return Outcome(status=250)

    def _message(self, to: str, subject: str, text: str, message_id: str) -> EmailMessage:
        message = EmailMessage()
        message["From"] = self._server.sender
        message["To"] = to
        message["Subject"] = subject
        domain = self._server.sender.rpartition("@")[2].strip("> ") or "localhost"
        message["Message-ID"] = f"<{message_id}@{domain}>"
        message["Auto-Submitted"] = "auto-generated"
        message.set_content(text)
        return message

    def _connected(self) -> smtplib.SMTP:
        server = self._server
        connection: smtplib.SMTP
        if server.security is MailSecurity.TLS:
            connection = smtplib.SMTP_SSL(
                server.host, server.port, timeout=TIMEOUT_S, context=self._tls
            )
        else:
            connection = smtplib.SMTP(server.host, server.port, timeout=TIMEOUT_S)
        try:
            if server.security is MailSecurity.STARTTLS:
                connection.starttls(context=self._tls)
            if server.user is not None:
                connection.login(server.user, server.password or "")
        except BaseException:
            connection.close()
            raise
        return connection


class NoMailer:
    """Where no mail server is set: says so, and that is final."""

    def send(self, *, to: str, subject: str, text: str, message_id: str) -> Outcome:
        return Outcome(status=None, error="XQUEUE_SMTP_SERVER is not set", is_permanent=True)


def _refused(code: int) -> Outcome:
    error = f"the mail server answered {code}"
    return Outcome(status=None, error=error, is_permanent=500 <= code < 600)
