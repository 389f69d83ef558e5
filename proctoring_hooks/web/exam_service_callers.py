"""Who is asking: the user that an LMS's token names, and what he may do.

Tokens are the LMS's own JSON Web Tokens, signed with a private key of which we hold the public
half. Browsers send them as the LMS's two cookies; then the page must be the LMS's or its MFE's.
Studio is the one exception: it publishes exams with a token that it signs with a shared secret.
Where an LMS's entry has that secret, such tokens publish, and do nothing else.
"""

from __future__ import annotations

import base64
import binascii
import json
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

from flask import Request
from joserfc import jwt
from joserfc.errors import JoseError
from joserfc.jwk import KeySet, OctKey, RSAKey

from proctoring_hooks.attempt import Attempt, Learner
from proctoring_hooks.exam import ClockOwner
from proctoring_hooks.lms import Lms
from proctoring_hooks.web.exam_service_errors import forbidden, unauthenticated
from proctoring_hooks.web.exam_service_store import Person, ServiceSession, awaited_id

ALGORITHMS = ["RS256", "RS512"]
STUDIO_ALGORITHMS = ["HS256"]
LEEWAY_S = 10
MAX_TOKEN = 8192
HEADER_PAYLOAD = "edx-jwt-cookie-header-payload"
SIGNATURE = "edx-jwt-cookie-signature"
STAFF_ROLES = ("staff", "instructor", "limited_staff")
"""Of a course, in the claim `roles`: "staff:course-v1:…"."""
SAFE_METHODS = frozenset({"GET", "HEAD", "OPTIONS"})


@dataclass(frozen=True, slots=True, kw_only=True)
class Caller:
    lms: Lms
    user_id: str
    """The LMS's numeric id; "": only for `is_studio`."""
    person: Person = field(repr=False)
    is_global_staff: bool
    staff_of: frozenset[str]
    """Courses that the token says."""
    is_studio: bool = False

    @property
    def learner(self) -> Learner:
        return Learner(user_id=self.user_id)

    @property
    def who(self) -> str:
        """For histories: no names."""
        return f"lms {self.lms.name} user {self.user_id}"

    @property
    def awaited(self) -> list[str]:
        """What an allowance of his may wait under."""
        names = (self.person.username, self.person.email)
        return [awaited_id(name) for name in names if name]

    def owns(self, attempt: Attempt) -> bool:
        return (
            self.user_id != ""
            and attempt.lms == self.lms.name
            and attempt.learner.user_id == self.user_id
            and attempt.clock_owner is ClockOwner.US
        )

    def is_staff_of(self, session: ServiceSession, course_id: str) -> bool:
        if self.is_global_staff or course_id in self.staff_of:
            return True
        if not self.user_id:
            return False
        return session.service.is_course_staff(self.lms.name, course_id, self.user_id)


def caller_of(session: ServiceSession, request: Request) -> Caller:
    """Raises: Problem 401, 403."""
    token = _token_of_header(request)
    if token is not None:
        return caller_of_token(session, token)
    token = cookie_token(request)
    if token is None or request.headers.get("USE-JWT-COOKIE", "").lower() != "true":
        raise unauthenticated()
    caller = caller_of_token(session, token)
    _check_origin(request, caller.lms)
    return caller


def require_user(caller: Caller) -> Caller:
    """Raises: Problem 403: Studio, which is nobody."""
    if caller.is_studio:
        raise forbidden("This token is for publishing exams only.")
    return caller


def cookie_token(request: Request) -> str | None:
    """Of the LMS's cookies, joined; nothing of it is checked yet."""
    first, signature = request.cookies.get(HEADER_PAYLOAD), request.cookies.get(SIGNATURE)
    return f"{first}.{signature}" if first and signature else None


def _token_of_header(request: Request) -> str | None:
    kind, _, token = request.headers.get("Authorization", "").partition(" ")
    return token.strip() if kind.lower() == "jwt" else None


def _check_origin(request: Request, lms: Lms) -> None:
    """Cookies come along from wherever the browser is sent: only pages of the LMS may use them.

    Browsers name the origin in every request that is not safe, and in every one to another
    origin whose answer a script wants to read.
    """
    origin = request.headers.get("Origin")
    if origin is None and request.method in SAFE_METHODS:
        return
    if origin not in lms.pages:
        raise forbidden("CSRF Failed: this page's origin is not one of the LMS's.")


# -- tokens --------------------------------------------------------------------------------------


