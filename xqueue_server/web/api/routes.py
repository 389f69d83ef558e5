"""Which path of the API is served by what, and what every call goes through first."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from flask import Flask, Response, request

from xqueue_server.errors import (
    Conflict,
    InvalidRequest,
    NotFound,
    NotSignedIn,
    StorageUnavailable,
)
from xqueue_server.publishing import Refused, TooMany
from xqueue_server.web.api.call import ApiCall
from xqueue_server.web.api.caller import caller_of
from xqueue_server.web.api.graders_routes import GRADERS_ROUTES
from xqueue_server.web.api.openapi import add_description
from xqueue_server.web.api.operating.routes import OPERATING_ROUTES
from xqueue_server.web.api.problem import ApiError, problem, unavailable
from xqueue_server.web.api.route import Route
from xqueue_server.web.services import Services

BASE = "/api/v1"

ROUTES = (*GRADERS_ROUTES, *OPERATING_ROUTES)


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
            return route.view(ApiCall(request=request, services=services, caller=caller), **parts)
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

    return serve
