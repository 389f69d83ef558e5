"""`xqueue-server sweep`: does what time alone makes due, and removes what is old."""

from __future__ import annotations

import logging
import os
import socket
import threading
from collections.abc import Callable, Sequence
from dataclasses import asdict
from functools import partial

import click

from proctoring_hooks import mark_sheet
from proctoring_hooks.worker.liveness import SilenceRule
from xqueue_server import settings
from xqueue_server.app import create_dispatcher, create_files, create_proctoring
from xqueue_server.cli.metrics_port import metrics_option, served_metrics
from xqueue_server.cli.retention import keep_exams_of, keep_of
from xqueue_server.cli.stopping import told_to_stop
from xqueue_server.dispatch import Dispatcher
from xqueue_server.errors import FilesUnavailable, SettingsError, StorageUnavailable
from xqueue_server.files import Files
from xqueue_server.monitoring import error_reports, logs, metrics, telemetry
from xqueue_server.settings import Settings
from xqueue_server.storage import Storage, marks, migration, open_storage
from xqueue_server.storage.proctoring import ProctoringStore
from xqueue_server.upkeep import leftovers
from xqueue_server.upkeep.beating import SWEEP, heart
from xqueue_server.upkeep.exam_clock import LOOK_EVERY_S, end_what_has_run_out
from xqueue_server.upkeep.exam_leftovers import ExamLeftovers, KeepExams, remove_exam_leftovers
from xqueue_server.upkeep.exam_silences import silence_watch
from xqueue_server.upkeep.housekeeping import tell_of_dead_letters, tidy
from xqueue_server.upkeep.retention import Keep, Removed, continue_round
from xqueue_server.upkeep.sweeping import SweepReport
from xqueue_server.upkeep.sweeping import sweep as sweep_once
from xqueue_server.version import version
from xqueue_server.workload import history
from xqueue_server.workload.nudging import Nudges
from xqueue_server.workload.scaling import desired_by_queue

log = logging.getLogger(__name__)

SWEEP_EVERY_S = 2.0
TIDY_EVERY_S = 60.0
LEFTOVERS = "leftovers"
LEFTOVERS_EVERY_S = 24 * 3600
CONNECTIONS = 4

Work = Callable[[], object]


@click.command()
@metrics_option
def sweep(metrics_at: str | None) -> None:
    """End leases and holds, nudge workers, keep the history, remove what is old, until SIGTERM.

    Several may run at once. On SIGTERM the batch at hand is finished first.
    """
    loaded = settings.load()
    logs.configure(loaded.log_level)
    metrics.begin_at_zero("sweep")
    telemetry.start("xqueue-sweep")
    error_reports.start(loaded.sentry_dsn, release=version(), service="sweep")
    storage = open_storage(loaded.database_url, pool_size=CONNECTIONS)
    try:
        if problem := migration.problem(storage):
            raise SettingsError(problem)
        with served_metrics(metrics_at), told_to_stop() as stop:
            run_until(stop, loaded, storage)
    finally:
        storage.close()


