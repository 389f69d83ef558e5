"""The XQueue endpoints, byte for byte as unmodified LMS and grader clients expect them.

Each takes a `Call` and answers in the envelope. Facts: the wire contract of openedx/xqueue, read
off its code and its clients' (docs/reference/wire.md).
"""

from __future__ import annotations

import json
import secrets
from datetime import UTC, datetime, timedelta
from time import monotonic, time_ns
from typing import Any

from flask import Response

from xqueue_server.accounts.sessions import SESSION_S
from xqueue_server.authoring import recording
from xqueue_server.errors import InvalidRequest, NotFound, NotSignedIn
from xqueue_server.keys import key_hash
from xqueue_server.monitoring import metrics, telemetry, traceparent
from xqueue_server.monitoring.metrics import Phase, Submitted
from xqueue_server.storage import accounts, queues
from xqueue_server.storage.results import Disposition
from xqueue_server.submissions import intake, leasing, measuring
from xqueue_server.submissions.results import IncomingResult, receive
from xqueue_server.web.call import SESSION_COOKIE, Call, to_seconds
from xqueue_server.web.envelope import failure, success
from xqueue_server.web.forms import Form
from xqueue_server.web.uploads import save_all

CSRF_COOKIE = "csrftoken"
CSRF_S = 31_449_600  # a year less a day, as the reference
BAD_REPLY = "Incorrect reply format"
HIGHEST_ID = 2**63 - 1


def login(call: Call) -> Response:
    if call.request.method != "POST":
        return failure("login_required")  # the LMS takes this very word as the sign to log in
    fields = call.short_form().fields
    if "password" not in fields or "username" not in fields:
        return failure("Insufficient login info")
    verify = call.services.sign_in.verify
    try:
        account = call.patience.with_database(
            lambda _: verify(fields["username"], fields["password"], call.address)
        )
    except NotSignedIn as error:
        return failure(str(error))
    response = success("Logged in")
    _set_cookie(response, SESSION_COOKIE, call.services.sessions.issue(account), SESSION_S)
    _set_cookie(response, CSRF_COOKIE, secrets.token_hex(16), CSRF_S, httponly=False)
    return response


def _set_cookie(
    response: Response, name: str, value: str, max_age: int, *, httponly: bool = True
) -> None:
    response.set_cookie(
        name,
        value,
        max_age=max_age,
        expires=datetime.now(UTC) + timedelta(seconds=max_age),
        path="/",
        httponly=httponly,
        samesite="Lax",
    )


def logout(call: Call) -> Response:
    response = success("Goodbye")
    if SESSION_COOKIE in call.request.cookies:
        response.delete_cookie(SESSION_COOKIE, path="/", samesite="Lax")
    return response


def status(_call: Call) -> Response:
    return success("OK")


def submit(call: Call) -> Response:
    if call.request.method != "POST":
        return failure("Queue requests should use HTTP POST")
    began_s = monotonic()
    try:
        queue = _take(call)
    except InvalidRequest:
        metrics.count_submission(call.notes.get("queue", ""), Submitted.REFUSED)
        raise
    metrics.count_submission(queue, Submitted.ACCEPTED)
    metrics.observe_phase(queue, Phase.SUBMIT, monotonic() - began_s)
    call.services.dispatcher.nudge(queue)
    return success(str(_length_with_this_one(call, queue)))


def _take(call: Call) -> str:
    """Check and store the submission; returns its queue's name."""
    form = call.form()
    if "xqueue_header" not in form.fields or "xqueue_body" not in form.fields:
        raise InvalidRequest(intake.INVALID_FORMAT)
    header = intake.read_header(form.fields["xqueue_header"])
    call.patience.with_database(lambda _: _check_may_submit(call, header.queue))
    call.note(queue=header.queue)
    intake.check_callback_url(header.callback_url, call.services.settings.allows_origin)
    came = traceparent.read(call.request.headers.get(traceparent.HEADER))
    with telemetry.span("submit", came, queue=header.queue) as context:
        call.note(trace_id=traceparent.trace_id(context))
        submission_id = _store(call, form, header, context)
    call.note(submission_id=submission_id)
    return header.queue


def _store(call: Call, form: Form, header: intake.SubmitHeader, context: str) -> int:
    files = save_all(
        call.services.files, form.files, limit_bytes=call.services.settings.max_file_bytes
    )
    return call.patience.with_database(
        lambda is_retry: intake.accept(
            call.services.storage,
            call.services.proctoring,
            call.signed_in,
            header_text=form.fields["xqueue_header"],
            header=header,
            body=form.fields["xqueue_body"],
            files=files,
            request_id=call.request_id,
            traceparent=context,
            is_retry=is_retry,
        )
    )


