"""A small LMS: edx-proctoring's real models, API and REST backend in Django.

Runs in an environment of its own, with SQLite: `site.py DIRECTORY PORT` (0: a free one). What it
is configured with is in DIRECTORY/configuration.json (see `peer.Configuration`). Prints its port,
then answers each line of JSON on stdin with one on stdout:

    {"sign_in": name}                 {"session": cookie}
    {"show": attempt id}              the attempt's row, its review, its comments
    {"provider": base URL}            {}, the provider's server is there from now on
    {"trusted": true}                 {}, the provider's user is staff from now on
    {"fail": status, "times": n}      {}, what the next n callbacks are answered
    {"callbacks": true}               every callback: [[external id, "ready", body, status], …]
    {"effects": true}                 what edx-proctoring asked of the LMS: [[service, call, …], …]
    {"rendered": [user, course, content]}   the exam's page as the LMS renders it, without the MFE
    {"expect": [user, problem, key]}  {}, a learner has submitted to XQueue under this key
    {"grades": true}                  what XQueue has called back with: [[key, score, taken], …]
"""

from __future__ import annotations

import json
import os
import sys
import threading
import time
from pathlib import Path
from socketserver import ThreadingMixIn
from types import SimpleNamespace
from wsgiref.simple_server import WSGIRequestHandler, WSGIServer

HERE = Path(__file__).parent
DIRECTORY, PORT = Path(sys.argv[1]), int(sys.argv[2])
GIVEN = json.loads((DIRECTORY / "configuration.json").read_text())
sys.path[:0] = [str(DIRECTORY / "backend"), str(HERE)]
os.environ["XDG_CACHE_HOME"] = str(DIRECTORY)  # what stevedore remembers of entry points


class Server(ThreadingMixIn, WSGIServer):
    daemon_threads = True
    request_queue_size = 64


class Quiet(WSGIRequestHandler):
    def log_message(self, *_arguments: object) -> None:
        pass


# Bound before Django is configured: callbacks come to the address that SITE_NAME says. It listens
# when it can answer: a callback that waits for that may be given up, and then comes twice.
server = Server(("127.0.0.1", PORT), Quiet, bind_and_activate=False)
server.server_bind()
ADDRESS = f"127.0.0.1:{server.server_port}"

import django  # noqa: E402 - the port comes first
from django.conf import settings  # noqa: E402

KEY = "of a test, and long enough for HS256"

