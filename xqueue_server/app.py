"""Puts the web server together. The one place that knows which implementation is used for what."""

from __future__ import annotations

import time

from flask import Flask

from xqueue_server.choosing import Choosing
from xqueue_server.dispatch import Dispatcher, NoDispatcher
from xqueue_server.files.addresses import FileAddresses
from xqueue_server.files.local import LocalFiles
from xqueue_server.queue_length import QueueLengths
from xqueue_server.sessions import Sessions
from xqueue_server.settings import Settings
from xqueue_server.signin import SignIn
from xqueue_server.storage import Storage, open_storage
from xqueue_server.web.api.routes import add_api
from xqueue_server.web.downloads import add_downloads
from xqueue_server.web.health import add_health
from xqueue_server.web.routes import add_wire
from xqueue_server.web.services import SERVICES, Services
from xqueue_server.web.waiting import Waiting


def create_app(settings: Settings, storage: Storage | None = None) -> Flask:
    """The WSGI application. Call it in the process that serves: it opens connections."""
    app = Flask("xqueue_server", static_folder=None)
    app.url_map.merge_slashes = False  # it would redirect with 308; a doubled slash is a 404
    services = _services(settings, storage or open_storage(settings.database_url))
    app.extensions[SERVICES] = services
    add_wire(app, services)
    add_api(app, services)
    add_downloads(app, services)
    add_health(app, services)
    return app


def create_dispatcher(settings: Settings) -> Dispatcher:
    """RQ where a Redis is configured; else nobody needs to be told, workers poll."""
    if not settings.redis_url:
        return NoDispatcher()
    from xqueue_server.dispatch.rq import RqDispatcher  # not imported where Redis is not used

    return RqDispatcher(settings.redis_url)


def _services(settings: Settings, storage: Storage) -> Services:
    return Services(
        settings=settings,
        storage=storage,
        sign_in=SignIn(storage, settings.secret_key),
        sessions=Sessions(settings.secret_key),
        files=LocalFiles(settings.data_dir / "files"),
        addresses=FileAddresses(
            settings.secret_key,
            settings.public_url,
            ttl_s=settings.file_url_ttl_s,
            now_s=time.time,
        ),
        lengths=QueueLengths(storage, time.monotonic),
        waiting=Waiting(storage, most=settings.threads // 2),
        choosing=Choosing(),
        dispatcher=create_dispatcher(settings),
    )
