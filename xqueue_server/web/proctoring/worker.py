"""Worker bundles and what our own worker speaks to, put together with what this server has."""

from __future__ import annotations

from collections.abc import Sequence

from proctoring_hooks.lms import Lms
from proctoring_hooks.web.worker_assets import PREFIX, WorkerHosting
from proctoring_hooks.worker.bundles import BadBundle, Bundles, our_bundle, provider_bundles
from xqueue_server.errors import SettingsError
from xqueue_server.instant import to_datetime
from xqueue_server.secret_key import key_for
from xqueue_server.settings import Settings
from xqueue_server.storage.proctoring.workers import WorkerReports
from xqueue_server.web.services import Services


def worker_hosting(services: Services) -> WorkerHosting:
    """Raises: SettingsError: a bundle that no page could use."""
    settings = services.settings
    base_url = f"{settings.public_url}{PREFIX}"

    def lms_of_origin(origin: str) -> str | None:
        with services.proctoring.read() as session:
            return _of_origin(session.lmses.all(), origin)

    return WorkerHosting(
        base_url=base_url,
        bundles=_bundles(settings, base_url),
        lms_of_origin=lms_of_origin,
        liveness=WorkerReports(services.proctoring),
        ticket_key=key_for("worker tickets", settings.secret_key),
        now=lambda: to_datetime(services.storage.now_us()),
    )


def _of_origin(lmses: Sequence[Lms], origin: str) -> str | None:
    return next((lms.name for lms in lmses if origin in lms.pages), None)


def _bundles(settings: Settings, base_url: str) -> Bundles:
    directory = settings.workers.bundles
    try:
        theirs = provider_bundles(directory) if directory else []
        return Bundles([our_bundle(base_url, ping_outage=settings.workers.ping_outage), *theirs])
    except (BadBundle, OSError) as error:
        raise SettingsError(f"XQUEUE_WORKER_BUNDLES: {error}") from error
