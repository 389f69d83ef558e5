"""Which path of the API is served by what, and what every call goes through first."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from flask import Flask, Response, request

from xqueue_server.errors import Conflict, InvalidRequest, NotFound, StorageUnavailable
from xqueue_server.publishing import Refused, TooMany
from xqueue_server.web.api import assignments, bundles, faults, graders, trials
from xqueue_server.web.api.call import ApiCall
from xqueue_server.web.api.caller import caller_of
from xqueue_server.web.api.problem import ApiError, problem, unavailable
from xqueue_server.web.services import Services

BASE = "/api/v1"

View = Callable[..., Response]
"""(call, the parts of the path) -> the answer."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Route:
    method: str
    path: str
    view: View


ROUTES = (
    Route(method="PUT", path="/bundles/<sha256>", view=bundles.put_bundle),
    Route(method="GET", path="/bundles/<sha256>", view=bundles.get_bundle),
    Route(method="GET", path="/graders", view=graders.list_graders),
    Route(method="POST", path="/graders", view=graders.publish),
    Route(method="GET", path="/graders/<queue>/<name>", view=graders.show_grader),
    Route(method="POST", path="/graders/<queue>/<name>/activate", view=graders.activate),
    Route(method="POST", path="/graders/<queue>/<name>/default", view=graders.make_default),
    Route(method="GET", path="/graders/<queue>/<name>/tests", view=graders.show_tests),
    Route(method="GET", path="/assignments", view=assignments.list_assignments),
    Route(
        method="GET",
        path="/assignments/<queue>/<name>/<int:version>",
        view=assignments.show_assignment,
    ),
    Route(method="PUT", path="/readiness", view=assignments.put_readiness),
    Route(method="GET", path="/faults", view=faults.list_faults),
    Route(method="GET", path="/faults/<int:fault_id>", view=faults.show_fault),
    Route(method="POST", path="/trials", view=trials.begin_trial),
    Route(method="GET", path="/trials/<int:trial_id>", view=trials.show_trial),
    Route(
        method="GET",
        path="/trials/<int:trial_id>/assignment",
        view=assignments.show_trial_assignment,
    ),
)


def add_api(app: Flask, services: Services) -> None:
    for route in ROUTES:
        app.add_url_rule(
            f"{BASE}{route.path}",
            f"api {route.method} {route.path}",
            _guarded(route.view, services),
            methods=[route.method],
        )


def _guarded(view: View, services: Services) -> Callable[..., Response]:
    def serve(**parts: Any) -> Response:
        try:
            call = ApiCall(request=request, services=services, caller=caller_of(request, services))
            return view(call, **parts)
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
        except StorageUnavailable:
            return problem(unavailable())

    return serve
