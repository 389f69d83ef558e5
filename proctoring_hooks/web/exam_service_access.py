"""Exam access tokens: the LMS shows an exam's content to whom we have just granted it.

A token is a JWT (RS512) for one learner and one exam, good for a minute at most. The LMS checks it
with the public half of our key, which it has in TOKEN_SIGNING (JWT_PUBLIC_SIGNING_JWK_SET).
"""

from __future__ import annotations

import json
import math
from datetime import datetime

from flask import Response, request
from joserfc import jwt
from joserfc.jwk import RSAKey

from proctoring_hooks.attempt import Attempt
from proctoring_hooks.exam import Exam
from proctoring_hooks.statuses import Status
from proctoring_hooks.web.exam_service_callers import caller_of, require_user
from proctoring_hooks.web.exam_service_courses import exam_of_lms
from proctoring_hooks.web.exam_service_errors import answer, forbidden
from proctoring_hooks.web.exam_service_store import ExamService, ServiceSession

LIFETIME_S = 60
ALGORITHM = "RS512"
KEY_BITS = 2048
PURPOSE = "exam access"
VERSION = "1.0.0"
SHOWN_AFTERWARDS = frozenset({Status.SUBMITTED, Status.VERIFIED})


def access_token(service: ExamService, exam_id: int) -> Response:
    """{exam_access_token, exam_access_token_expiration: seconds}. Raises: Problem 403, 404."""
    with service.store.write() as session:
        caller = require_user(caller_of(session, request))
        exam = exam_of_lms(session, caller, exam_id)
        earlier = session.attempts.of_learner(exam.id, caller.learner)
        if caller.is_staff_of(session, exam.course_id):
            seconds = LIFETIME_S
        else:
            seconds = granted_s(exam, earlier[0] if earlier else None, session.now)
        if seconds < 1:
            raise forbidden("Exam access token not granted")
        token = _signed(service, session, exam, int(caller.user_id), seconds)
    return answer({"exam_access_token": token, "exam_access_token_expiration": seconds})


def granted_s(exam: Exam, attempt: Attempt | None, now: datetime) -> int:
    """Whole seconds for which a learner may see the exam's content from now on; 0: not at all."""
    if attempt is None:
        return LIFETIME_S if exam.is_past_due(now) else 0
    if exam.is_past_due(now):
        is_shown = attempt.status in SHOWN_AFTERWARDS and not exam.hide_after_due
        return LIFETIME_S if is_shown else 0
    if attempt.status is not Status.STARTED:
        return 0
    return min(LIFETIME_S, math.floor(attempt.left_s(now)))


def _signed(
    service: ExamService, session: ServiceSession, exam: Exam, user_id: int, seconds: int
) -> str:
    key = _key(session)
    now_s = int(session.now.timestamp())
    claims = {
        "lms_user_id": user_id,
        "course_id": exam.course_id,
        "content_id": exam.content_id,
        "iss": service.base_url,
        "iat": now_s,
        "exp": now_s + seconds,
        "version": VERSION,
    }
    return jwt.encode({"alg": ALGORITHM, "kid": key.kid}, claims, key, [ALGORITHM])


def public_keys(service: ExamService) -> Response:
    """The JSON Web Key Set that the LMS is given."""
    with service.store.write() as session:
        key = _key(session)
    public = key.as_dict(private=False) | {"use": "sig", "alg": ALGORITHM}
    response = answer({"keys": [public]})
    response.headers["Cache-Control"] = "public, max-age=300"
    return response


def _key(session: ServiceSession) -> RSAKey:
    return RSAKey.import_key(json.loads(session.service.signing_key(PURPOSE, _made)))


def _made() -> str:
    key = RSAKey.generate_key(KEY_BITS)
    key.ensure_kid()
    return json.dumps(key.as_dict(private=True))
