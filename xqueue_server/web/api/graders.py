"""Publishing graders, looking at them, going back to an earlier version."""

from __future__ import annotations

from flask import Response

from xqueue_server.authoring import publishing
from xqueue_server.errors import NotFound
from xqueue_server.storage import Transaction, graders, policies, readiness, test_counts
from xqueue_server.storage.test_counts import GraderKey
from xqueue_server.web.api.answer import answer
from xqueue_server.web.api.call import HIGHEST_VERSION, ApiCall, require_name, require_version
from xqueue_server.web.api.caller import AUTHOR, CHOOSER, READER
from xqueue_server.web.api.documents import (
    READY_WITHIN_S,
    grader_document,
    readiness_document,
    version_document,
)

MAX_PUBLICATION_BYTES = 512 * 1024
SMALL_BYTES = 16 * 1024
MOST_VERSIONS = 500
"""Of a grader in one answer, the newest; each one can be asked for."""


def list_graders(call: ApiCall) -> Response:
    found = []
    with call.services.storage.read() as tx:
        for queue in call.caller.chosen_queues(tx, READER, call.parameters("queue")):
            hosts = readiness.recent(tx, queue, within_s=READY_WITHIN_S)
            policy = policies.of_queue(tx, queue)
            for grader in graders.of_queue(tx, queue):
                number = grader.active or grader.latest
                version = graders.version_of(tx, queue, grader.name, number)
                found.append(grader_document(grader, version, hosts, policy))
    return answer({"graders": found})


def publish(call: ApiCall) -> Response:
    document = call.document(MAX_PUBLICATION_BYTES)
    services, caller = call.services, call.caller
    with services.storage.read() as tx:
        caller.require(tx, AUTHOR, document.get("queue"))
    publication = publishing.read_publication(document)
    version = publishing.publish(
        services.storage,
        caller.account,
        publication,
        services.settings.ceilings,
        actor=caller.actor,
    )
    services.choosing.forget(version.queue)
    call.note(queue=version.queue, grader=version.name, version=version.version)
    with services.storage.read() as tx:
        grader = graders.get(tx, version.queue, version.name)
    return answer(version_document(version, grader), 201)


def show_grader(call: ApiCall, queue: str, name: str) -> Response:
    with call.services.storage.read() as tx:
        call.caller.require(tx, READER, queue)
        grader = graders.get(tx, queue, require_name(name, queue))
        versions = graders.versions_of(tx, queue, name)
        hosts = readiness.of_grader(tx, queue, name)
        recent = readiness.recent(tx, queue, within_s=READY_WITHIN_S)
        policy = policies.of_queue(tx, queue)
    used = next(v for v in versions if v.version == (grader.active or grader.latest))
    return answer(
        grader_document(grader, used, recent, policy)
        | {
            "versions": [version_document(v, grader) for v in versions[:MOST_VERSIONS]],
            "readiness": [readiness_document(h) for h in hosts],
        }
    )


def activate(call: ApiCall, queue: str, name: str) -> Response:
    services = call.services
    with services.storage.read() as tx:
        call.caller.require(tx, CHOOSER, queue)
        graders.get(tx, queue, require_name(name, queue))
    number = publishing.require_version_number(call.document(SMALL_BYTES).get("version"))
    version = publishing.activate(
        services.storage,
        queue,
        name,
        require_version(number, queue, name),
        services.settings.ceilings,
        actor=call.caller.actor,
    )
    call.note(queue=queue, grader=name, version=number)
    with services.storage.read() as tx:
        return answer(version_document(version, graders.get(tx, queue, name)))


def make_default(call: ApiCall, queue: str, name: str) -> Response:
    call.document(SMALL_BYTES)
    with call.services.storage.write() as tx:
        call.caller.require(tx, CHOOSER, queue)
        graders.lock(tx, queue)
        graders.set_default(tx, queue, require_name(name, queue), actor=call.caller.actor)
    with call.services.storage.read() as tx:
        grader = graders.get(tx, queue, name)
        version = graders.version_of(tx, queue, name, grader.active or grader.latest)
        recent = readiness.recent(tx, queue, within_s=READY_WITHIN_S)
        policy = policies.of_queue(tx, queue)
    return answer(grader_document(grader, version, recent, policy))


def show_tests(call: ApiCall, queue: str, name: str) -> Response:
    with call.services.storage.read() as tx:
        call.caller.require(tx, READER, queue)
        grader = graders.get(tx, queue, require_name(name, queue))
        default = grader.active or grader.latest
        version = call.whole_number("version", default, most=HIGHEST_VERSION) or default
        if not graders.has_version(tx, queue, name, version):
            raise NotFound(f"Grader '{name}' of queue '{queue}' has no version {version}")
        return answer(
            {
                "queue": queue,
                "name": name,
                "version": version,
                "tests": _tests(tx, GraderKey(queue=queue, grader=name, version=version)),
            }
        )


def _tests(tx: Transaction, of: GraderKey) -> list[dict[str, object]]:
    found = []
    for test_id, statuses in test_counts.of_version(tx, of).items():
        total = sum(statuses.values())
        failed = total - statuses.get("passed", 0)
        found.append(
            {
                "id": test_id,
                "total": total,
                "statuses": statuses,
                "failure_rate": round(failed / total, 4),
            }
        )
    return found
