"""The whole product in processes of its own, on SQLite and for some steps also on PostgreSQL."""

from __future__ import annotations

import secrets
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

import pytest

from deploy.demo.gradebook import ProblemInput
from deploy.demo.lms import StandInLms
from grader_worker.xqueue_client import XQueueClient
from tests.crash.learner import Learner
from tests.crash.ledger import Ledger
from tests.crash.nursery import Nursery
from tests.crash.stack import WORKER_QUEUE, CrashStack
from tests.delivery.lms import running_lms
from tests.support import postgres


@pytest.fixture(scope="session")
def sqlite_stack(tmp_path_factory: pytest.TempPathFactory) -> Iterator[CrashStack]:
    directory = tmp_path_factory.mktemp("crash-sqlite")
    with running(directory, f"sqlite:///{directory}/xqueue.db") as stack:
        yield stack


@pytest.fixture(scope="session")
def postgresql_stack(
    tmp_path_factory: pytest.TempPathFactory,
    postgres_url: str,  # removes the role in the end
) -> Iterator[CrashStack]:
    directory = tmp_path_factory.mktemp("crash-postgresql")
    with postgres.database() as url, running(directory, url) as stack:
        yield stack


@contextmanager
def running(directory: Path, database_url: str) -> Iterator[CrashStack]:
    with StandInLms() as lms, running_lms() as listener, Nursery() as nursery:
        stack = CrashStack(directory, database_url, lms=lms, listener=listener, nursery=nursery)
        try:
            stack.begin()
            warm_up = new_learner(stack)  # so that the worker, too, has come to its daily round
            warm_up.must_submit("right", WORKER_QUEUE)
            warm_up.assert_graded(1)
            yield stack
        finally:
            stack.end()


@pytest.fixture
def stack(request: pytest.FixtureRequest) -> Iterator[CrashStack]:
    """Started once for all steps, with the database that `step.cases` says."""
    started: CrashStack = request.getfixturevalue(f"{request.param}_stack")
    yield started
    started.assert_well()


@pytest.fixture
def ledger(stack: CrashStack) -> Ledger:
    return Ledger(stack.storage)


@pytest.fixture
def learner(stack: CrashStack) -> Learner:
    return new_learner(stack)


def new_learner(stack: CrashStack, user_id: str = "7") -> Learner:
    usage = f"block-v1:X+1+1+type@problem+block@{secrets.token_hex(8)}"
    where = ProblemInput(user_id=user_id, usage_id=usage, input_id="a_2_1")
    return Learner(where=where, lms=stack.lms, capa=stack.capa())


@pytest.fixture
def desk(stack: CrashStack) -> Iterator[XQueueClient]:
    """The test as a grader."""
    with closing(stack.desk()) as client:
        yield client
