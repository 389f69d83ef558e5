"""Queues: how they stand, pausing, terms, weights of courses, limits of graders, notifications."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Sequence
from typing import Any

from flask import Response

from xqueue_server.accounts.access import ADMINISTER, REPAIR, SEE, SEE_GRADERS
from xqueue_server.authoring.notifying import shown_secret, webhook_secret
from xqueue_server.authoring.publishing import ceilings_of
from xqueue_server.errors import Conflict, InvalidRequest
from xqueue_server.models.grader import FORGEABLE, ISOLATIONS
from xqueue_server.models.manifest_rules import RUNTIMES
from xqueue_server.models.queue import NAME, Queue
from xqueue_server.models.submission import LEAST_PRIORITY, MOST_PRIORITY
from xqueue_server.settings import Settings, origin_of
from xqueue_server.storage import (
    graders,
    ordering,
    policies,
    queues,
    state_counts,
    workers,
)
from xqueue_server.storage.course_grants import MOST_CHARS as MOST_COURSE_CHARS
from xqueue_server.web.admin.call import AdminCall, whole_number
from xqueue_server.web.admin.paths import at
from xqueue_server.web.admin.route import Route

MB = 1024 * 1024
A_YEAR_S = 366 * 24 * 3600
TERMS = {
    "lease_s": ("The lease", 1, A_YEAR_S),
    "max_attempts": ("The number of attempts", 1, 1000),
    "give_up_after_s": ("The wait of held ones", 0, A_YEAR_S),
    "max_platform_failures": ("The number of platform failures", 1, 100_000),
    "priority": ("The priority", LEAST_PRIORITY, MOST_PRIORITY),
}
MOST_OF_LEARNER = 1000
MOST_WEIGHT = 1000
MOST_REASON_CHARS = 1000
CHOOSABLE = tuple(word for word in ISOLATIONS if word != FORGEABLE)


# -- looking -------------------------------------------------------------------------------------


def show_list(call: AdminCall) -> Response:
    with call.storage.read() as tx:
        seen = call.scope(tx, SEE_GRADERS)
        found = [q for q in queues.all_queues(tx) if seen.has_queue(q.name)]
        counts = state_counts.count(tx)
        names = {q.name: [g.name for g in graders.of_queue(tx, q.name)] for q in found}
        counted = call.scope(tx, SEE)
    return call.page("queues.html", found=found, counts=counts, counted=counted, graders=names)


def show_one(call: AdminCall, name: str) -> Response:
    settings = call.services.settings
    with call.storage.read() as tx:
        found = call.require_queue(tx, name, SEE_GRADERS, SEE_GRADERS)
        policy = policies.of_queue(tx, name)
        published = graders.of_queue(tx, name)
        weights = ordering.weights_of(tx, name)
        counts = state_counts.count(tx)
        wishes = [wish for wish in workers.all_wishes(tx) if wish.queue == name]
    return call.page(
        "queue.html",
        queue=found,
        policy=policy,
        ceilings=ceilings_of(policy, settings.ceilings),
        graders=published,
        weights=weights,
        counts=counts,
        wishes=wishes,
        webhook_origin=origin_of(policy.webhook_url) if policy.webhook_url else None,
        may_see=call.may(SEE, name),
        may_repair=call.may(REPAIR, name),
        may_administer=call.may(ADMINISTER, name),
        isolations=CHOOSABLE,
        runtimes=RUNTIMES,
        has_mail=settings.mail is not None,
    )


# -- operators -----------------------------------------------------------------------------------


def pause(call: AdminCall, name: str) -> Response:
    reason = _reason(call)
    with call.storage.write() as tx:
        call.require_queue(tx, name, REPAIR, SEE_GRADERS)
        queues.pause(tx, name, reason=reason, actor=call.actor)
    return _done(call, name, f"Queue {name} is paused: it hands out nothing until it is resumed.")


def resume(call: AdminCall, name: str) -> Response:
    with call.storage.write() as tx:
        call.require_queue(tx, name, REPAIR, SEE_GRADERS)
        queues.resume(tx, name, actor=call.actor)
    call.services.dispatcher.nudge(name)
    return _done(call, name, f"Queue {name} hands out again.")


# -- administrators ------------------------------------------------------------------------------


def add(call: AdminCall) -> Response:
    call.require_administrator()
    name = call.field("name")
    if not NAME.fullmatch(name):
        raise InvalidRequest("A queue's name has up to 128 letters, digits, spaces and . : @ + - _")
    with call.storage.write() as tx:
        queues.add(tx, Queue(name=name), actor=call.actor)
    return _done(call, name, f"Added queue {name}.")


def set_terms(call: AdminCall, name: str) -> Response:
    terms: dict[str, Any] = {
        term: whole_number(call.field(term), what, least=least, most=most)
        for term, (what, least, most) in TERMS.items()
    }
    cap = call.field("learner_cap")
    terms["learner_cap"] = (
        whole_number(cap, "The cap of a learner", least=1, most=MOST_OF_LEARNER) if cap else None
    )
    with call.storage.write() as tx:
        found = call.require_queue(tx, name, ADMINISTER, SEE_GRADERS)
        queues.change(tx, dataclasses.replace(found, **terms), actor=call.actor)
    return _done(
        call, name, f"Changed the terms of queue {name}; leases already given keep theirs."
    )


def set_weight(call: AdminCall, name: str) -> Response:
    """1 is what a course has that was given none."""
    course = call.field("course")
    if not 0 < len(course) <= MOST_COURSE_CHARS or not course.isprintable():
        raise InvalidRequest("A course is written like course-v1:Org+Course+Run")
    weight = whole_number(call.field("weight"), "The weight", least=1, most=MOST_WEIGHT)
    with call.storage.write() as tx:
        call.require_queue(tx, name, ADMINISTER, SEE_GRADERS)
        if weight == 1:
            ordering.remove_weight(tx, name, course, actor=call.actor)
        else:
            ordering.set_weight(tx, name, course, weight, actor=call.actor)
    return _done(call, name, f"{course} weighs {weight} on queue {name}.")


def set_limits(call: AdminCall, name: str) -> Response:
    """An empty field goes back to the settings' ceiling."""
    terms = {
        "max_wall_s": _number(call, "max_wall_s", 1, 86_400),
        "max_memory_bytes": _limit(call, "max_memory_mb", 16, 1024 * 1024, unit=MB),
        "max_cpus": _number(call, "max_cpus", 0.1, 1024),
        "max_pids": _limit(call, "max_pids", 4, 100_000),
        "max_output_bytes": _limit(call, "max_output_bytes", 1024, 1024 * MB),
    }
    with call.storage.write() as tx:
        call.require_queue(tx, name, ADMINISTER, SEE_GRADERS)
        policies.change(tx, name, actor=call.actor, why="limits", **terms)
    return _done(call, name, f"Changed the limits of graders of queue {name}.")


