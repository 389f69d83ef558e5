"""/metrics for Prometheus: to the networks that the settings name, and to holders of a token.

To everyone else it is not there. What is counted is in `metrics` and `state_metrics`.
"""

from __future__ import annotations

import ipaddress

from flask import Flask, Request, Response, abort, request
from prometheus_client import CONTENT_TYPE_LATEST

from xqueue_server.accounts.client_address import client_address
from xqueue_server.errors import StorageUnavailable
from xqueue_server.models.account import ALL_QUEUES, Role
from xqueue_server.monitoring import metrics
from xqueue_server.settings import Settings
from xqueue_server.web.api.caller import caller_of
from xqueue_server.web.api.problem import ApiError
from xqueue_server.web.services import Services

READERS = frozenset({Role.VIEWER, Role.OPERATOR, Role.ADMIN})
OF_A_PROXY = ("X-Forwarded-For", "Forwarded", "X-Real-IP")


def add_metrics(app: Flask, services: Services) -> None:
    def show() -> Response:
        if not (_is_near(request, services.settings) or _has_token(request, services)):
            abort(404)
        text = services.state_metrics.exposition() + metrics.exposition()
        return Response(text, content_type=CONTENT_TYPE_LATEST)

    metrics.begin_at_zero("web")
    metrics.begin_submissions_at_zero("")
    app.add_url_rule("/metrics", "metrics", show, methods=["GET"])


def _is_near(request: Request, settings: Settings) -> bool:
    """Whether the client is in one of the networks.

    A proxy that the settings do not trust hides whose request it is: then its own address, which
    may be this host's, says nothing.
    """
    forwarded = request.headers.get("X-Forwarded-For")
    address = client_address(request.remote_addr, forwarded, settings.trusted_proxies)
    is_peer = address == client_address(request.remote_addr, None, ())
    if is_peer and any(name in request.headers for name in OF_A_PROXY):
        return False
    try:
        near = ipaddress.ip_address(address)
    except ValueError:  # a unix socket
        return False
    return any(near in network for network in settings.metrics_networks)


def _has_token(request: Request, services: Services) -> bool:
    """Only a token: a browser with a session does not read this, and a page must not let it."""
    if not request.headers.get("Authorization", "").lower().startswith("bearer "):
        return False
    try:
        return caller_of(request, services, by_session=False).account.may(READERS, ALL_QUEUES)
    except (ApiError, StorageUnavailable):
        return False
