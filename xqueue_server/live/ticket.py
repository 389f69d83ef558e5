"""What lets a page listen: a signed, short-lived word of the server that made the page.

The process that streams knows no accounts and no sessions. It believes the signature, serves what
the ticket covers, and ends the stream when the ticket does; the page has another one by then, if
whoever looks at it still may.
"""

from __future__ import annotations

from dataclasses import astuple, dataclass

from itsdangerous import BadData, URLSafeSerializer

from xqueue_server.secret_key import key_for

LASTS_S = 300
MOST_CHARS = 2000


@dataclass(frozen=True, slots=True, kw_only=True)
class Ticket:
    lms: str
    course_id: str
    exam_id: int | None
    """None: all of the course."""
    attempt_id: int | None
    holder: str
    """Of whom the streams are counted; nothing that names a person."""
    until_s: int
    """Seconds since 1970."""

    def covers(self, course_id: str, exam_id: int | None, attempt_id: int | None) -> bool:
        """Whether these may be listened to with it."""
        return (
            course_id == self.course_id
            and self.exam_id in (None, exam_id)
            and self.attempt_id in (None, attempt_id)
        )


class BadTicket(Exception):
    """The text says why, for whoever develops a page."""


def written(ticket: Ticket, secret_key: bytes) -> str:
    return str(_serializer(secret_key).dumps(astuple(ticket)))


def read(text: str, secret_key: bytes, now_s: float) -> Ticket:
    """Raises: BadTicket."""
    try:
        if len(text) > MOST_CHARS:
            raise BadData("too long")
        lms, course_id, exam_id, attempt_id, holder, until_s = _serializer(secret_key).loads(text)
    except (BadData, TypeError, ValueError):
        raise BadTicket("this ticket was not made here") from None
    ticket = Ticket(
        lms=lms,
        course_id=course_id,
        exam_id=exam_id,
        attempt_id=attempt_id,
        holder=holder,
        until_s=until_s,
    )
    if now_s >= ticket.until_s:
        raise BadTicket("this ticket has expired; the page gets another")
    return ticket


def _serializer(secret_key: bytes) -> URLSafeSerializer:
    return URLSafeSerializer(key_for("live ticket", secret_key))