def _limit(call: AdminCall, field: str, least: int, most: int, *, unit: int = 1) -> int | None:
    text = call.field(field)
    what = field.removeprefix("max_").replace("_", " ")
    return (
        whole_number(text, f"The limit of {what}", least=least, most=most) * unit if text else None
    )


def _number(call: AdminCall, field: str, least: float, most: float) -> float | None:
    text = call.field(field)
    try:
        number = float(text) if text else None
    except ValueError:
        number = math.nan
    if number is not None and not least <= number <= most:
        what = field.removeprefix("max_").replace("_", " ")
        raise InvalidRequest(f"The limit of {what} must be a number from {least:g} to {most:g}")
    return number


def set_isolation(call: AdminCall, name: str) -> Response:
    chosen, runtime = call.field("isolation") or None, call.field("runtime") or None
    if chosen is not None and chosen not in CHOOSABLE:
        raise InvalidRequest(f"The isolation is one of {', '.join(CHOOSABLE)}, or the author's")
    if runtime is not None and (runtime not in RUNTIMES or chosen != "split-container"):
        raise InvalidRequest("A runtime goes with split-container")
    with call.storage.write() as tx:
        call.require_queue(tx, name, ADMINISTER, SEE_GRADERS)
        policies.change(
            tx, name, actor=call.actor, why="isolation", isolation=chosen, runtime=runtime
        )
    call.services.choosing.forget(name)
    told = chosen or "the default of each host"
    return _done(call, name, f"Graders of queue {name} that demand no isolation run with {told}.")