settings.configure(
    SECRET_KEY=KEY,
    ALLOWED_HOSTS=["127.0.0.1"],
    ROOT_URLCONF=__name__,
    USE_TZ=True,
    LANGUAGE_CODE="en",
    DEFAULT_AUTO_FIELD="django.db.models.AutoField",
    DATABASES={
        "default": {
            "ENGINE": "django.db.backends.sqlite3",
            "NAME": str(DIRECTORY / "lms.sqlite3"),
            "ATOMIC_REQUESTS": True,
            "OPTIONS": {"timeout": 60, "transaction_mode": "IMMEDIATE"},
        }
    },
    INSTALLED_APPS=[
        "django.contrib.auth",
        "django.contrib.contenttypes",
        "django.contrib.sessions",
        "rest_framework",
        "waffle",
        "edx_when",
        "simple_history",
        "rules.apps.AutodiscoverRulesConfig",
        "edx_proctoring",
    ],
    MIDDLEWARE=[
        "edx_django_utils.cache.middleware.RequestCacheMiddleware",
        "crum.CurrentRequestUserMiddleware",
        "django.contrib.sessions.middleware.SessionMiddleware",
        "django.middleware.csrf.CsrfViewMiddleware",
        "django.contrib.auth.middleware.AuthenticationMiddleware",
        f"{__name__}.callbacks_are_noted",
    ],
    TEMPLATES=[
        {"BACKEND": "django.template.backends.django.DjangoTemplates", "APP_DIRS": True},
    ],
    AUTHENTICATION_BACKENDS=[
        "rules.permissions.ObjectPermissionBackend",
        "django.contrib.auth.backends.ModelBackend",
    ],
    EMAIL_BACKEND="django.core.mail.backends.locmem.EmailBackend",
    LOGGING_CONFIG=None,
    COURSE_ID_PATTERN=r"(?P<course_id>[^/+]+(/|\+)[^/+]+(/|\+)[^/?]+)",
    SITE_NAME=ADDRESS,
    HTTPS="off",
    LMS_ROOT_URL=f"http://{ADDRESS}",
    LEARNING_MICROFRONTEND_URL="http://127.0.0.1:2000",
    PLATFORM_NAME="peer",
    CONTACT_EMAIL="contact@example.com",
    DEFAULT_FROM_EMAIL="contact@example.com",
    TECH_SUPPORT_EMAIL="help@example.com",
    ENV_ROOT=str(DIRECTORY),
    WEBPACK_LOADER={"WORKERS": {"STATS_FILE": str(DIRECTORY / "webpack-worker-stats.json")}},
    PROCTORING_SETTINGS={},
    PROCTORING_USER_OBFUSCATION_KEY=GIVEN["obfuscation_key"],
    PROCTORING_BACKENDS={
        "DEFAULT": "xqueue",
        "null": {},
        "xqueue": {
            "base_url": GIVEN["provider"],
            "client_id": GIVEN["client_id"],
            "client_secret": GIVEN["client_secret"],
            "timeout": 60,  # of 30 s otherwise, which a loaded machine may need
        },
    },
    JWT_AUTH={
        "JWT_ISSUER": f"http://{ADDRESS}/oauth2",
        "JWT_ISSUERS": [
            {"ISSUER": f"http://{ADDRESS}/oauth2", "SECRET_KEY": KEY, "AUDIENCE": "openedx"}
        ],
        "JWT_ALGORITHM": "HS256",
        "JWT_AUTH_HEADER_PREFIX": "JWT",  # as the LMS has it; the library's own is Bearer
        "JWT_VERIFY_EXPIRATION": True,
        "JWT_DECODE_HANDLER": "edx_rest_framework_extensions.auth.jwt.decoder.jwt_decode_handler",
        "JWT_PAYLOAD_GET_USERNAME_HANDLER": f"{__name__}.username_of",
    },
)


def username_of(payload: dict) -> str | None:
    return payload.get("preferred_username")


# Django and the libraries look this module up by name.
sys.modules[settings.ROOT_URLCONF] = sys.modules[__name__]
django.setup()

import jwt  # noqa: E402 - what follows needs the settings
import rules  # noqa: E402
from django.apps import apps  # noqa: E402
from django.contrib.auth.models import Group, Permission, User  # noqa: E402
from django.contrib.contenttypes.models import ContentType  # noqa: E402
from django.contrib.sessions.backends.db import SessionStore  # noqa: E402
from django.core.management import call_command  # noqa: E402
from django.core.wsgi import get_wsgi_application  # noqa: E402
from django.http import HttpResponse, JsonResponse  # noqa: E402
from django.urls import include, path, re_path  # noqa: E402
from django.views.decorators.csrf import csrf_exempt  # noqa: E402
from edx_proctoring.api import get_student_view  # noqa: E402
from edx_proctoring.models import (  # noqa: E402
    ProctoredExamSoftwareSecureComment,
    ProctoredExamSoftwareSecureReview,
    ProctoredExamStudentAttempt,
)
from edx_proctoring.runtime import set_runtime_service  # noqa: E402
from gradebook import Gradebook  # noqa: E402

SERVICE_USER = "xqueue_service"
PEOPLE = ("learner", "other", "third", "staff")
TOKEN_S = 3600

effects: list[list[object]] = []
callbacks: list[list[object]] = []
failing = {"status": 0, "times": 0}
grades = Gradebook(DIRECTORY / "grades.json")
_lock = threading.Lock()


# -- what an LMS gives to edx-proctoring ---------------------------------------------------------


class Service:
    """Notes what it is asked to do; `answers` is for what it is asked for."""

    def __init__(self, name: str, **answers: object) -> None:
        self._name, self._answers = name, answers

    def __getattr__(self, call: str) -> object:
        def asked(*args: object, **kwargs: object) -> object:
            if call in self._answers:
                found = self._answers[call]
                return found(*args, **kwargs) if callable(found) else found
            effects.append(
                [self._name, call, *map(str, args), {k: str(v) for k, v in kwargs.items()}]
            )
            return None

        return asked


