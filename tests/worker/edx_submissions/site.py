"""The LMS's own XQueue as a small Django site: edx-submissions' real viewset at /xqueue/.

Runs in an environment of its own, with SQLite: `site.py DIRECTORY PASSWORD`. Prints its port, then
answers each line of JSON on stdin with one on stdout:

    {"submit": response, "queue": name, "points": n}    {"id": submission id}
    {"show": submission id}                             {"status", "earned", "possible", "failures"}
    {"pulled_s_ago": seconds, "of": submission id}      {}, as if it had been pulled then
    {"log_out": true}                                   {}, every session is gone
"""

from __future__ import annotations

import json
import sys
import threading
from pathlib import Path
from socketserver import ThreadingMixIn
from wsgiref.simple_server import WSGIRequestHandler, WSGIServer, make_server

import django
from django.conf import settings
from django.urls import include, path

DIRECTORY, PASSWORD = Path(sys.argv[1]), sys.argv[2]

settings.configure(
    SECRET_KEY="of a test",
    ALLOWED_HOSTS=["127.0.0.1"],
    ROOT_URLCONF=__name__,
    USE_TZ=True,
    DEFAULT_AUTO_FIELD="django.db.models.AutoField",
    DATABASES={
        "default": {
            "ENGINE": "django.db.backends.sqlite3",
            "NAME": str(DIRECTORY / "lms.sqlite3"),
            # The lock before anything is read: SQLite lets no reader wait for it afterwards.
            "OPTIONS": {"timeout": 60, "transaction_mode": "IMMEDIATE"},
        }
    },
    INSTALLED_APPS=[
        "django.contrib.auth",
        "django.contrib.contenttypes",
        "django.contrib.sessions",
        "rest_framework",
        "submissions",
    ],
    MIDDLEWARE=[
        "django.contrib.sessions.middleware.SessionMiddleware",
        "django.middleware.csrf.CsrfViewMiddleware",
        "django.contrib.auth.middleware.AuthenticationMiddleware",
    ],
)
django.setup()

from datetime import timedelta  # noqa: E402 - what follows needs the settings

from django.contrib.auth.models import Group, User  # noqa: E402
from django.contrib.sessions.models import Session  # noqa: E402
from django.core.management import call_command  # noqa: E402
from django.core.wsgi import get_wsgi_application  # noqa: E402
from submissions import api  # noqa: E402
from submissions.models import ExternalGraderDetail, Score  # noqa: E402

urlpatterns = [path("xqueue/", include("submissions.urls"))]


class Server(ThreadingMixIn, WSGIServer):
    daemon_threads = True


class Quiet(WSGIRequestHandler):
    def log_message(self, *_arguments: object) -> None:
        pass


def prepare() -> None:
    call_command("migrate", verbosity=0)
    user = User.objects.create_user("grader", password=PASSWORD)
    user.groups.add(Group.objects.create(name="xqueue"))


def answer(asked: dict) -> dict:
    if "submit" in asked:
        student = {
            "student_id": "learner-7",
            "course_id": "course-v1:X+Y+Z",
            "item_id": f"problem-{ExternalGraderDetail.objects.count()}",
            "item_type": "problem",
        }
        made = api.create_external_grader_detail(
            student, asked["submit"], asked["queue"], "key", points_possible=asked["points"]
        )
        return {"id": made.submission.id}
    if "show" in asked:
        detail = ExternalGraderDetail.objects.get(submission__id=asked["show"])
        score = Score.objects.filter(submission__id=asked["show"]).last()
        return {
            "status": detail.status,
            "earned": score and score.points_earned,
            "possible": score and score.points_possible,
            "failures": detail.num_failures,
        }
    if "pulled_s_ago" in asked:
        detail = ExternalGraderDetail.objects.get(submission__id=asked["of"])
        detail.status_time -= timedelta(seconds=asked["pulled_s_ago"])
        detail.save()
        return {}
    Session.objects.all().delete()
    return {}


def main() -> None:
    prepare()
    server = make_server("127.0.0.1", 0, get_wsgi_application(), Server, Quiet)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    say(server.server_port)
    for line in sys.stdin:
        say(answer(json.loads(line)))


def say(something: object) -> None:
    sys.stdout.write(json.dumps(something) + "\n")
    sys.stdout.flush()


if __name__ == "__main__":
    # Django looks its URLs up in this module by name.
    sys.modules[settings.ROOT_URLCONF] = sys.modules["__main__"]
    main()
