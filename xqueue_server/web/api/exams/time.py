"""What the time is, for clients that count down (see `proctoring_hooks.clock`)."""

from __future__ import annotations

from flask import Response

from xqueue_server.instant import SECOND_US
from xqueue_server.web.api.answer import answer
from xqueue_server.web.api.call import ApiCall
from xqueue_server.web.api.reading import SMALL_BYTES, Fields
from xqueue_server.web.api.route import Route
from xqueue_server.web.api.schema import NUMBER, record

LATEST_S = 1e12


def tell_time(call: ApiCall) -> Response:
    """Both of ours by the clock that decides deadlines."""
    t2 = call.services.storage.now_us() / SECOND_US
    fields = Fields(call.document(SMALL_BYTES), ("t1",))
    t1 = fields.number("t1", -LATEST_S, LATEST_S)
    fields.check()
    return answer({"t1": t1, "t2": t2, "t3": call.services.storage.now_us() / SECOND_US})


ROUTES = (
    Route(
        method="POST",
        path="/time",
        view=tell_time,
        about="The server's clock, in the manner of NTP: t1 when the client asked by its own "
        "clock, t2 and t3 when we heard and answered by ours; seconds since 1970",
        who="every account",
        body=record("TimeQuestion", t1=NUMBER),
        answers={200: record("Time", t1=NUMBER, t2=NUMBER, t3=NUMBER)},
    ),
)
