"""The whole product in processes of its own, on SQLite and for some steps also on PostgreSQL."""

from __future__ import annotations

import secrets
from collections.abc import Iterator
from contextlib import ExitStack, closing
from pathlib import Path

import pytest

from deploy.demo.gradebook import ProblemInput
from deploy.demo.lms import StandInLms
from grader_worker.xqueue_client import XQueueClient
from tests.crash.learner import Learner
from tests.crash.ledger import Ledger
from tests.crash.stack import WORKER_QUEUE, CrashStack
from tests.support import postgres


@pytest.fixture(scope="session", params=["sqlite"])
def running_stack(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[CrashStack]:
    """Started once for all steps; `step.cases` asks for PostgreSQL."""
    directory: Path = tmp_path_factory.mktemp(f"crash-{request.param}")
    with ExitStack() as resources:
        if request.param == "postgresql":
            request.getfixturevalue("postgres_url")  # it removes the role in the end
            url = resources.enter_context(postgres.database())
        else:
            url = f"sqlite:///{directory}/xqueue.db"
        lms = resources.enter_context(StandInLms())
        stack = CrashStack(directory, url, lms)
        resources.callback(stack.end)
        stack.begin()
        warm_up = new_learner(stack)  # so that the worker, too, has come to its usual business
        warm_up.must_submit("right", WORKER_QUEUE)
        warm_up.assert_graded(1)
        yield stack


@pytest.fixture
def stack(running_stack: CrashStack) -> Iterator[CrashStack]:
    yield running_stack
    running_stack.assert_well()


@pytest.fixture
def ledger(stack: CrashStack) -> Ledger:
    return Ledger(stack.storage)


@pytest.fixture
def learner(stack: CrashStack) -> Learner:
    return new_learner(stack)


def new_learner(stack: CrashStack) -> Learner:
    usage = f"block-v1:X+1+1+type@problem+block@{secrets.token_hex(8)}"
    where = ProblemInput(user_id="7", usage_id=usage, input_id="a_2_1")
    return Learner(where=where, lms=stack.lms, capa=stack.capa())


@pytest.fixture
def desk(stack: CrashStack) -> Iterator[XQueueClient]:
    """The test as a grader."""
    with closing(stack.desk()) as client:
        yield client
