"""A small LMS with edx-proctoring 6.1.4, as a process on 127.0.0.1: what it really asks of a
proctoring provider, and what it really makes of callbacks.

    with Lms(tmp_path / "lms") as lms:
        lms.put_provider("http://127.0.0.1:8000/proctoring")     # the server under test
        with store.write() as session:
            session.lmses.add(lms.entry("edx"))                  # how the server knows this LMS
        learner, staff = lms.sign_in("learner"), lms.sign_in("staff")
        exam = staff.register_exams(exam_of("e1"))[0]
        attempt = learner.begin(exam)
        learner.act(attempt, "start")
        lms.show(attempt)["status"]

There are learner, other, third and staff. `callbacks()` is what has come in at …/ready and
…/reviewed, `fail(503, times=2)` makes the next ones fail, `stop()` and `start()` take the LMS down
and bring it back at the same address with the same rows, `effects()` is what edx-proctoring asked
of the LMS's other services (grades, credit, certificates). It takes grades from XQueue, too:
`expect()` and `grades()`.

Its environment is made once and kept in the repository's `.cache`.
"""

from __future__ import annotations

import json
import shutil
import subprocess
import threading
import tomllib
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Self
from urllib.parse import quote

import requests

from deploy.demo.processes import free_port
from proctoring_hooks.lms import Lms as LmsEntry
from tests.support.peers import interpreter_with

HERE = Path(__file__).parent
TEMPLATES = HERE.parents[2] / "deploy/tutor/tutorxqueuegrader/templates"
BACKEND = TEMPLATES / "xqueuegrader/proctoring-backend"
"""The package that an LMS is given; nothing in it is filled in."""
ANSWER_WITHIN_S = 60
COURSE = "course-v1:edX+DemoX+2026"
API = "/api/edx_proctoring/v1"
NOBODY = "http://127.0.0.1:9/proctoring"
"""Nothing listens there."""


def _install_backend(place: Path) -> None:
    """What `pip install` makes of the package: its module, and its entry point."""
    project = tomllib.loads((BACKEND / "pyproject.toml").read_text())
    of_project = project["project"]
    info = place / f"xqueue_proctoring_backend-{of_project['version']}.dist-info"
    info.mkdir(parents=True)
    for module in project["tool"]["setuptools"]["py-modules"]:
        shutil.copy(BACKEND / f"{module}.py", place)
    (info / "METADATA").write_text(
        f"Metadata-Version: 2.1\nName: {of_project['name']}\nVersion: {of_project['version']}\n"
    )
    entries = of_project["entry-points"]["openedx.proctoring"].items()
    lines = ["[openedx.proctoring]", *(f"{name} = {where}" for name, where in entries)]
    (info / "entry_points.txt").write_text("\n".join(lines) + "\n")


@dataclass(frozen=True, slots=True, kw_only=True)
class Configuration:
    """What this LMS and its provider have agreed upon."""

    provider: str = NOBODY
    client_id: str = "the-lms"
    client_secret: str = "the LMS's secret at the provider"
    our_client_id: str = "the-provider"
    our_client_secret: str = "the provider's secret at the LMS"
    obfuscation_key: str = "obfuscating"


class Lms:
    def __init__(self, directory: Path, configuration: Configuration | None = None) -> None:
        directory.mkdir(parents=True)
        self._directory = directory
        self._configuration = configuration or Configuration()
        self._port = free_port()  # where nobody else is put while it is away
        self._asking = threading.Lock()
        self._process: subprocess.Popen[str] | None = None
        self._configure(self._configuration)
        _install_backend(directory / "backend")
        self.start()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self._port}"

    def entry(self, name: str) -> LmsEntry:
        given = asdict(self._configuration)
        del given["provider"]
        return LmsEntry(
            name=name, base_url=self.url, origins=(self.url,), backend="xqueue", **given
        )

    def start(self) -> None:
        """At the same address as before, if it was there."""
        with (self._directory / "stderr.log").open("a") as errors:
            self._process = subprocess.Popen(
                [
                    str(interpreter_with("edx-proctoring", HERE / "requirements.txt")),
                    str(HERE / "site.py"),
                    str(self._directory),
                    str(self._port),
                ],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=errors,
                text=True,
            )
        self._port = int(self._answer())

    def stop(self) -> None:
        if self._process is None:
            return
        self._process.kill()
        self._process.wait()
        for pipe in (self._process.stdin, self._process.stdout):
            if pipe is not None:
                pipe.close()
        self._process = None

    def put_provider(self, base_url: str) -> None:
        """Its address, with the prefix that goes before /api/v1 and /oauth2; also after a start."""
        self._configuration = Configuration(
            **(asdict(self._configuration) | {"provider": base_url})
        )
        self._configure(self._configuration)
        self._ask({"provider": base_url})

    def trust_us(self, *, is_staff: bool) -> None:
        """Whether the user that the server signs in as may ask about learners."""
        self._ask({"trusted": is_staff})

    def sign_in(self, name: str) -> Person:
        given = self._ask({"sign_in": name})
        return Person(self.url, name, given["user_id"], given["session"])

    def show(self, attempt_id: int) -> dict[str, Any]:
        """{status, external_id, user_id, exam_external_id, review, comments}."""
        found: dict[str, Any] = self._ask({"show": attempt_id})
        return found

    def callbacks(self) -> list[list[Any]]:
        """[external id, "ready" | "reviewed", body, status], in the order of their answers. Those
        since the last start."""
        found: list[list[Any]] = self._ask({"callbacks": True})
        return found

    def fail(self, status: int, *, times: int) -> None:
        self._ask({"fail": status, "times": times})

    def effects(self) -> list[list[Any]]:
        """[service, call, arguments …, keywords], since the last start."""
        found: list[list[Any]] = self._ask({"effects": True})
        return found

    def rendered(self, person: Person, content_id: str, *, course: str = COURSE) -> str:
        """The exam's page where the LMS renders it, and no MFE does: HTML."""
        return str(self._ask({"rendered": [person.user_id, course, content_id]}))

    def expect(self, person: Person, problem: str, key: str) -> str:
        """Wait for a grade from XQueue under this key. Returns the address that it comes to."""
        self._ask({"expect": [str(person.user_id), problem, key]})
        course, usage = quote(COURSE, safe="+:"), quote(problem, safe="+:@")
        return f"{self.url}/courses/{course}/xqueue/{person.user_id}/{usage}/score_update"

    def grades(self, key: str) -> list[tuple[float, bool]]:
        """(score, whether it was waited for) of each callback for this key, in their order."""
        return [(score, taken) for at, score, taken in self._ask({"grades": True}) if at == key]

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    def _configure(self, configuration: Configuration) -> None:
        path = self._directory / "configuration.json"
        path.write_text(json.dumps(asdict(configuration)))

    def _ask(self, question: dict[str, object]) -> Any:
        assert self._process is not None, "the LMS is down"
        assert self._process.stdin is not None
        with self._asking:
            self._process.stdin.write(json.dumps(question) + "\n")
            self._process.stdin.flush()
            return json.loads(self._answer())

    def _answer(self) -> str:
        assert self._process is not None
        assert self._process.stdout is not None
        line = self._process.stdout.readline()
        assert line, (self._directory / "stderr.log").read_text()[-3000:]
        return line


