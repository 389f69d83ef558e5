"""The routes for operating, in the order of the reference page."""

from __future__ import annotations

from xqueue_server.web.api.operating import (
    accounts,
    bulk,
    callbacks,
    deadlines,
    events,
    leases,
    origins,
    queues,
    regrades,
    scaling,
    submissions,
    timeline,
    tokens,
    workers,
)

OPERATING_ROUTES = (
    *submissions.ROUTES,
    *timeline.ROUTES,
    *bulk.ROUTES,
    *regrades.ROUTES,
    *queues.ROUTES,
    *leases.ROUTES,
    *callbacks.ROUTES,
    *origins.ROUTES,
    *workers.ROUTES,
    *scaling.ROUTES,
    *deadlines.ROUTES,
    *accounts.ROUTES,
    *tokens.ROUTES,
    *events.ROUTES,
)
