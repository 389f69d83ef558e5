"""What every command about exams needs: the store, who asks, and our errors for theirs."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import click

from proctoring_hooks.attempts import NotPossible
from proctoring_hooks.incidents import BadPolicy
from proctoring_hooks.store import NotFound, Overtaken
from proctoring_hooks.transitions import Actor, By, Refused
from xqueue_server import errors, settings
from xqueue_server.app import create_proctoring
from xqueue_server.cli.environment import actor, database
from xqueue_server.cli.paging import ROW_ID
from xqueue_server.settings import Settings
from xqueue_server.storage.proctoring import ProctoringStore, looks

EXAM_ID = click.argument("exam_id", metavar="EXAM", type=ROW_ID)


@contextmanager
def exam_store(loaded: Settings | None = None) -> Iterator[ProctoringStore]:
    """Over the database that the settings name.

    Raises:
        XQueueError: also for what the rules of exams do not allow.
    """
    loaded = loaded or settings.load()
    with database(loaded) as storage:
        try:
            yield create_proctoring(loaded, storage)
        except NotFound as error:
            raise errors.NotFound(str(error)) from error
        except (Refused, NotPossible, Overtaken) as error:
            raise errors.Conflict(str(error)) from error
        except BadPolicy as error:
            raise errors.InvalidRequest(str(error)) from error


def looked(store: ProctoringStore, *subjects: str) -> None:
    """Record that the operator is shown learners, before he is (see `looks.note`)."""
    looks.note(store.storage, subjects, actor())


def staff(reason: str | None = None) -> By:
    """The operator at this machine, who runs exams but judges nobody."""
    return By(actor=Actor.STAFF, who=actor(), reason=reason)