def credit_state(user_id: int, *_args: object, **_kwargs: object) -> dict[str, object]:
    user = User.objects.get(id=user_id)
    return {
        "profile_fullname": user.get_full_name(),
        "student_email": user.email,
        "course_name": "A course",
        "enrollment_mode": "verified",
        "is_credit_course": False,
    }


class Everything:
    def __contains__(self, _key: object) -> bool:
        return True


def enrollments(*_args: object) -> list[SimpleNamespace]:
    return [
        SimpleNamespace(user=user, mode="verified")
        for user in User.objects.filter(is_staff=False).exclude(username=SERVICE_USER)
    ]


def outline(*_args: object) -> SimpleNamespace:
    return SimpleNamespace(
        outline=SimpleNamespace(accessible_sequences=Everything()),
        schedule=SimpleNamespace(sequences={}, course_end=None),
    )


set_runtime_service("credit", Service("credit", get_credit_state=credit_state))
set_runtime_service("grades", Service("grades", should_override_grade_on_rejected_exam=True))
set_runtime_service("certificates", Service("certificates"))
set_runtime_service(
    "instructor",
    Service("instructor", is_course_staff=False, get_proctoring_escalation_email=None),
)
set_runtime_service(
    "enrollments",
    Service("enrollments", get_enrollments_can_take_proctored_exams=enrollments),
)
set_runtime_service(
    "learning_sequences",
    Service("learning_sequences", get_user_course_outline_details=outline),
)
rules.add_perm("edx_proctoring.can_take_proctored_exam", rules.always_true)  # by enrolment there
User.profile = property(lambda user: SimpleNamespace(name=user.get_full_name()))


# -- its own pages -------------------------------------------------------------------------------


@csrf_exempt
def access_token(request: object) -> HttpResponse:
    """As the LMS's OAuth2 server: the form, the credentials, and a JWT only where one is wanted
    (an opaque token opens nothing here)."""
    form = request.POST
    if form.get("grant_type") != "client_credentials":
        return JsonResponse({"error": "unsupported_grant_type"}, status=400)
    given = (form.get("client_id"), form.get("client_secret"))
    if given != (GIVEN["our_client_id"], GIVEN["our_client_secret"]):
        return JsonResponse({"error": "invalid_client"}, status=401)
    answer = {"expires_in": TOKEN_S, "scope": "read write"}
    if form.get("token_type", "").lower() != "jwt":
        return JsonResponse(answer | {"access_token": "opaque", "token_type": "Bearer"})
    now = int(time.time())
    claims = {
        "iss": settings.JWT_AUTH["JWT_ISSUER"],
        "aud": "openedx",
        "iat": now,
        "exp": now + TOKEN_S,
        "preferred_username": SERVICE_USER,
        "version": "1.2.0",
        "scopes": ["read", "write"],
    }
    token = jwt.encode(claims, KEY, algorithm="HS256")
    return JsonResponse(answer | {"access_token": token, "token_type": "JWT"})


def page(_request: object, **_where: str) -> HttpResponse:
    return HttpResponse("a page of the course")


@csrf_exempt
def xqueue_update(request: object, course_id: str, user_id: str, usage_id: str) -> HttpResponse:
    """As the LMS's view of this name: the grade goes to the problem that waits for its key."""
    header, body = (json.loads(request.POST[f"xqueue_{part}"]) for part in ("header", "body"))
    grades.receive(user_id, usage_id, header["lms_key"], body["score"])
    return HttpResponse("")


urlpatterns = [
    path("oauth2/access_token", access_token),
    path("oauth2/access_token/", access_token),
    path("api/", include("edx_proctoring.urls")),
    path("courses/<course_id>/xqueue/<user_id>/<usage_id>/score_update", xqueue_update),
    re_path(r"^courses/(?P<course_id>[^/]+)/jump_to/(?P<location>.+)$", page, name="jump_to"),
    re_path(r"^courses/(?P<course_id>[^/]+)/progress$", page, name="progress"),
    path("password_assistance", page, name="password_assistance"),
]