def caller_of_token(session: ServiceSession, token: str) -> Caller:
    """Raises: Problem 401."""
    found = []
    issuer = _issuer_said(token)
    for lms in session.lmses.all():
        if not lms.jwt_issuer or lms.jwt_issuer != issuer:
            continue
        if (claims := _verified(lms, token)) is not None:
            found.append(_caller(lms, claims))
        elif (claims := _verified_of_studio(lms, token)) is not None:
            found.append(_studio(lms, claims))
        else:
            continue
        _check_times(session, claims)
    if len(found) != 1:
        raise unauthenticated("Invalid token.")
    return found[0]


def _issuer_said(token: str) -> str | None:
    """By the token itself, to look for its keys; believed only once it is verified."""
    parts = token.split(".")
    if len(token) > MAX_TOKEN or len(parts) != 3:
        return None
    try:
        claims = json.loads(base64.urlsafe_b64decode(parts[1] + "=" * (-len(parts[1]) % 4)))
    except (ValueError, binascii.Error, RecursionError):
        return None
    issuer = claims.get("iss") if isinstance(claims, dict) else None
    return issuer if isinstance(issuer, str) else None


def _verified(lms: Lms, token: str) -> dict[str, Any] | None:
    for key in _public_keys(lms):
        try:
            return dict(jwt.decode(token, key, ALGORITHMS).claims)
        except (JoseError, ValueError, TypeError):
            continue
    return None


def _public_keys(lms: Lms) -> Iterator[RSAKey]:
    """One by one: old libraries name no key in the token's header."""
    if not lms.jwt_keys:
        return
    for key in KeySet.import_key_set(json.loads(lms.jwt_keys)).keys:
        if isinstance(key, RSAKey):
            yield key


def _verified_of_studio(lms: Lms, token: str) -> dict[str, Any] | None:
    if not lms.studio_secret:
        return None
    try:
        key = OctKey.import_key(lms.studio_secret)
        return dict(jwt.decode(token, key, STUDIO_ALGORITHMS).claims)
    except (JoseError, ValueError, TypeError):
        return None


def _check_times(session: ServiceSession, claims: dict[str, Any]) -> None:
    now_s = int(session.now.timestamp())
    registry = jwt.JWTClaimsRegistry(
        now=lambda: now_s, leeway=LEEWAY_S, exp={"essential": True}, iss={"essential": True}
    )
    try:
        registry.validate(claims)
    except (JoseError, ValueError, TypeError):
        raise unauthenticated("Token has expired, or has no valid expiry.") from None
    if claims.get("is_restricted") is True:
        # Made for somebody else's application, with scopes that say nothing of exams.
        raise unauthenticated("Tokens of restricted applications are not taken here.")


def _caller(lms: Lms, claims: dict[str, Any]) -> Caller:
    user_id = claims.get("user_id")
    if not isinstance(user_id, int) or isinstance(user_id, bool) or not 0 < user_id < 1 << 62:
        raise unauthenticated("The token has no user_id: ask the LMS for the scope user_id.")
    return Caller(
        lms=lms,
        user_id=str(user_id),
        person=Person(
            username=_text(claims, "preferred_username"),
            email=_text(claims, "email"),
            full_name=_text(claims, "name"),
        ),
        is_global_staff=_is_staff(claims),
        staff_of=_staff_of(claims),
    )


def _studio(lms: Lms, claims: dict[str, Any]) -> Caller:
    return Caller(
        lms=lms,
        user_id="",
        person=Person(username=_text(claims, "preferred_username")),
        is_global_staff=_is_staff(claims),
        staff_of=frozenset(),
        is_studio=True,
    )


def _is_staff(claims: dict[str, Any]) -> bool:
    names = ("administrator", "superuser", "is_superuser", "is_staff")
    return any(claims.get(name) is True for name in names)


def _staff_of(claims: dict[str, Any]) -> frozenset[str]:
    roles = claims.get("roles")
    found = set()
    for role in roles if isinstance(roles, list) else ():
        name, _, course_id = role.partition(":") if isinstance(role, str) else ("", "", "")
        if name in STAFF_ROLES and course_id not in ("", "*"):
            found.add(course_id)
    return frozenset(found)


def _text(claims: dict[str, Any], name: str) -> str:
    value = claims.get(name)
    if not isinstance(value, str):
        return ""
    return value[:320].encode("utf-8", "replace").decode()