def _check_may_submit(call: Call, queue: str) -> None:
    with call.services.storage.read() as tx:
        intake.may_submit(tx, call.signed_in, queue)


def _length_with_this_one(call: Call, queue: str) -> int:
    """The submission is stored: whatever happens now, the LMS must not be told otherwise."""
    try:
        return max(1, call.services.lengths.of(queue))
    except Exception:  # noqa: BLE001 - the length is a courtesy, the submission is not
        return 1


def get_queuelen(call: Call) -> Response:
    name = call.parameter("queue_name")
    if name is None:
        return failure("'get_queuelen' must provide parameter 'queue_name'")
    return call.patience.with_database(lambda _: _queuelen(call, name))


def _queuelen(call: Call, name: str) -> Response:
    account = call.signed_in
    with call.services.storage.read() as tx:
        if not account.may(leasing.WIRE_ROLES, name) or queues.find(tx, name) is None:
            names = accounts.valid_queue_names(tx, account)
            return failure(f"Valid queue names are: {', '.join(names)}")
    return success(call.services.lengths.of(name))


def put_result(call: Call) -> Response:
    if call.request.method != "POST":
        return failure("'put_result' must use HTTP POST")
    fields = call.form().fields
    if "xqueue_body" not in fields:
        return failure(BAD_REPLY)
    submission_id, key = read_reply_header(fields)
    began_ns = time_ns()
    record = recording.usable(fields.get("xqueue_record"))
    incoming = IncomingResult(
        submission_id=submission_id,
        key=key,
        body=fields["xqueue_body"],
        request_id=call.request_id,
        record=record,
        forgeable=recording.is_forgeable(record),
        times=recording.times_of(record),
    )
    disposition = call.patience.with_database(
        lambda _: receive(call.services.storage, call.signed_in, incoming)
    )
    if disposition is Disposition.ACCEPTED and incoming.record:
        recording.count_tests(call.services.storage, incoming)
    if disposition is Disposition.ACCEPTED:
        _measure(call, incoming, began_ns)
    call.note(submission_id=submission_id, result=disposition or "repeated")
    return success("")


def _measure(call: Call, incoming: IncomingResult, began_ns: int) -> None:
    graded = measuring.graded(call.services.storage, key_hash(incoming.key))
    if graded is None:
        return
    call.note(queue=graded.queue, attempt=graded.attempt)
    if graded.traceparent:
        call.note(trace_id=traceparent.trace_id(graded.traceparent))
    telemetry.record(
        "result",
        graded.traceparent,
        began_ns=began_ns,
        submission_id=graded.submission_id,
        queue=graded.queue,
        attempt=graded.attempt,
    )


def read_reply_header(fields: dict[str, str]) -> tuple[int, str]:
    """Submission id and key from a grader's xqueue_header.

    Raises: InvalidRequest.
    """
    try:
        header = json.loads(fields["xqueue_header"])
        given_id, key = header["submission_id"], header["submission_key"]
    except (ValueError, TypeError, KeyError, RecursionError):
        raise InvalidRequest(BAD_REPLY) from None
    return _submission_id(given_id), key if isinstance(key, str) else ""


def _submission_id(given: Any) -> int:
    if isinstance(given, str) and given.strip().isdecimal() and len(given) < 40:
        given = int(given)
    if not isinstance(given, int) or isinstance(given, bool):
        raise InvalidRequest(f"{BAD_REPLY}: submission_id must be a whole number")
    if not 0 < given <= HIGHEST_ID:
        raise NotFound("Submission does not exist")
    return given


# -- our extensions: invisible to clients that do not ask for them -------------------------------


def renew_lease(call: Call) -> Response:
    if call.request.method != "POST":
        return failure("'renew_lease' must use HTTP POST")
    fields = call.form().fields
    submission_id, key = read_reply_header(fields)
    granted_s = call.patience.with_database(
        lambda _: leasing.renew(
            call.services.storage,
            call.signed_in,
            submission_id,
            key,
            lease_s=to_seconds(fields.get("lease_s")),
        )
    )
    return success(int(granted_s))


def put_failure(call: Call) -> Response:
    if call.request.method != "POST":
        return failure("'put_failure' must use HTTP POST")
    fields = call.form().fields
    submission_id, key = read_reply_header(fields)
    kind = leasing.failure_kind(fields.get("kind", ""))
    call.patience.with_database(
        lambda _: leasing.report_failure(
            call.services.storage,
            call.signed_in,
            submission_id,
            key,
            kind=kind,
            detail=fields.get("detail", ""),
            request_id=call.request_id,
        )
    )
    call.note(submission_id=submission_id, kind=kind)
    return success("")
