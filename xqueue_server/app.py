"""Puts the web server together. The one place that knows which implementation is used for what."""

from __future__ import annotations

import time

from flask import Flask

from xqueue_server.accounts.failed_logins import FailedLogins
from xqueue_server.accounts.sessions import Sessions
from xqueue_server.accounts.signin import SignIn
from xqueue_server.dispatch import Dispatcher, NoDispatcher
from xqueue_server.files import Files
from xqueue_server.files.addresses import FileAddresses
from xqueue_server.files.local import LocalFiles
from xqueue_server.identity_providers import IdentityProvider
from xqueue_server.settings import OidcSettings, Settings
from xqueue_server.storage import Storage, open_storage
from xqueue_server.storage.proctoring import ProctoringStore
from xqueue_server.submissions.choosing import Choosing
from xqueue_server.submissions.queue_length import QueueLengths
from xqueue_server.version import version
from xqueue_server.web.admin.routes import add_admin
from xqueue_server.web.api.routes import add_api
from xqueue_server.web.desires import Desires
from xqueue_server.web.downloads import add_downloads
from xqueue_server.web.health import add_health
from xqueue_server.web.metrics import add_metrics
from xqueue_server.web.proctoring import add_proctoring
from xqueue_server.web.routes import add_wire
from xqueue_server.web.services import SERVICES, Services
from xqueue_server.web.waiting import Waiting
from xqueue_server.workload.state_metrics import StateMetrics


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
    add_metrics(app, services)
    add_admin(app, services)
    add_proctoring(app, services)
    return app


def create_dispatcher(settings: Settings) -> Dispatcher:
    """RQ where a Redis is configured; else nobody needs to be told, workers poll."""
    if not settings.redis_url:
        return NoDispatcher()
    from xqueue_server.dispatch.rq import RqDispatcher  # not imported where Redis is not used

    return RqDispatcher(settings.redis_url, ca_bundle=settings.redis_ca_bundle)


def create_files(settings: Settings) -> Files:
    """Where uploads are kept, for every process that reads or removes them."""
    if settings.s3 is None:
        return LocalFiles(settings.data_dir / "files")
    # Not imported where no bucket is used; boto3 is an extra.
    from xqueue_server.files.s3 import S3Files

    return S3Files(settings.s3, ttl_s=settings.file_url_ttl_s)


def create_proctoring(settings: Settings, storage: Storage) -> ProctoringStore:
    """Exams and attempts, for every process that changes or reads them."""
    return ProctoringStore(storage, settings.secret_key)


def create_identity_provider(settings: Settings) -> IdentityProvider | None:
    """Where people sign in to the admin pages beside their local accounts."""
    if settings.identity_provider is None:
        return None
    # Not imported where nobody signs in elsewhere: they bring an HTTP client along.
    from xqueue_server.identity_providers.lms import LmsProvider
    from xqueue_server.identity_providers.oidc import OidcProvider

    if isinstance(settings.identity_provider, OidcSettings):
        return OidcProvider(settings.identity_provider)
    return LmsProvider(settings.identity_provider)


def _services(settings: Settings, storage: Storage) -> Services:
    dispatcher = create_dispatcher(settings)
    storage.when_woken = dispatcher.nudge
    return Services(
        settings=settings,
        storage=storage,
        proctoring=create_proctoring(settings, storage),
        sign_in=SignIn(storage, settings.secret_key),
        failed_tokens=FailedLogins(),
        desires=Desires(storage, time.monotonic),
        identity_provider=create_identity_provider(settings),
        sessions=Sessions(settings.secret_key),
        files=create_files(settings),
        addresses=FileAddresses(
            settings.secret_key,
            settings.public_url,
            ttl_s=settings.file_url_ttl_s,
            now_s=time.time,
        ),
        lengths=QueueLengths(storage, time.monotonic),
        waiting=Waiting(storage, most=settings.threads // 2),
        choosing=Choosing(),
        dispatcher=dispatcher,
        state_metrics=StateMetrics(
            storage, version=version(), data_dir=settings.data_dir, monotonic=time.monotonic
        ),
    )
