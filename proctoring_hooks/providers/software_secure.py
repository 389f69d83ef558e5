"""`software_secure`: PSI's RPNow, formerly Software Secure, as edx-proctoring 6.1.4 speaks to it.

It is told of an attempt once, when it is registered, by a document signed with HMAC-SHA256, and
answers with a record locator. The rest of an attempt it sees by itself.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
import unicodedata
from collections.abc import Mapping
from datetime import datetime, timedelta
from email.utils import format_datetime
from typing import Any

from proctoring_hooks.providers.base import (
    About,
    Answer,
    BadSettings,
    Entry,
    Learned,
    NotTaken,
    Occasion,
    Request,
    WrongAnswer,
    secret,
    text_setting,
    url_setting,
)

CONTENT_TYPE = "application/json"
START_PATH = "/api/edx_proctoring/proctoring_launch_callback/start_exam"
NOT_IN_NAMES = str.maketrans(dict.fromkeys("[]<>#:|!?/'\"*\\", "_"))
"""What the provider refuses in an exam's name."""
BLOCK = 8
KEY_BYTES = (16, 24)
LONGEST_ID = 255


class SoftwareSecureProvider:
    """Settings: base_url (the address that registers exams), organization, exam_sponsor,
    secret_key_id; reviewer_notes, send_email (false). Secrets: secret_key, crypto_key."""

    def __init__(self, entry: Entry) -> None:
        self._url = url_setting(entry, "base_url")
        self._organization = text_setting(entry, "organization")
        self._sponsor = text_setting(entry, "exam_sponsor")
        self._key_id = text_setting(entry, "secret_key_id")
        self._notes = text_setting(entry, "reviewer_notes", default="Closed Book")
        self._sends_email = entry.settings.get("send_email") is True
        self._key = secret(entry, "secret_key").encode()
        self._crypto_key = secret(entry, "crypto_key").encode()
        if len(self._crypto_key) not in KEY_BYTES:
            raise BadSettings(f"provider {entry.name}: crypto_key must have 16 or 24 characters")

    def tell(self, occasion: Occasion, about: About) -> Request | Learned:
        if occasion is not Occasion.REGISTER:
            return Learned()
        if about.attempt is None:
            raise NotTaken("there is no attempt")
        if about.attempt.provider_attempt_id:
            return Learned()  # told before, in a try whose end was lost
        document = self._document(about)
        date = http_date(about.now)
        return Request(
            method="POST",
            url=self._url,
            body=json.dumps(document).encode(),
            headers={
                "Content-Type": CONTENT_TYPE,
                "Date": date,
                "Authorization": authorization(self._key_id, self._key, document, date),
            },
        )

    def read(self, occasion: Occasion, about: About, answer: Answer) -> Learned | None:
        if answer.status in (400, 409, 422):
            raise NotTaken(f"the provider refuses it ({answer.status})")
        if not 200 <= answer.status < 300:
            return None
        try:
            given = json.loads(answer.text)
        except (ValueError, RecursionError):
            raise WrongAnswer(f"answered {answer.status} without JSON") from None
        locator = given.get("ssiRecordLocator") if isinstance(given, dict) else None
        if not isinstance(locator, str) or not 0 < len(locator) <= LONGEST_ID:
            raise WrongAnswer("answered without an ssiRecordLocator")
        return Learned(attempt_id=locator)

    def _document(self, about: About) -> dict[str, Any]:
        attempt, exam, names = about.attempt, about.exam, about.names
        assert attempt is not None, "tell looked"
        allowed_s = attempt.allowed_s
        minutes = exam.time_limit_mins if allowed_s is None else allowed_s // 60
        first, _, last = (names.full_name if names else "").partition(" ")
        extra: dict[str, Any] = {
            "examStartDate": http_date(about.now),
            "examEndDate": http_date(about.now + timedelta(minutes=minutes)),
            "noOfStudents": 1,
            "examID": exam.id,
            "courseID": exam.course_id,
            "firstName": first,
            "lastName": last,
        }
        if self._sends_email:
            extra["email"] = names.email if names else ""
        return {
            "examCode": attempt.external_id,
            "organization": self._organization,
            "duration": minutes,
            "reviewedExam": not exam.exam_type.is_practice,
            "reviewerNotes": self._notes,
            "examPassword": password(self._crypto_key, attempt.external_id),
            "examSponsor": self._sponsor,
            "examName": shown_name(exam.exam_name),
            "ssiProduct": "rp-now",
            "examUrl": f"{about.callback_url}{START_PATH}/{attempt.external_id}",
            "orgExtra": extra,
        }


def http_date(moment: datetime) -> str:
    """`moment` is aware, in UTC."""
    return format_datetime(moment, usegmt=True)


def shown_name(exam_name: str) -> str:
    """In the letters that the provider takes."""
    plain = unicodedata.normalize("NFKD", exam_name).encode("ascii", "ignore").decode()
    return plain.translate(NOT_IN_NAMES) or "Proctored Exam"


def password(crypto_key: bytes, attempt_code: str) -> str:
    """Of the exam, for whoever has the key: 3DES-ECB, which is what the provider decrypts."""
    from cryptography.hazmat.decrepit.ciphers.algorithms import TripleDES
    from cryptography.hazmat.primitives.ciphers import Cipher, modes

    missing = BLOCK - len(attempt_code) % BLOCK
    padded = (attempt_code + missing * chr(missing)).encode()
    encryptor = Cipher(TripleDES(crypto_key), modes.ECB()).encryptor()  # noqa: S305 - theirs
    return base64.b64encode(encryptor.update(padded) + encryptor.finalize()).decode()


def authorization(key_id: str, key: bytes, document: Mapping[str, Any], date: str) -> str:
    """The header's value."""
    signed = f"POST\n\n{CONTENT_TYPE}\n{date}\n{serialized(document)}"
    digest = hmac.digest(key, signed.encode(), hashlib.sha256)
    return f"SSI {key_id}:{base64.b64encode(digest).decode()}"


def serialized(document: Mapping[str, Any], prefix: str = "") -> str:
    """A document as it is signed: its keys in order, one `key:value` on each line.

    A list forgets the prefix that it stands under, as does an object within an object: so does
    the provider, which signs as the first to speak to it did.
    """
    lines = []
    for key in sorted(document):
        value = document[key]
        if isinstance(value, list | tuple):
            for place, each in enumerate(value):
                name = f"{key}.{place}"
                is_object = isinstance(each, dict)
                lines.append(serialized(each, f"{name}.") if is_object else f"{name}:{each}\n")
        elif isinstance(value, dict):
            lines.append(serialized(value, f"{key}."))
        else:
            lines.append(f"{prefix}{key}:{_plain(value)}\n")
    return "".join(lines)


def _plain(value: Any) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    return "null" if value != "" and not value else str(value)