def run_until(stop: threading.Event, loaded: Settings, storage: Storage) -> None:
    """What is due soon and what takes long, each in a thread of its own.

    Neither is this thread, which handles signals and so must not wait for the event they set.
    """
    exams = create_proctoring(loaded, storage)
    threads = [
        threading.Thread(
            target=sweep_forever,
            args=(storage, create_dispatcher(loaded), stop, exam_work(loaded, storage, exams)),
            name="sweep",
        ),
        threading.Thread(
            target=tidy_forever,
            args=(
                storage,
                create_files(loaded),
                keep_of(loaded),
                stop,
                exam_tidying(loaded, exams, stop),
            ),
            name="tidy",
        ),
        threading.Thread(target=end_attempts_forever, args=(exams, stop), name="exams"),
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()


def sweep_forever(
    storage: Storage, dispatcher: Dispatcher, stop: threading.Event, more: Sequence[Work] = ()
) -> None:
    """Sweep every 2 s until told to stop."""
    nudges = Nudges(storage, dispatcher)
    beat = heart(storage, SWEEP)
    _repeat(
        [
            beat,
            lambda: _sweep(storage, dispatcher, stop),
            nudges.top_up,
            *more,
            lambda: history.roll(
                storage, desired=partial(desired_by_queue, storage), is_ending=stop.is_set
            ),
        ],
        stop,
        every_s=SWEEP_EVERY_S,
    )


def exam_work(loaded: Settings, storage: Storage, exams: ProctoringStore) -> list[Work]:
    """Of exams what may come some seconds late."""
    rule = SilenceRule(
        ping_interval_s=loaded.workers.ping_interval_s, misses=loaded.workers.ping_misses
    )
    holder = f"{socket.gethostname()}:{os.getpid()}"
    return [
        lambda: mark_sheet.bring_up_to_date(exams, holder),
        silence_watch(storage, exams, rule),
    ]


def exam_tidying(loaded: Settings, exams: ProctoringStore, stop: threading.Event) -> list[Work]:
    keep = keep_exams_of(loaded)
    return [lambda: _tidy_exams(exams, keep, stop)]


def tidy_forever(
    storage: Storage,
    files: Files,
    keep: Keep,
    stop: threading.Event,
    more: Sequence[Work] = (),
) -> None:
    """Remove what is old, every minute until told to stop."""
    _repeat(
        [
            lambda: _tidy(storage, files, stop),
            lambda: _retain(storage, files, keep, stop),
            lambda: _remove_leftovers(storage, files, stop),
            lambda: tell_of_dead_letters(storage),
            *more,
        ],
        stop,
        every_s=TIDY_EVERY_S,
    )


def end_attempts_forever(exams: ProctoringStore, stop: threading.Event) -> None:
    """End attempts at exams, each as soon as its time is over, until told to stop."""
    wait_s = LOOK_EVERY_S

    def end() -> None:
        nonlocal wait_s
        wait_s = LOOK_EVERY_S  # also if it fails
        done = end_what_has_run_out(exams, is_ending=stop.is_set)
        wait_s = done.wait_s
        if done.ended:
            log.info(
                "attempts at exams have run out",
                extra={"action": "attempts_ended", "count": done.ended},
            )

    try:
        while not stop.wait(wait_s):
            _try(end)
    finally:
        stop.set()


def _repeat(work: Sequence[Work], stop: threading.Event, *, every_s: float) -> None:
    """Whatever goes wrong is logged and tried again: it must not end silently, nor keep the other
    work from being done."""
    try:
        while not stop.wait(every_s):
            for each in work:
                _try(each)
    finally:
        stop.set()  # a process that does only half of it looks well and is not


def _try(work: Work) -> None:
    try:
        work()
    except StorageUnavailable as error:
        log.warning("no database", extra={"action": "sweep_paused", "why": str(error)})
    except FilesUnavailable as error:
        log.warning("no file store", extra={"action": "tidy_paused", "why": str(error)})
    except Exception:
        metrics.ERRORS.labels("sweep").inc()
        log.exception("a sweep failed", extra={"action": "sweep_failed"})


# -- what is due soon ----------------------------------------------------------------------------


def _sweep(storage: Storage, dispatcher: Dispatcher, stop: threading.Event) -> None:
    swept = sweep_once(storage, is_ending=stop.is_set)
    _log_swept(swept)
    for queue in swept.queues_with_work:
        dispatcher.nudge(queue)


def _log_swept(swept: SweepReport) -> None:
    """What people should hear of: a grader that is not well, and learners without a grade."""
    for action, count, message in (
        ("leases_expired", swept.returned, "leases expired; their submissions wait again"),
        ("submissions_held", swept.held, "submissions are held: all their leases expired"),
        ("submissions_given_up", swept.given_up, "holds lasted too long; the learners are told"),
    ):
        if count:
            log.warning(message, extra={"action": action, "count": count})


# -- what is old ---------------------------------------------------------------------------------


def _tidy(storage: Storage, files: Files, stop: threading.Event) -> None:
    done = tidy(storage, files, is_ending=stop.is_set)
    if done.trials or done.bundles:
        log.info(
            "removed what was over",
            extra={"action": "tidied", "trials": done.trials, "bundles": done.bundles},
        )


def _tidy_exams(exams: ProctoringStore, keep: KeepExams, stop: threading.Event) -> None:
    removed = remove_exam_leftovers(exams, keep, is_ending=stop.is_set)
    if removed != ExamLeftovers():
        log.info(
            "removed what is left of exams", extra={"action": "exams_tidied"} | asdict(removed)
        )


def _retain(storage: Storage, files: Files, keep: Keep, stop: threading.Event) -> None:
    removed = continue_round(storage, files, keep, is_ending=stop.is_set)
    if removed != Removed():
        log.info(
            "removed what was kept long enough",
            extra={"action": "retention"}
            | {name: getattr(removed, name) for name in Removed.__dataclass_fields__},
        )


def _remove_leftovers(storage: Storage, files: Files, stop: threading.Event) -> None:
    with storage.write() as tx:
        if not marks.claim(tx, LEFTOVERS, every_s=LEFTOVERS_EVERY_S):
            return
    removed = leftovers.remove_leftovers(storage, files, is_ending=stop.is_set)
    if removed:
        log.info(
            "removed files that belong to nobody",
            extra={"action": "leftovers_removed", "count": removed},
        )
