"""The routes for authors and workers, with what they take and answer."""

from __future__ import annotations

from xqueue_server.models.fault import FaultKind
from xqueue_server.models.submission import SubmissionState
from xqueue_server.models.trial import TrialState
from xqueue_server.web.api import assignments, bundles, faults, graders, trials
from xqueue_server.web.api.operating.bulk import DONE
from xqueue_server.web.api.route import PAGE, Query, Route
from xqueue_server.web.api.schema import (
    ANYTHING,
    BYTES,
    ID,
    INSTANT,
    NUMBER,
    OBJECT,
    TEXT,
    WHOLE,
    YES_NO,
    Schema,
    extended,
    holding,
    list_of,
    map_of,
    nullable,
    one_of,
    record,
)

QUEUES = Query(name="queue", about="A queue; all of one's own if left out", is_repeatable=True)
SOURCE: dict[str, Schema] = {"digest": nullable(TEXT), "image": nullable(TEXT)}
QUEUE_ISOLATION = record("QueueIsolation", isolation=TEXT, runtime=nullable(TEXT))
VERSION = record(
    "GraderVersion",
    queue=TEXT,
    name=TEXT,
    version=WHOLE,
    active=YES_NO,
    default=YES_NO,
    **SOURCE,
    title=TEXT,
    base=TEXT,
    isolation=nullable(TEXT),
    forgeable=YES_NO,
    lms_points=nullable(NUMBER),
    limits=map_of(NUMBER),
    published_by=TEXT,
    published_at=INSTANT,
)
GRADER = record(
    "Grader",
    queue=TEXT,
    name=TEXT,
    title=TEXT,
    default=YES_NO,
    active_version=nullable(WHOLE),
    latest_version=WHOLE,
    isolation=nullable(TEXT),
    queue_isolation=nullable(QUEUE_ISOLATION),
    forgeable=YES_NO,
    lms_points=nullable(NUMBER),
    hosts_ready=WHOLE,
    hosts_not_ready=WHOLE,
    image_created=nullable(INSTANT),
)
READINESS = record(
    "Readiness",
    host=TEXT,
    version=WHOLE,
    ready=YES_NO,
    problem=nullable(TEXT),
    at=INSTANT,
    image_created=nullable(INSTANT),
)
ASSIGNMENT = record(
    "Assignment",
    queue=TEXT,
    name=TEXT,
    version=WHOLE,
    default=YES_NO,
    **SOURCE,
    isolation=nullable(TEXT),
    forgeable=YES_NO,
    manifest=OBJECT,
)
FAULT = record(
    "Fault",
    id=ID,
    queue=TEXT,
    grader=nullable(TEXT),
    version=nullable(WHOLE),
    kind=one_of(FaultKind),
    signature=TEXT,
    count=WHOLE,
    first_at=INSTANT,
    last_at=INSTANT,
)
FAULTY = record(
    "FaultySubmission", id=ID, state=one_of(SubmissionState), forgeable=YES_NO, at=INSTANT
)
TRIAL = record(
    "Trial",
    id=ID,
    queue=TEXT,
    state=one_of(TrialState),
    held_reason=nullable(TEXT),
    detail=nullable(TEXT),
    forgeable=YES_NO,
    reply=ANYTHING,
    record=ANYTHING,
    created_at=INSTANT,
    ended_at=nullable(INSTANT),
)
READINESS_ITEM = record(
    "ReadinessItem",
    optional=("problem", "image_created"),
    queue=TEXT,
    name=TEXT,
    version=WHOLE,
    ready=YES_NO,
    problem=nullable(TEXT),
    image_created=nullable(INSTANT),
)
PUBLICATION = record(
    "Publication",
    optional=("digest", "image", "activate"),
    queue=TEXT,
    **SOURCE,
    activate=YES_NO,
    manifest=OBJECT,
)
NEW_TRIAL = record(
    "NewTrial",
    optional=("digest", "image", "payload", "seed", "files"),
    queue=TEXT,
    **SOURCE,
    manifest=OBJECT,
    response=TEXT,
    payload=TEXT,
    seed=WHOLE,
    files=map_of(TEXT),
)
TEST_COUNT = record("TestCount", id=TEXT, total=WHOLE, statuses=map_of(WHOLE), failure_rate=NUMBER)

AUTHOR = "author"
CHOOSER = "author, operator or admin"
READER = "author, viewer, operator or admin"
WORKER = "grader"

