"""Which path of the API is served by what, and what every call goes through first."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from flask import Flask, Response, request

from xqueue_server.authoring.publishing import Refused, TooMany
from xqueue_server.errors import (
    Conflict,
    InvalidRequest,
    NotFound,
    NotSignedIn,
    StorageUnavailable,
)
from xqueue_server.models.grader import Problem
from xqueue_server.web.api.call import ApiCall
from xqueue_server.web.api.caller import caller_of
from xqueue_server.web.api.exams.routes import EXAM_ROUTES
from xqueue_server.web.api.graders_routes import GRADERS_ROUTES
from xqueue_server.web.api.once import AnsweredBefore, once_of
from xqueue_server.web.api.openapi import add_description
from xqueue_server.web.api.operating.routes import OPERATING_ROUTES
from xqueue_server.web.api.problem import ApiError, problem, unavailable
from xqueue_server.web.api.route import Route
from xqueue_server.web.services import Services

BASE = "/api/v1"

ROUTES = (*GRADERS_ROUTES, *OPERATING_ROUTES, *EXAM_ROUTES)


def add_api(app: Flask, services: Services) -> None:
    for route in ROUTES:
        app.add_url_rule(
            f"{BASE}{route.path}",
            f"api {route.method} {route.path}",
            _guarded(route, services),
            methods=[route.method],
        )
    add_description(app, BASE, ROUTES)


def _guarded(route: Route, services: Services) -> Callable[..., Response]:
    def serve(**parts: Any) -> Response:
        try:
            caller = caller_of(request, services, by_session=route.by_session)
            _refuse_unknown_parameters(route)
            once = once_of(request, route, caller, services.storage)
        except ApiError as error:
            return problem(error)
        except NotSignedIn as error:  # too many passwords are being hashed
            return problem(ApiError(429, "too-many", str(error), retry_after_s=1))
        except StorageUnavailable:
            return problem(unavailable())
        call = ApiCall(request=request, services=services, caller=caller, once=once)
        response = _answered(route, call, parts)
        if once is not None:
            once.end(response)
        return response

    return serve


def _refuse_unknown_parameters(route: Route) -> None:
    """A filter that is misspelt must not show, or repair, everything. Raises: ApiError 422."""
    known = [query.name for query in route.query]
    unknown = [
        Problem(where=name[:64], problem="is no parameter of this address")
        for name in request.args
        if name not in known
    ]
    if unknown:
        hint = f"there are {', '.join(known)}" if known else "there are none"
        detail = "; ".join(str(each) for each in unknown[:10])
        raise ApiError(422, "invalid", f"{detail}; {hint}", errors=unknown)


def _answered(route: Route, call: ApiCall, parts: dict[str, Any]) -> Response:
    try:
        return route.view(call, **parts)
    except AnsweredBefore as before:
        return before.response
    except ApiError as error:
        return problem(error)
    except Refused as error:
        return problem(ApiError(422, error.code, str(error), errors=error.problems))
    except TooMany as error:
        return problem(ApiError(429, "too-many", str(error), retry_after_s=error.retry_after_s))
    except NotFound as error:
        return problem(ApiError(404, "not-found", str(error)))
    except InvalidRequest as error:
        return problem(ApiError(422, "invalid", str(error)))
    except Conflict as error:
        return problem(ApiError(409, "conflict", str(error)))
    except NotSignedIn as error:  # too many passwords are being hashed
        return problem(ApiError(429, "too-many", str(error), retry_after_s=1))
    except StorageUnavailable:
        return problem(unavailable())
