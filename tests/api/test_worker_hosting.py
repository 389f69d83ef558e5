"""Worker bundles and the pings of exams' pages, as this server serves them."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
from flask.testing import FlaskClient

from proctoring_hooks.exam import ExamType
from tests.api.callers import Site
from tests.proctoring.conftest import EXAM, LMS
from tests.proctoring.sitting import started
from xqueue_server.errors import SettingsError
from xqueue_server.settings import PingOutage, WorkerSettings
from xqueue_server.storage.proctoring.workers import WorkerReports
from xqueue_server.web.proctoring.worker import worker_hosting

ORIGIN = {"Origin": LMS.origins[0]}


@pytest.fixture
def browser(site: Site) -> FlaskClient:
    return site.server.app.test_client()


def test_a_page_loads_our_worker_and_its_pings_are_noted(site: Site, browser: FlaskClient) -> None:
    store = site.server.services.proctoring
    with store.write() as session:
        session.lmses.add(LMS)
        exam = session.exams.add(replace(EXAM, exam_type=ExamType.PROCTORED))
    attempt = started(store, exam)
    stats = browser.get("/proctoring/worker/webpack-worker-stats.json").get_json()
    (file,) = stats["chunks"]["xqueue-proctoring-worker"]
    bundle = browser.get(f"/proctoring/worker/{file}")
    assert bundle.mimetype == "text/javascript"
    assert f"{site.server.services.settings.public_url}/proctoring/worker" in bundle.text

    asked = f"/proctoring/worker/config?attempt={attempt.external_id}"
    assert browser.get(asked, headers={"Origin": "https://evil.example"}).status_code == 403
    ticket = browser.get(asked, headers=ORIGIN).get_json()["ticket"]
    told = browser.post("/proctoring/worker/ping", json={"ticket": ticket}, headers=ORIGIN)
    assert told.status_code == 204
    (watched,) = WorkerReports(store).watched()
    assert watched.heard_at is not None


def test_a_bundle_that_no_page_could_use_stops_the_start(site: Site, tmp_path: Path) -> None:
    (tmp_path / "acme.js").write_text("<!doctype html><title>Not found</title>")
    services = site.server.services
    workers = WorkerSettings(
        bundles=tmp_path, ping_outage=PingOutage.ECHO, ping_interval_s=60, ping_misses=3
    )
    services = replace(services, settings=replace(services.settings, workers=workers))
    with pytest.raises(SettingsError, match=r"XQUEUE_WORKER_BUNDLES: .*acme\.js is an HTML page"):
        worker_hosting(services)
    (tmp_path / "acme.js").write_text("self.handler = 1;")
    assert worker_hosting(services).bundles.of_package("acme") is not None