GRADERS_ROUTES = (
    Route(
        method="PUT",
        path="/bundles/<sha256>",
        view=bundles.put_bundle,
        about="Store a bundle",
        who=AUTHOR,
        body=BYTES,
        content_type="application/octet-stream",
        answers={
            200: record("Bundle", digest=TEXT, size_bytes=WHOLE),
            201: record("Bundle", digest=TEXT, size_bytes=WHOLE),
        },
        by_session=True,
    ),
    Route(
        method="GET",
        path="/bundles/<sha256>",
        view=bundles.get_bundle,
        about="The bytes of a bundle",
        who="grader or author",
        answers={200: BYTES, 304: None},
        by_session=True,
    ),
    Route(
        method="GET",
        path="/graders",
        view=graders.list_graders,
        about="The graders of some queues",
        who=READER,
        query=(QUEUES,),
        answers={200: holding("graders", GRADER)},
        by_session=True,
    ),
    Route(
        method="POST",
        path="/graders",
        view=graders.publish,
        about="Publish a version of a grader",
        who=AUTHOR,
        body=PUBLICATION,
        answers={201: VERSION},
        by_session=True,
    ),
    Route(
        method="GET",
        path="/graders/<queue>/<name>",
        view=graders.show_grader,
        about="One grader, its versions, and which hosts can run them",
        who=READER,
        answers={
            200: extended(
                GRADER,
                "GraderInFull",
                versions=list_of(VERSION),
                readiness=list_of(READINESS),
            )
        },
        by_session=True,
    ),
    Route(
        method="POST",
        path="/graders/<queue>/<name>/activate",
        view=graders.activate,
        about="Go back or forward to a version",
        who=CHOOSER,
        body=record("Activation", version=WHOLE),
        answers={200: VERSION},
        by_session=True,
    ),
    Route(
        method="POST",
        path="/graders/<queue>/<name>/default",
        view=graders.make_default,
        about="Make a grader the default of its queue",
        who=CHOOSER,
        body=OBJECT,
        answers={200: GRADER},
        by_session=True,
    ),
    Route(
        method="GET",
        path="/graders/<queue>/<name>/tests",
        view=graders.show_tests,
        about="How often each test of a version passed and failed",
        who=READER,
        query=(Query(name="version", about="The active one if left out", schema=WHOLE),),
        answers={
            200: record(
                "TestCounts", queue=TEXT, name=TEXT, version=WHOLE, tests=list_of(TEST_COUNT)
            )
        },
        by_session=True,
    ),
    Route(
        method="GET",
        path="/assignments",
        view=assignments.list_assignments,
        about="What to run",
        who=WORKER,
        query=(QUEUES,),
        answers={
            200: holding(
                "assignments",
                extended(ASSIGNMENT, "ListedAssignment", queue_isolation=nullable(QUEUE_ISOLATION)),
            ),
            304: None,
        },
        by_session=True,
    ),
    Route(
        method="GET",
        path="/assignments/<queue>/<name>/<int:version>",
        view=assignments.show_assignment,
        about="One version of a grader, active or not",
        who=WORKER,
        answers={200: ASSIGNMENT, 304: None},
        by_session=True,
    ),
    Route(
        method="PUT",
        path="/readiness",
        view=assignments.put_readiness,
        about="Say which graders a host can run",
        who=WORKER,
        body=record("HostReadiness", host=TEXT, items=list_of(READINESS_ITEM)),
        answers={204: None},
        by_session=True,
    ),
    Route(
        method="GET",
        path="/faults",
        view=faults.list_faults,
        about="Kinds of faults, latest first",
        who=READER,
        query=(
            QUEUES,
            Query(name="grader", about="A grader's name"),
            Query(name="kind", about="A kind of fault", schema=one_of(FaultKind)),
            Query(name="before", about="An id: only older ones", schema=ID),
            *PAGE,
        ),
        answers={200: record("Faults", faults=list_of(FAULT), next=nullable(TEXT))},
        by_session=True,
    ),
    Route(
        method="GET",
        path="/faults/<int:fault_id>",
        view=faults.show_fault,
        about="One kind of fault with a sample and its submissions",
        who=READER,
        answers={200: extended(FAULT, "FaultInFull", detail=TEXT, submissions=list_of(FAULTY))},
        by_session=True,
    ),
    Route(
        method="POST",
        path="/faults/<int:fault_id>/release",
        view=faults.release_fault,
        about="Put all that a fault holds back to the queue; refused while the version that failed "
        "is in use (unless `anyway`), or if more are held than were confirmed",
        who="operator or admin",
        body=record("FaultRelease", optional=("anyway",), confirmed_count=WHOLE, anyway=YES_NO),
        answers={200: DONE},
    ),
    Route(
        method="POST",
        path="/trials",
        view=trials.begin_trial,
        about="Run a submission without a learner",
        who=AUTHOR,
        body=NEW_TRIAL,
        answers={202: record("TrialBegun", id=ID, state=one_of(TrialState))},
        by_session=True,
    ),
    Route(
        method="GET",
        path="/trials/<int:trial_id>",
        view=trials.show_trial,
        about="How a trial stands, and the reply",
        who="the author who began it",
        query=(Query(name="wait", about="Seconds to wait for its end", schema=NUMBER),),
        answers={200: TRIAL},
        by_session=True,
    ),
    Route(
        method="GET",
        path="/trials/<int:trial_id>/assignment",
        view=assignments.show_trial_assignment,
        about="What to run for a trial",
        who=WORKER,
        answers={200: extended(ASSIGNMENT, "TrialAssignment", trial=ID), 304: None},
        by_session=True,
    ),
)
