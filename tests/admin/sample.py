"""Something of everything that people look for."""

from __future__ import annotations

from tests.admin.hosts import announcement
from tests.server.builders import INVALID_GRADE, callback_url, grade
from tests.server.web_client import Server
from xqueue_server.storage import outbox
from xqueue_server.storage.attempts import Ending
from xqueue_server.submissions.leasing import FailureKind
from xqueue_server.workload import workforce


def announce(server: Server) -> None:
    workforce.announce(server.desk.storage, server.desk.grader, announcement("grade-1"))


def fill(server: Server) -> dict[str, int]:
    """One submission of each kind that people look for; their ids by kind."""
    announce(server)
    desk, found = server.desk, {}
    found["graded"] = desk.submit(callback_url("a" * 32, user=1))
    desk.put(desk.lease(), grade(1, msg="<p>Well done</p>"))
    desk.deliver(desk.claim_callback())
    found["dead"] = desk.submit(callback_url("b" * 32, user=2))
    desk.put(desk.lease())
    due = desk.claim_callback()
    with desk.storage.write() as tx:
        ending = Ending(status=400, error="refused", response="no such key", duration_us=5000)
        outbox.finish_dead(tx, due, ending, why="refused")
    found["held"] = desk.submit(callback_url("c" * 32, user=3))
    desk.fail(desk.lease(), FailureKind.GRADER, "No module named numpy")
    found["rejected"] = desk.submit(callback_url("d" * 32, user=4))
    desk.put(desk.lease(), INVALID_GRADE)
    found["leased"] = desk.submit(callback_url("e" * 32, user=5))
    desk.lease()
    found["queued"] = desk.submit(callback_url("f" * 32, user=6))
    return found
