"""Published graders of a queue: their versions, who can run them, going back."""

from __future__ import annotations

from collections.abc import Sequence

from flask import Response

from xqueue_server.accounts.access import PUBLISH, SEE_GRADERS
from xqueue_server.authoring import publishing
from xqueue_server.errors import NotFound
from xqueue_server.models.grader import NAME
from xqueue_server.storage import graders, policies, readiness
from xqueue_server.web.admin.call import AdminCall, whole_number
from xqueue_server.web.admin.paths import at
from xqueue_server.web.admin.route import Route


def show_one(call: AdminCall, queue: str, name: str) -> Response:
    with call.storage.read() as tx:
        call.require_queue(tx, queue, SEE_GRADERS, SEE_GRADERS)
        found = graders.get(tx, queue, _require_name(name))
        versions = graders.versions_of(tx, queue, name)
        hosts = readiness.of_grader(tx, queue, name)
        policy = policies.of_queue(tx, queue)
    return call.page(
        "grader.html",
        grader=found,
        versions=versions,
        hosts=hosts,
        policy=policy,
        may_publish=call.may(PUBLISH, queue),
    )


def activate(call: AdminCall, queue: str, name: str) -> Response:
    with call.storage.read() as tx:
        call.require_queue(tx, queue, PUBLISH, SEE_GRADERS)
        _require_name(name)
    version = whole_number(
        call.field("version"), "The version", least=1, most=publishing.HIGHEST_VERSION
    )
    publishing.activate(
        call.storage, queue, name, version, call.services.settings.ceilings, actor=call.actor
    )
    call.services.choosing.forget(queue)
    return call.done(f"Queue {queue} uses {name} version {version}.", _page_of(queue, name))


def make_default(call: AdminCall, queue: str, name: str) -> Response:
    with call.storage.write() as tx:
        call.require_queue(tx, queue, PUBLISH, SEE_GRADERS)
        graders.lock(tx, queue)
        graders.set_default(tx, queue, _require_name(name), actor=call.actor)
    call.services.choosing.forget(queue)
    return call.done(f"The default grader of queue {queue} is {name}.", _page_of(queue, name))


def _require_name(name: str) -> str:
    """Raises: NotFound for what can be none; a NUL, for one, would be an error of the database."""
    if not NAME.fullmatch(name):
        raise NotFound("There is no such grader")
    return name


def _page_of(queue: str, name: str) -> str:
    return at("queues", queue, "graders", name)


_PATH = "/queues/<queue>/graders/<name>"
ROUTES: Sequence[Route] = (
    Route(method="GET", path=_PATH, view=show_one, roles=SEE_GRADERS),
    Route(method="POST", path=f"{_PATH}/activate", view=activate, roles=PUBLISH),
    Route(method="POST", path=f"{_PATH}/default", view=make_default, roles=PUBLISH),
)
