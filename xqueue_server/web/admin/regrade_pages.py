"""Regrades that were asked for: how far they are, and what the LMS must be told by hand."""

from __future__ import annotations

from collections.abc import Sequence

from flask import Response

from xqueue_server.accounts.access import REPAIR
from xqueue_server.errors import NotFound
from xqueue_server.models.regrade import RegradeBatch, RegradeState
from xqueue_server.models.scope import EVERYTHING
from xqueue_server.models.selection import Selection
from xqueue_server.repair import override_file
from xqueue_server.storage import Transaction, regrades, selecting
from xqueue_server.web.admin.call import HIGHEST_ID, AdminCall
from xqueue_server.web.admin.route import Route

PAGE = 50


def show_list(call: AdminCall) -> Response:
    """Of everybody for operators of everything; else one's own."""
    with call.storage.read() as tx:
        found = list(regrades.latest_batches(tx, limit=PAGE, before=call.page_before()))
        mine = [batch for batch in found if _is_mine(call, tx, batch)]
    older = found[-1].id if len(found) == PAGE else None
    return call.page("regrades.html", found=mine, older=older, states=list(RegradeState))


def show_one(call: AdminCall, batch_id: int) -> Response:
    with call.storage.read() as tx:
        batch = _batch(call, tx, batch_id)
        first = regrades.of_batch(tx, batch_id, limit=PAGE)
    return call.page("regrade.html", batch=batch, regrades=first, states=list(RegradeState))


def download(call: AdminCall, batch_id: int) -> Response:
    """The changed scores of which the LMS keeps the old ones."""
    with call.storage.read() as tx:
        _batch(call, tx, batch_id)
        found = override_file.write(tx, batch_id)
    call.note(batch_id=batch_id)
    response = Response(found.text, content_type="text/csv; charset=utf-8")
    response.headers["Content-Disposition"] = f'attachment; filename="regrade-{batch_id}.csv"'
    return response


def _batch(call: AdminCall, tx: Transaction, batch_id: int) -> RegradeBatch:
    """Raises: NotFound."""
    batch = regrades.get_batch(tx, min(batch_id, HIGHEST_ID))
    if not _is_mine(call, tx, batch):
        raise NotFound(f"There is no regrade {batch_id}, or it is not yours to see")
    return batch


def _is_mine(call: AdminCall, tx: Transaction, batch: RegradeBatch) -> bool:
    """What I asked for, as long as I may repair all that is in it: grants are taken back, too."""
    scope = call.scope(tx, REPAIR)
    if scope.is_everything:
        return True
    if batch.requested_by != call.actor:
        return False
    of_batch = Selection(batch=batch.id)
    mine, all_of_it = (
        selecting.count(tx, of_batch, each, most=None) for each in (scope, EVERYTHING)
    )
    return mine == all_of_it


ROUTES: Sequence[Route] = (
    Route(method="GET", path="/regrades", view=show_list, roles=REPAIR),
    Route(method="GET", path="/regrades/<int:batch_id>", view=show_one, roles=REPAIR),
    Route(method="GET", path="/regrades/<int:batch_id>/override.csv", view=download, roles=REPAIR),
)
