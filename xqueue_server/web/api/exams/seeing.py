"""Exams and attempts in the caller's scope, and the rules' own errors as answers."""

from __future__ import annotations

from collections.abc import Callable
from functools import wraps
from typing import NoReturn, TypeVar

from flask import Response

from proctoring_hooks.accepting import NotAllowed
from proctoring_hooks.attempt import Attempt
from proctoring_hooks.attempts import NotPossible
from proctoring_hooks.exam import Exam
from proctoring_hooks.incidents import BadPolicy
from proctoring_hooks.store import NotFound, Overtaken
from proctoring_hooks.transitions import Actor, By, Refused
from xqueue_server.accounts.access import SEE_EXAMS
from xqueue_server.models.account import Role
from xqueue_server.storage.proctoring import looks
from xqueue_server.storage.proctoring.session import ProctoringSession
from xqueue_server.web.api.call import HIGHEST_ID, ApiCall
from xqueue_server.web.api.problem import ApiError
from xqueue_server.web.api.route import View


def within_rules(view: View) -> View:
    """The view, with what the rules of exams refuse as an answer that says why."""

    @wraps(view)
    def serve(call: ApiCall, **parts: int | str) -> Response:
        try:
            return view(call, **parts)
        except NotFound as error:
            raise ApiError(404, "not-found", str(error)) from None
        except Refused as error:
            if error.is_for_nobody:
                raise ApiError(409, "conflict", str(error)) from None
            raise ApiError(403, "forbidden", str(error)) from None
        except NotAllowed as error:
            raise ApiError(403, "forbidden", str(error)) from None
        except (NotPossible, Overtaken) as error:
            raise ApiError(409, "conflict", str(error)) from None
        except BadPolicy as error:
            raise ApiError(422, "invalid", str(error)) from None

    return serve


def exam_for(
    call: ApiCall,
    session: ProctoringSession,
    exam_id: int,
    roles: frozenset[Role] = SEE_EXAMS,
) -> Exam:
    """Raises: ApiError 404 where the caller may not even see it, 403 where he may only see it."""
    found = _found(session.exams.get, "Exam", exam_id)
    _require(call, session, found.course_id, roles, "Exam", exam_id)
    return found


def attempt_for(
    call: ApiCall,
    session: ProctoringSession,
    attempt_id: int,
    roles: frozenset[Role] = SEE_EXAMS,
) -> Attempt:
    """The same of an attempt, by its course."""
    found = _found(session.attempts.get, "Attempt", attempt_id)
    _require(call, session, found.course_id, roles, "Attempt", attempt_id)
    return found


def may(call: ApiCall, session: ProctoringSession, course: str, roles: frozenset[Role]) -> bool:
    """Exams belong to courses; of grants on queues only those on all of them count."""
    scope = call.caller.scope(session.tx, roles)
    return scope.is_everything or course in scope.courses


def looked(call: ApiCall, *subjects: str) -> None:
    """Record who is shown learners, before they are (see `looks.note`)."""
    looks.note(call.services.storage, subjects, call.caller.actor, request_id=call.request_id)


def by_proctor(call: ApiCall, reason: str | None = None) -> By:
    return By(actor=Actor.PROCTOR, who=call.caller.actor, request_id=call.request_id, reason=reason)


Thing = TypeVar("Thing")


def _found(find: Callable[[int], Thing], kind: str, of: int) -> Thing:
    if of > HIGHEST_ID:
        _missing(kind, of)
    try:
        return find(of)
    except NotFound:
        _missing(kind, of)


def _require(
    call: ApiCall,
    session: ProctoringSession,
    course: str,
    roles: frozenset[Role],
    kind: str,
    of: int,
) -> None:
    if not may(call, session, course, SEE_EXAMS):
        _missing(kind, of)
    if roles != SEE_EXAMS and not may(call, session, course, roles):
        needed = " or ".join(sorted(roles))
        raise ApiError(403, "forbidden", f"This needs the role {needed} on its course")


def _missing(kind: str, of: int) -> NoReturn:
    raise ApiError(404, "not-found", f"{kind} {of} not found")