def set_legacy(call: AdminCall, name: str) -> Response:
    allowed = call.field("allow") == "yes"
    reason = _reason(call) if allowed else None
    with call.storage.write() as tx:
        call.require_queue(tx, name, ADMINISTER, SEE_GRADERS)
        why = "legacy allowed" if allowed else "legacy forbidden"
        policies.change(tx, name, actor=call.actor, why=why, legacy_reason=reason)
    call.services.choosing.forget(name)
    verb = "allows" if allowed else "refuses"
    return _done(call, name, f'Queue {name} {verb} graders with isolation "none".')


def set_notify(call: AdminCall, name: str) -> Response:
    webhook, email = call.field("webhook") or None, call.field("email") or None
    settings = call.services.settings
    _check_targets(webhook, email, settings)
    with call.storage.write() as tx:
        call.require_queue(tx, name, ADMINISTER, SEE_GRADERS)
        policies.change(tx, name, actor=call.actor, why="notify", webhook_url=webhook, email=email)
    if webhook is None:
        return _done(call, name, f"Faults of queue {name} are notified to {email or 'nobody'}.")
    secret = shown_secret(webhook_secret(settings.secret_key, name, webhook))
    return call.page(
        "secret.html",
        what=f"The secret of the webhook of queue {name}",
        secret=secret,
        hint="Messages are signed with it. It stays the same for this queue and address.",
        back=at("queues", name),
    )


def _check_targets(webhook: str | None, email: str | None, settings: Settings) -> None:
    origin = origin_of(webhook) if webhook else None
    if webhook and (origin is None or not webhook.isprintable() or " " in webhook):
        raise InvalidRequest("The webhook must be an http(s) URL without a user name")
    if origin and not origin.startswith("https://") and origin not in settings.webhook_origins:
        raise Conflict(f"{origin} is not https; allow it with XQUEUE_WEBHOOK_ORIGINS")
    local, sign, domain = (email or "").rpartition("@")
    if email and (not (local and sign and domain) or not email.isprintable() or " " in email):
        raise InvalidRequest("The e-mail address must be like staff@example.org")
    if email and settings.mail is None:
        raise Conflict("No mail server is set: XQUEUE_SMTP_SERVER and XQUEUE_SMTP_FROM")


def remove(call: AdminCall, name: str) -> Response:
    call.require_administrator()
    with call.storage.write() as tx:
        call.require_queue(tx, name, ADMINISTER, SEE_GRADERS)
        if call.field("sure") != name:
            raise InvalidRequest(f"To remove the queue, write its name: {name}")
        queues.remove(tx, name, actor=call.actor)
    return call.done(f"Removed queue {name}.", at("queues"))


def _reason(call: AdminCall) -> str:
    reason = call.field("reason")
    if not 0 < len(reason) <= MOST_REASON_CHARS:
        raise InvalidRequest("Give a reason: it stands wherever the queue is shown")
    return reason


def _done(call: AdminCall, name: str, text: str) -> Response:
    call.note(queue=name)
    return call.done(text, at("queues", name))


_PATH = "/queues/<name>"
ROUTES: Sequence[Route] = (
    Route(method="GET", path="/queues", view=show_list, roles=SEE_GRADERS),
    Route(method="POST", path="/queues", view=add, roles=ADMINISTER),
    Route(method="GET", path=_PATH, view=show_one, roles=SEE_GRADERS),
    Route(method="POST", path=f"{_PATH}/pause", view=pause, roles=REPAIR),
    Route(method="POST", path=f"{_PATH}/resume", view=resume, roles=REPAIR),
    Route(method="POST", path=f"{_PATH}/weight", view=set_weight, roles=ADMINISTER),
    Route(method="POST", path=f"{_PATH}/terms", view=set_terms, roles=ADMINISTER),
    Route(method="POST", path=f"{_PATH}/limits", view=set_limits, roles=ADMINISTER),
    Route(method="POST", path=f"{_PATH}/isolation", view=set_isolation, roles=ADMINISTER),
    Route(method="POST", path=f"{_PATH}/legacy", view=set_legacy, roles=ADMINISTER),
    Route(method="POST", path=f"{_PATH}/notify", view=set_notify, roles=ADMINISTER),
    Route(method="POST", path=f"{_PATH}/remove", view=remove, roles=ADMINISTER),
)