class Person:
    """Somebody who is signed in, and whose browser does what the exam's pages do."""

    def __init__(self, url: str, name: str, user_id: int, session: str) -> None:
        self.name, self.user_id = name, user_id
        self._url = url
        self._http = requests.Session()
        token = "c" * 32
        self._http.cookies.update({"sessionid": session, "csrftoken": token})
        self._http.headers.update({"X-CSRFToken": token, "Referer": url})

    def ask(self, method: str, path: str, body: object = None, **params: str) -> requests.Response:
        """`path` is what follows the API's prefix."""
        return self._http.request(
            method,
            f"{self._url}{API}{path}",
            json=body,
            params=params,
            allow_redirects=False,
            timeout=ANSWER_WITHIN_S,
        )

    def register_exams(self, *exams: dict[str, Any], course: str = COURSE) -> list[int]:
        """For staff: the course's exams, all of them; others are deactivated. Returns their ids."""
        path = f"/proctored_exam/exam_registration/course_id/{course}"
        given = _ok(self.ask("PATCH", path, [{"course_id": course} | exam for exam in exams]))
        return [each["exam_id"] for each in given]

    def exam(self, exam_id: int) -> dict[str, Any]:
        found: dict[str, Any] = _ok(self.ask("GET", f"/proctored_exam/exam/exam_id/{exam_id}"))
        return found

    def begin(self, exam_id: int) -> int:
        """A proctored attempt. Returns its id."""
        return int(_ok(self.try_to_begin(exam_id))["exam_attempt_id"])

    def try_to_begin(self, exam_id: int) -> requests.Response:
        body = {"exam_id": exam_id, "start_clock": "false", "attempt_proctored": "true"}
        return self.ask("POST", "/proctored_exam/attempt", body)

    def attempt(self, attempt_id: int) -> dict[str, Any]:
        found: dict[str, Any] = _ok(self.ask("GET", f"/proctored_exam/attempt/{attempt_id}"))
        return found

    def act(self, attempt_id: int, action: str, **more: object) -> None:
        _ok(self.try_to_act(attempt_id, action, **more))

    def try_to_act(self, attempt_id: int, action: str, **more: object) -> requests.Response:
        return self.ask("PUT", f"/proctored_exam/attempt/{attempt_id}", {"action": action} | more)

    def remove(self, attempt_id: int) -> requests.Response:
        """For staff."""
        return self.ask("DELETE", f"/proctored_exam/attempt/{attempt_id}")

    def page(self, content_id: str, *, course: str = COURSE) -> dict[str, Any]:
        """What the learning MFE loads: {exam: {…, attempt: {…}}, active_attempt: {…}}."""
        found: dict[str, Any] = _ok(
            self.ask(
                "GET",
                f"/proctored_exam/attempt/course_id/{course}",
                content_id=content_id,
                is_learning_mfe="true",
            )
        )
        return found


def exam_of(block: str, **fields: Any) -> dict[str, Any]:
    """An exam for `Person.register_exams`: proctored, of 30 minutes, without a due date."""
    return {
        "content_id": f"block-v1:edX+DemoX+2026+type@sequential+block@{block}",
        "exam_name": "Midterm",
        "time_limit_mins": 30,
        "due_date": None,
        "is_proctored": True,
        "is_practice_exam": False,
        "is_active": True,
        "hide_after_due": False,
        "backend": "xqueue",
    } | fields


def _ok(response: requests.Response) -> Any:
    assert response.status_code == 200, (response.status_code, response.text[:2000])
    return response.json() if response.content else None


__all__: Sequence[str] = ["API", "COURSE", "NOBODY", "Configuration", "Lms", "Person", "exam_of"]
