"""What proctoring providers that we use tell us: a learner is ready, an attempt is reviewed.

Under the paths that they know from edx-proctoring. There any login may say so; here only the
attempt's own provider: a REST provider with a token that it signed in for, Software Secure with the
HMAC of its secret.
"""

from __future__ import annotations

import hashlib
import hmac
from collections.abc import Callable, Mapping
from datetime import UTC, timedelta
from email.utils import parsedate_to_datetime
from http import HTTPStatus
from typing import Any, TypeVar

from flask import Response, request
from joserfc import jwt
from joserfc.errors import JoseError
from joserfc.jwk import OctKey

from proctoring_hooks import attempts, provider_reviews
from proctoring_hooks.attempt import Attempt
from proctoring_hooks.providers.base import Entry
from proctoring_hooks.providers.software_secure import authorization
from proctoring_hooks.reviews import (
    BadReview,
    Review,
    read_rest_review,
    read_software_secure_review,
)
from proctoring_hooks.transitions import Action, Actor, By, Refused
from proctoring_hooks.web.exam_service_attempts import changed
from proctoring_hooks.web.exam_service_errors import (
    Problem,
    answer,
    bad_request,
    content,
    given,
    unauthenticated,
)
from proctoring_hooks.web.exam_service_store import ExamService, ServiceSession, shown

LIFETIME_S = 3600
ALGORITHM = "HS256"
SOFTWARE_SECURE = "software_secure"
AUDIENCE = "proctoring callbacks"
MAX_REVIEW = 1024 * 1024
Found = TypeVar("Found")
MAX_CLOCK_DIFFERENCE = timedelta(minutes=15)
UNKNOWN = "You have entered an exam code that is not valid."
NO_LONGER = "Exam no longer proctored"


class OAuthRefusal(Problem):
    """{"error": …} as RFC 6749 has it."""

    def response(self) -> Response:
        return answer({"error": self.detail}, self.status)


# -- signing in ----------------------------------------------------------------------------------


def sign_in(service: ExamService) -> Response:
    """OAuth 2 client credentials, form-encoded or as Basic -> {access_token, expires_in, …}."""
    content()  # no more than that is parsed
    form = request.form
    basic = request.authorization
    is_basic = basic is not None and basic.type == "basic"
    client_id = (basic.username if is_basic and basic else form.get("client_id")) or ""
    secret = (basic.password if is_basic and basic else form.get("client_secret")) or ""
    if form.get("grant_type") != "client_credentials":
        raise OAuthRefusal(HTTPStatus.BAD_REQUEST, "unsupported_grant_type")
    address = service.address()
    if wait_s := service.failures.wait_s(client_id, address):
        raise Problem(
            HTTPStatus.TOO_MANY_REQUESTS,
            "Too many failed sign-ins. Try again later.",
            headers={"Retry-After": str(wait_s)},
        )
    with service.store.read() as session:
        now_s = int(session.now.timestamp())
        provider = _signed_in(session, client_id, secret)
    if provider is None:
        service.failures.record(client_id, address)
        raise OAuthRefusal(HTTPStatus.UNAUTHORIZED, "invalid_client")
    service.failures.forgive(client_id, address)
    claims = {
        "sub": provider.name,
        "aud": AUDIENCE,
        "iat": now_s,
        "exp": now_s + LIFETIME_S,
        "secret": _fingerprint(service, provider),
    }
    key = OctKey.import_key(service.token_key)
    token = jwt.encode({"alg": ALGORITHM}, claims, key, [ALGORITHM])
    return answer(
        {
            "access_token": token,
            "token_type": "JWT",
            "expires_in": LIFETIME_S,
            "scope": "",
        }
    )


def _signed_in(session: ServiceSession, client_id: str, secret: str) -> Entry | None:
    for provider in session.providers():
        theirs = provider.secrets.get("callback_client_secret", "")
        if client_id and theirs and shown(provider, "callback_client_id") == client_id:
            is_right = hmac.compare_digest(theirs.encode(), secret.encode())
            return provider if is_right else None
    return None


def _provider(service: ExamService, session: ServiceSession) -> Entry:
    """By its token, which ends when the provider's secret is changed. Raises: Problem 401."""
    kind, _, token = request.headers.get("Authorization", "").partition(" ")
    if kind.lower() not in ("jwt", "bearer"):
        raise unauthenticated()
    now_s = int(session.now.timestamp())
    try:
        key = OctKey.import_key(service.token_key)
        claims = jwt.decode(token.strip(), key, [ALGORITHM]).claims
        jwt.JWTClaimsRegistry(
            now=lambda: now_s,
            aud={"essential": True, "value": AUDIENCE},
            exp={"essential": True},
            sub={"essential": True},
        ).validate(claims)
    except (JoseError, ValueError, TypeError):
        raise unauthenticated("Invalid token.") from None
    for provider in session.providers():
        if provider.name == claims["sub"] and hmac.compare_digest(
            str(claims.get("secret")).encode(), _fingerprint(service, provider).encode()
        ):
            return provider
    raise unauthenticated("This provider is no longer known, or its secret has changed.")


