"""`rest`: providers that speak the protocol of edx-proctoring's REST backend (`backends/rest.py`
of 6.1.4), of which this is the client's side.

Answers are not believed: what is no JSON object, has no id or one that can not be, is asked for
again, and the reason stands beside the message.
"""

from __future__ import annotations

import json
from typing import Any
from urllib.parse import quote

from proctoring_hooks.attempt import Attempt
from proctoring_hooks.obscuring import obscured_id
from proctoring_hooks.providers.base import (
    About,
    Answer,
    BadSettings,
    Credentials,
    Entry,
    Learned,
    NotTaken,
    NotYet,
    Occasion,
    Request,
    WrongAnswer,
    secret,
    text_setting,
    url_setting,
)
from proctoring_hooks.statuses import ONBOARDING_REFUSED, Status

LONGEST_ID = 255
REFUSALS = (400, 409, 412, 422)
"""Of what was asked: the same again would be refused again."""
GONE = (404, 410)
_STATUS = {Occasion.START: "started", Occasion.SUBMIT: "submitted", Occasion.ERROR: "error"}
_OF_EXAM = (Occasion.EXAM, Occasion.EXAM_IF_NEW)


class RestProvider:
    """Settings: base_url, client_id; token_path (/oauth2/access_token), send_names (false).
    Secrets: client_secret, obfuscation_key."""

    def __init__(self, entry: Entry) -> None:
        self._name = entry.name
        self._base_url = url_setting(entry, "base_url")
        self.credentials = Credentials(
            token_url=self._base_url
            + text_setting(entry, "token_path", default="/oauth2/access_token"),
            client_id=text_setting(entry, "client_id"),
            client_secret=secret(entry, "client_secret"),
        )
        self._obfuscation_key = secret(entry, "obfuscation_key")
        self._sends_names = entry.settings.get("send_names", False)
        if not isinstance(self._sends_names, bool):
            raise BadSettings(f"provider {entry.name}: send_names must be true or false")

    # -- telling ---------------------------------------------------------------------------------

    def tell(self, occasion: Occasion, about: About) -> Request | Learned:
        if occasion in _OF_EXAM:
            return self._tell_of_exam(occasion, about)
        attempt = _attempt_of(about)
        if occasion is Occasion.REGISTER:
            if attempt.provider_attempt_id:
                return Learned()  # told before, in a try whose end was lost
            return self._request("POST", self._attempt_path(about), self._registered(about))
        if not attempt.provider_attempt_id:
            return _never_registered(occasion)
        path = f"{self._attempt_path(about)}{_quoted(attempt.provider_attempt_id)}/"
        if occasion is Occasion.REMOVE:
            return self._request("DELETE", path, None)
        return self._request("PATCH", path, {"status": _STATUS[occasion]})

    def _tell_of_exam(self, occasion: Occasion, about: About) -> Request | Learned:
        known_as = about.exam.provider_exam_id
        if known_as and occasion is Occasion.EXAM_IF_NEW:
            return Learned()
        path = f"/api/v1/exam/{_quoted(known_as)}/" if known_as else "/api/v1/exam/"
        return self._request("POST", path, self._exam(about))

    def _attempt_path(self, about: About) -> str:
        if not about.exam.provider_exam_id:
            raise NotYet("the provider has not yet said by which id it knows the exam")
        return f"/api/v1/exam/{_quoted(about.exam.provider_exam_id)}/attempt/"

    def _request(self, method: str, path: str, body: dict[str, Any] | None) -> Request:
        return Request(
            method=method,
            url=self._base_url + path,
            body=None if body is None else json.dumps(body).encode(),
            headers={} if body is None else {"Content-Type": "application/json"},
            credentials=self.credentials,
        )

    def _exam(self, about: About) -> dict[str, Any]:
        exam = about.exam
        return {
            "id": exam.id,
            "course_id": exam.course_id,
            "content_id": exam.content_id,
            "external_id": exam.provider_exam_id or None,
            "exam_name": exam.exam_name,
            "time_limit_mins": exam.time_limit_mins,
            "is_proctored": exam.exam_type.is_proctored,
            "is_practice_exam": exam.exam_type.is_practice,
            "is_active": exam.is_active,
            "due_date": exam.due_at.isoformat() if exam.due_at else None,
            "hide_after_due": exam.hide_after_due,
            "backend": self._name,
            "rules": exam.terms.rules,
        }

    def _registered(self, about: About) -> dict[str, Any]:
        attempt, names = _attempt_of(about), about.names if self._sends_names else None
        user_id = attempt.learner.user_id
        if not user_id:
            raise NotTaken("the learner's user id is not known, so it can not be obscured")
        allowed_s = attempt.allowed_s
        return {
            "lms_host": about.callback_url,
            "time_limit_mins": about.exam.time_limit_mins if allowed_s is None else allowed_s // 60,
            "is_sample_attempt": about.exam.exam_type.is_practice,
            "user_id": obscured_id(self._obfuscation_key, user_id, self._name),
            "full_name": names.full_name if names else "",
            "email": names.email if names else "",
            "status": "created",
        }

    # -- reading ---------------------------------------------------------------------------------

    def read(self, occasion: Occasion, about: About, answer: Answer) -> Learned | None:
        if answer.status in REFUSALS:
            raise NotTaken(f"the provider refuses it ({answer.status})")
        if occasion is Occasion.REMOVE:
            return _removed(answer)
        if not 200 <= answer.status < 300:
            return None
        given = _object(answer)
        if occasion in _OF_EXAM:
            return Learned(exam_id=_id(given, "an exam id"))
        if occasion is Occasion.REGISTER:
            return _registration(given)
        return Learned()


def _attempt_of(about: About) -> Attempt:
    if about.attempt is None:
        raise NotTaken("there is no attempt")
    return about.attempt


def _never_registered(occasion: Occasion) -> Learned:
    if occasion is Occasion.REMOVE:
        return Learned()
    raise NotTaken("the provider never took this attempt: replay the message that registers it")


def _quoted(text: str) -> str:
    return quote(text, safe="")


def _removed(answer: Answer) -> Learned | None:
    if answer.status in GONE:
        return Learned()
    if not 200 <= answer.status < 300:
        return None
    if _object(answer).get("status") != "deleted":
        raise WrongAnswer(f'answered {answer.status}, but not {{"status": "deleted"}}')
    return Learned()


def _registration(given: dict[str, Any]) -> Learned:
    status = given.get("status")
    if "id" not in given and isinstance(status, str) and status in set(ONBOARDING_REFUSED):
        return Learned(onboarding=Status(status))
    return Learned(attempt_id=_id(given, "an attempt id"))


def _object(answer: Answer) -> dict[str, Any]:
    try:
        given = json.loads(answer.text)
    except (ValueError, RecursionError):
        raise WrongAnswer(f"answered {answer.status} without JSON") from None
    if not isinstance(given, dict):
        raise WrongAnswer(f"answered {answer.status} with JSON that is no object")
    return given


def _id(given: dict[str, Any], what: str) -> str:
    value = given.get("id")
    if isinstance(value, bool) or not isinstance(value, str | int) or value == "":
        raise WrongAnswer(f"answered without {what}")
    text = str(value)
    if len(text) > LONGEST_ID or not text.isprintable() or text in (".", ".."):
        raise WrongAnswer(f"answered with something that can not be {what}")
    return text
