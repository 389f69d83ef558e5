"""Tokens of LMSes whose provider we are: those that we give them, and those that they sign.

An LMS gets a JWT for its client id and secret and shows it with every call. With the same secret it
signs the links by which its instructors come to the console.
"""

from __future__ import annotations

import hashlib
import hmac
import math
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from joserfc import jwt
from joserfc.errors import JoseError
from joserfc.jwk import OctKey

from proctoring_hooks.lms import Lms
from proctoring_hooks.store import Session

ALGORITHM = "HS256"
LIFETIME_S = 600
"""An LMS asks anew 5 s before the end."""
AUDIENCE = "xqueue proctoring"
INSTRUCTOR_LIFETIME_S = 60
"""`token_expiration_time` of edx-proctoring's REST backend."""
LEEWAY_S = 30
"""By which an LMS's clock may be off."""
MAX_LENGTH = 4096
_NOBODYS_SECRET = b"compared with where there is nobody of that name"


class BadToken(Exception):
    """Wrong, over, used before, or not for this. For the caller: HTTP 401. The text is for
    people."""


# -- an LMS that calls ---------------------------------------------------------------------------


def lms_of_credentials(session: Session, client_id: str, client_secret: str) -> Lms | None:
    """Takes as long for a name that nobody has as for a wrong secret."""
    lms = session.lms_by_client_id(client_id)
    expected = lms.client_secret.encode() if lms is not None else _NOBODYS_SECRET
    is_right = hmac.compare_digest(_digest(expected), _digest(client_secret.encode()))
    return lms if is_right and lms is not None and lms.client_secret else None


def issue(key: bytes, lms: Lms, *, now: datetime) -> str:
    issued_at = math.floor(now.timestamp())
    claims = {
        "aud": AUDIENCE,
        "sub": lms.client_id,
        "iat": issued_at,
        "exp": issued_at + LIFETIME_S,
        "secret": _fingerprint(key, lms),
    }
    return jwt.encode({"alg": ALGORITHM}, claims, OctKey.import_key(key), [ALGORITHM])


def lms_of_token(session: Session, key: bytes, token: str) -> Lms:
    """Whose token it is. It ends with its time, and when that LMS's secret is changed.

    Raises:
        BadToken
    """
    claims = _claims(token, key)
    if claims.get("aud") != AUDIENCE or not _is_before(session.now, claims.get("exp")):
        raise BadToken("The token is over; get another one")
    lms = session.lms_by_client_id(str(claims.get("sub")))
    if lms is None or not hmac.compare_digest(
        str(claims.get("secret")).encode(), _fingerprint(key, lms).encode()
    ):
        raise BadToken("The token is of a secret that no longer holds; get another one")
    return lms


def _fingerprint(key: bytes, lms: Lms) -> str:
    return hmac.new(key, lms.client_secret.encode(), hashlib.sha256).hexdigest()[:32]


def _digest(secret: bytes) -> bytes:
    return hashlib.sha256(secret).digest()


# -- an instructor whom an LMS sends -------------------------------------------------------------


@dataclass(frozen=True, slots=True, kw_only=True)
class Instructor:
    """Whom the LMS vouches for: somebody on the staff of that course."""

    obscured_id: str
    full_name: str
    email: str


@dataclass(frozen=True, slots=True, kw_only=True)
class InstructorPass:
    course_id: str
    instructor: Instructor
    exam: str | None
    """The exam's external id; None: all of the course."""
    attempt: str | None


def take_instructor_pass(session: Session, lms: Lms, token: str) -> InstructorPass:
    """Read a link's token; it is used up with that.

    Raises:
        BadToken
    """
    if not lms.client_secret:
        raise BadToken("This LMS has no secret")
    claims = _claims(token, lms.client_secret.encode())
    latest = session.now + timedelta(seconds=INSTRUCTOR_LIFETIME_S + LEEWAY_S)
    over = session.now - timedelta(seconds=LEEWAY_S)
    expires_at = claims.get("exp")
    if claims.get("iss") != lms.client_id:
        raise BadToken("This link was made by another LMS")
    if not _is_before(over, expires_at) or _is_before(latest, expires_at):
        raise BadToken("This link is over. Open the dashboard in the LMS again")
    course_id, token_id = claims.get("course_id"), claims.get("jti")
    if not _is_text(course_id, 255) or not _is_text(token_id, 255):
        raise BadToken("The link's token needs course_id and jti")
    digest = hashlib.sha256(f"instructor {lms.name} {token_id}".encode()).digest()
    if not session.use_token(digest, until=latest + timedelta(seconds=LEEWAY_S)):
        raise BadToken("This link was used before. Open the dashboard in the LMS again")
    return InstructorPass(
        course_id=str(course_id),
        instructor=_instructor(claims.get("user")),
        exam=_optional(claims.get("exam_id")),
        attempt=_optional(claims.get("attempt_id")),
    )


def _instructor(user: Any) -> Instructor:
    if not isinstance(user, Mapping) or not _is_text(user.get("id"), 64):
        raise BadToken("The link's token does not say for whom it is")
    return Instructor(
        obscured_id=str(user["id"]),
        full_name=_shown(user.get("full_name")),
        email=_shown(user.get("email")),
    )


def _shown(value: Any) -> str:
    return value[:255].replace("\0", "") if isinstance(value, str) and _is_utf8(value) else ""


def _optional(value: Any) -> str | None:
    return value if _is_text(value, 64) else None


def _is_text(value: Any, most: int) -> bool:
    return (
        isinstance(value, str) and 0 < len(value) <= most and "\0" not in value and _is_utf8(value)
    )


def _is_utf8(text: str) -> bool:
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True


# -- both ----------------------------------------------------------------------------------------


def _claims(token: str, key: bytes) -> dict[str, Any]:
    """Raises: BadToken."""
    if not token or len(token) > MAX_LENGTH:
        raise BadToken("This is no token")
    try:
        return dict(jwt.decode(token, OctKey.import_key(key), [ALGORITHM]).claims)
    except (JoseError, ValueError, TypeError, RecursionError):
        raise BadToken("The token's signature is not right") from None


def _is_before(now: datetime, instant: Any) -> bool:
    is_number = isinstance(instant, int | float) and not isinstance(instant, bool)
    return is_number and now.timestamp() < instant