def _fingerprint(service: ExamService, provider: Entry) -> str:
    client_id = shown(provider, "callback_client_id") or ""
    secret = provider.secrets.get("callback_client_secret", "")
    said = f"{len(client_id)} {client_id} {secret}"
    return hmac.new(service.token_key, said.encode(), hashlib.sha256).hexdigest()[:32]


# -- REST providers ------------------------------------------------------------------------------


def ready(service: ExamService, external_id: str) -> Response:
    """ "OK"; also if it is so already, or too late to matter."""

    def change(session: ServiceSession) -> Response:
        provider = _provider(service, session)
        attempt = _of_provider(session, provider, external_id)
        if attempt is None:
            raise Problem(HTTPStatus.NOT_FOUND, UNKNOWN)
        attempts.act(session, attempt.id, Action.READY, _by(service, provider))
        return answer("OK")

    return changed(service, change)


def reviewed(service: ExamService, external_id: str) -> Response:
    """ "OK". 400 and 412 are final; the same review again changes nothing."""
    body = given(MAX_REVIEW)

    def change(session: ServiceSession) -> Response:
        provider = _provider(service, session)
        attempt = _of_provider(session, provider, external_id)
        if attempt is None:
            raise bad_request(UNKNOWN)
        return _judged(service, session, provider, attempt, _read(read_rest_review, body))

    return changed(service, change)


def _read(read: Callable[[Any], Found], body: Any) -> Found:
    try:
        return read(body)
    except BadReview as error:
        raise bad_request(f"{error}.") from None


def _judged(
    service: ExamService,
    session: ServiceSession,
    provider: Entry,
    attempt: Attempt,
    review: Review,
) -> Response:
    exam = session.exams.get(attempt.exam_id)
    if not attempt.is_proctored or not exam.exam_type.is_proctored:
        raise Problem(HTTPStatus.PRECONDITION_FAILED, NO_LONGER)
    try:
        provider_reviews.take(session, attempt.id, review, _by(service, provider))
    except Refused as error:
        raise bad_request(f"{error}.") from None
    return answer("OK")


def _of_provider(session: ServiceSession, provider: Entry, external_id: str) -> Attempt | None:
    for attempt in session.service.attempts_of_provider(external_id):
        if session.exams.get(attempt.exam_id).terms.provider == provider.name:
            return attempt
    return None


def _by(service: ExamService, provider: Entry) -> By:
    return By(
        actor=Actor.PROVIDER, who=f"provider {provider.name}", request_id=service.request_id()
    )


# -- Software Secure -----------------------------------------------------------------------------


def software_secure_review(service: ExamService) -> Response:
    """A review under `Authorization: SSI key id:signature`. Raises: Problem 400, 401, 412."""
    body = given(MAX_REVIEW)

    def change(session: ServiceSession) -> Response:
        provider = _signer(session, body)
        code, locator, review = _read(read_software_secure_review, body)
        attempt = _of_provider(session, provider, locator)
        if attempt is None or attempt.external_id.lower() != code.lower():
            raise bad_request(UNKNOWN)
        return _judged(service, session, provider, attempt, review)

    return changed(service, change)


def _signer(session: ServiceSession, body: Any) -> Entry:
    sent = request.headers.get("Authorization", "")
    kind, _, signature = sent.partition(" ")
    date = request.headers.get("Date", "")
    if kind != "SSI" or not isinstance(body, Mapping):
        raise unauthenticated()
    _check_date(session, date)
    key_id = signature.partition(":")[0]
    for provider in session.providers():
        secret = provider.secrets.get("secret_key", "")
        if not secret or provider.plugin != SOFTWARE_SECURE:
            continue
        right = authorization(key_id, secret.encode(), body, date)
        if shown(provider, "secret_key_id") == key_id and hmac.compare_digest(
            right.encode(), sent.encode()
        ):
            return provider
    raise unauthenticated("The signature is not right.")


def _check_date(session: ServiceSession, date: str) -> None:
    try:
        said = parsedate_to_datetime(date)
    except (TypeError, ValueError):
        raise unauthenticated("The header Date is missing, or no date.") from None
    said = said.replace(tzinfo=UTC) if said.tzinfo is None else said
    if abs(session.now - said.astimezone(UTC)) > MAX_CLOCK_DIFFERENCE:
        raise unauthenticated("The header Date is too far from our clock.")
