"""With which published grader a submission is handed out: decided at the moment of the lease.

So a rollback counts from the next lease on. Queues without published graders cost one look a
second for each process, and nothing at all while no worker asks.
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from xqueue_server.models.grader import GraderChoice, LeasedGrader, NoSuchGrader
from xqueue_server.storage import Transaction, graders, lease_graders, policies, trials
from xqueue_server.storage.leases import Claim

NONE_BELIEVED_S = 1.0
"""How long a queue is taken to have no published grader after it was looked up."""
SHOWN_CHARS = 63


@dataclass(frozen=True, slots=True, kw_only=True)
class Wish:
    """What a submission's grader_payload says about its grader."""

    name: str | None
    """None: nothing, so that the queue's default is meant."""
    problem: str | None = None


class Choosing:
    """Safe to share between threads; each process remembers for itself."""

    def __init__(self, *, monotonic: Callable[[], float] = time.monotonic) -> None:
        self._monotonic = monotonic
        self._none_until: dict[str, float] = {}

    def choose(
        self, tx: Transaction, queue: str, key_hash: bytes, claim: Claim
    ) -> GraderChoice | None:
        """The grader of this lease; None if the queue publishes none."""
        choice = _of_trial(tx, queue, claim) if claim.is_trial else self._of_queue(tx, queue, claim)
        if isinstance(choice, LeasedGrader):
            lease_graders.record(
                tx,
                key_hash=key_hash,
                submission_id=claim.submission_id,
                attempt=claim.attempt,
                grader=choice.name,
                version=choice.version,
                isolation=choice.runs_with,
            )
        return choice

    def forget(self, queue: str) -> None:
        """This process knows that something was published."""
        self._none_until.pop(queue, None)

    def has_any(self, tx: Transaction, queue: str) -> bool:
        """Whether the queue has a published grader; a first one may take a second to be seen."""
        if self._monotonic() < self._none_until.get(queue, 0.0):
            return False
        if graders.has_any(tx, queue):
            return True
        self._none_until[queue] = self._monotonic() + NONE_BELIEVED_S
        return False

    def _of_queue(self, tx: Transaction, queue: str, claim: Claim) -> GraderChoice | None:
        if self._monotonic() < self._none_until.get(queue, 0.0):
            return None
        wish = wish_of(claim.body)
        found = None if wish.problem else _wished(tx, queue, wish.name)
        if found is None and not self.has_any(tx, queue):
            return None
        if wish.problem:
            return NoSuchGrader(detail=wish.problem)
        if found is None:
            return _unknown(tx, queue, wish.name)
        return _handed_out(queue, found, is_named=wish.name is not None)


def _wished(tx: Transaction, queue: str, name: str | None) -> graders.Candidate | None:
    """By its name, or the default. A legacy image's payload also says `grader`: which of its files
    grades. So a name that is nobody's is the default's own business where that is legacy."""
    found = graders.candidate(tx, queue, name)
    if found is not None or name is None:
        return found
    default = graders.candidate(tx, queue, None)
    return default if default is not None and default.is_forgeable else None


def _handed_out(queue: str, found: graders.Candidate, *, is_named: bool) -> GraderChoice | None:
    if found.is_refused:
        return _refused(found.name, queue)
    if found.version is None:
        detail = f"grader '{found.name}' of queue '{queue}' has no active version"
        return NoSuchGrader(detail=detail) if is_named else None
    return LeasedGrader(
        name=found.name,
        version=found.version,
        source=found.source,
        isolation=found.isolation,
        queue_isolation=found.queue_isolation,
    )


def _refused(name: str, queue: str) -> NoSuchGrader:
    return NoSuchGrader(
        detail=f"grader '{name}' has isolation 'none', which queue '{queue}' does not allow"
    )


def _unknown(tx: Transaction, queue: str, name: str | None) -> GraderChoice | None:
    if name is None:  # graders, but no default: cannot be made, and a worker may have its own
        return None
    names = ", ".join(graders.names_of(tx, queue))
    return NoSuchGrader(
        detail=f"grader_payload names the grader '{name}', which queue '{queue}' does not have; "
        f"it has: {names}"
    )


def _of_trial(tx: Transaction, queue: str, claim: Claim) -> GraderChoice:
    trial = trials.of_submission(tx, claim.submission_id)
    if trial is None:  # it expired just now
        return NoSuchGrader(detail="the trial has expired")
    policy = policies.of_queue(tx, queue)
    isolation = trial.manifest.isolation
    if trial.manifest.is_forgeable and policy.legacy_reason is None:  # any more
        return _refused(trial.name, queue)
    return LeasedGrader(
        name=trial.name,
        version=0,
        source=trial.source,
        isolation=isolation,
        queue_isolation=policy.isolation_of(isolation, trial.source),
        trial_id=trial.id,
    )


def wish_of(body: str) -> Wish:
    """Read `grader` from the grader_payload: an object, or a text that holds one."""
    payload = _parsed(body)
    payload = payload.get("grader_payload") if isinstance(payload, dict) else None
    if isinstance(payload, str):
        payload = _parsed(payload)
    if not isinstance(payload, dict) or "grader" not in payload:
        return Wish(name=None)
    name = payload["grader"]
    if not isinstance(name, str) or not name.isprintable():
        return Wish(name=None, problem="'grader' in grader_payload is not a grader's name")
    return Wish(name=name[: SHOWN_CHARS + 1])


def _parsed(text: str) -> Any:
    try:
        return json.loads(text)
    except (ValueError, RecursionError):
        return None
