"""What leaves about learners: no user id, user name or e-mail address of the LMS's, to nobody but
whom an operator has said so of. Looked for in the requests as they arrive."""

from __future__ import annotations

import base64
from collections.abc import Iterator
from typing import Any

import pytest

from proctoring_hooks import attempts
from proctoring_hooks.exam import Exam
from proctoring_hooks.providers.base import Entry
from proctoring_hooks.store import SecretSubscriber
from proctoring_hooks.transitions import Action
from tests.delivery.lms import Received, ScriptedLms, running_lms
from tests.delivery.outbox_data import deliver_now
from tests.proctoring.conftest import MakeExam
from tests.proctoring.outgoing import SignedIn, answered, post_office
from tests.proctoring.sitting import LEARNER, PROVIDER, STAFF, registered
from xqueue_server.instant import ManualClock
from xqueue_server.storage import Storage
from xqueue_server.storage.proctoring import ProctoringStore

USER_ID = "471147114711"
FIRST, LAST, EMAIL, USERNAME = "Zebra", "Quagga", "quagga@zebra.example", "quagga-z"
NAMES = (FIRST, LAST, EMAIL, USERNAME)
SECRETS = {
    "client_secret": "s",
    "obfuscation_key": "o",
    "secret_key": "k" * 24,
    "crypto_key": "c" * 24,
}
HOOK_SECRET = f"whsec_{base64.b64encode(b'0123456789abcdef0123456789abcdef').decode()}"
SETTINGS: dict[str, Any] = {
    "client_id": "us",
    "organization": "edX",
    "exam_sponsor": "edX",
    "secret_key_id": "id",
}


@pytest.fixture
def provider() -> Iterator[SignedIn]:
    with running_lms() as server:
        yield SignedIn(server)


@pytest.fixture
def hook() -> Iterator[ScriptedLms]:
    with running_lms() as server:
        yield server


def sit(store: ProctoringStore, exam: Exam) -> None:
    """From the registration to the removal."""
    with store.write() as session:
        session.learners.tell(
            "edx", USER_ID, username=USERNAME, email=EMAIL, full_name=f"{FIRST} {LAST}"
        )
    attempt = registered(store, exam, USER_ID)
    with store.write() as session:
        attempts.act(session, attempt.id, Action.READY, PROVIDER)
        for action in (Action.START, Action.SUBMIT):
            attempts.act(session, attempt.id, action, LEARNER)
        attempts.act(session, attempt.id, Action.RESET, STAFF)


def found_in(requests: list[Received]) -> set[str]:
    """Of what is the learner's."""
    sent = b"\n".join(
        b"\n".join([each.path.encode(), repr(each.headers).encode(), each.raw]) for each in requests
    )
    return {name for name in (USER_ID, *NAMES) if name.encode() in sent}


@pytest.mark.parametrize(
    ("plugin", "said", "told"),
    [
        ("rest", {}, set()),
        ("rest", {"send_names": True}, {FIRST, LAST, EMAIL}),
        # Without a name its proctors could not tell who sits there.
        ("software_secure", {}, {FIRST, LAST}),
        ("software_secure", {"send_email": True}, {FIRST, LAST, EMAIL}),
    ],
)
def test_a_provider_is_told_what_its_entry_says_and_no_more(
    storage: Storage,
    store: ProctoringStore,
    clock: ManualClock,
    make_exam: MakeExam,
    provider: SignedIn,
    plugin: str,
    said: dict[str, Any],
    told: set[str],
) -> None:
    entry = Entry(
        name="watcher",
        plugin=plugin,
        settings=SETTINGS | said | {"base_url": provider.server.origin},
        secrets=SECRETS,
    )
    with store.write() as session:
        session.recipients.put_provider(entry)
    exam = make_exam(terms={"provider": "watcher"})
    if plugin == "rest":
        provider.answers = [answered({"id": "ex"}), answered({"id": "at"})]
        provider.answers += [answered({"status": "deleted"})] * 9
    else:
        provider.server.answer = lambda _got: answered({"ssiRecordLocator": "locator"})
    with post_office(storage, store) as deliverer:
        sit(store, exam)
        for _ in range(6):
            deliver_now(deliverer)
            clock.advance(2)
    calls = provider.server.received
    assert len(calls) >= (6 if plugin == "rest" else 1)
    assert found_in(calls) == told


def test_a_subscriber_is_told_no_id_of_the_lms(
    storage: Storage, store: ProctoringStore, make_exam: MakeExam, hook: ScriptedLms
) -> None:
    with store.write() as session:
        subscriber = SecretSubscriber(name="hr", url=f"{hook.origin}/x", secret=HOOK_SECRET)
        session.recipients.put_subscriber(subscriber, lms="edx", course_id="")
    with post_office(storage, store, XQUEUE_WEBHOOK_ORIGINS=hook.origin) as deliverer:
        sit(store, make_exam())
        for _ in range(4):
            deliver_now(deliverer)
    assert len(hook.received) == 2
    assert found_in(hook.received) == set()