def callbacks_are_noted(get_response: object) -> object:
    """Notes each, and answers as told while the LMS is to be unwell."""

    def handle(request: object) -> HttpResponse:
        parts = request.path.rsplit("/", 2)
        if request.method != "POST" or parts[-1] not in ("ready", "reviewed"):
            return get_response(request)
        body = request.body.decode()
        with _lock:
            fails = failing["times"] > 0
            failing["times"] -= fails
        response = (
            HttpResponse("unwell", status=failing["status"]) if fails else get_response(request)
        )
        callbacks.append([parts[-2], parts[-1], json.loads(body or "null"), response.status_code])
        return response

    return handle


# -- the test's side -----------------------------------------------------------------------------


def prepare() -> None:
    if User.objects.exists():
        return
    for name in (*PEOPLE, SERVICE_USER):
        User.objects.create_user(
            name,
            f"{name}@example.com",
            first_name=name.title(),
            last_name="Lovelace",
            is_staff=name == "staff",
        )
    Group.objects.create(name="xqueue_review").user_set.add(User.objects.get(username=SERVICE_USER))
    of_users = ContentType.objects.get_for_model(User)
    accounts = ContentType.objects.create(app_label="accounts", model="user_retirement")
    retiring = Permission.objects.create(
        codename="can_retire_user", name="May retire users", content_type=accounts
    )
    assert of_users.pk != accounts.pk
    User.objects.get(username="staff").user_permissions.add(retiring)


def sign_in(name: str) -> dict[str, object]:
    user = User.objects.get(username=name)
    session = SessionStore()
    session["_auth_user_id"] = str(user.pk)
    session["_auth_user_backend"] = "django.contrib.auth.backends.ModelBackend"
    session["_auth_user_hash"] = user.get_session_auth_hash()
    session.save()
    return {"session": session.session_key, "user_id": user.pk}


def show(attempt_id: int) -> dict[str, object]:
    attempt = ProctoredExamStudentAttempt.objects.get(id=attempt_id)
    review = ProctoredExamSoftwareSecureReview.get_review_by_attempt_code(attempt.attempt_code)
    comments = ProctoredExamSoftwareSecureComment.objects.filter(review=review).order_by("id")
    return {
        "status": attempt.status,
        "external_id": attempt.external_id,
        "user_id": attempt.user_id,
        "exam_external_id": attempt.proctored_exam.external_id,
        "review": review and review.review_status,
        "comments": [comment.comment for comment in comments] if review else [],
    }


def serve_by(base_url: str) -> dict[str, object]:
    config = apps.get_app_config("edx_proctoring")
    kind = type(config.backends["xqueue"])
    options = settings.PROCTORING_BACKENDS["xqueue"] | {"base_url": base_url}
    config.backends["xqueue"] = kind(**options)
    return {}


def trust(is_staff: bool) -> dict[str, object]:
    User.objects.filter(username=SERVICE_USER).update(is_staff=is_staff)
    return {}


def answer(asked: dict) -> object:
    if "sign_in" in asked:
        return sign_in(asked["sign_in"])
    if "show" in asked:
        return show(asked["show"])
    if "rendered" in asked:
        return get_student_view(*asked["rendered"], {})
    if "provider" in asked:
        return serve_by(asked["provider"])
    if "trusted" in asked:
        return trust(asked["trusted"])
    if "fail" in asked:
        failing.update(status=asked["fail"], times=asked["times"])
        return {}
    if "expect" in asked:
        grades.expect(*asked["expect"])
        return {}
    if "grades" in asked:
        return grades.received()
    return callbacks if "callbacks" in asked else effects


def main() -> None:
    call_command("migrate", verbosity=0)
    prepare()
    server.set_app(get_wsgi_application())
    server.server_activate()
    threading.Thread(target=server.serve_forever, daemon=True).start()
    say(server.server_port)
    for line in sys.stdin:
        say(answer(json.loads(line)))


def say(something: object) -> None:
    sys.stdout.write(json.dumps(something) + "\n")
    sys.stdout.flush()


if __name__ == "__main__":
    main()
