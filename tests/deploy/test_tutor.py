"""The plugin in the real Tutor of each supported release, beside the real tutor-xqueue."""

import os
import subprocess
import sys
from pathlib import Path

import pytest
import yaml
from kubernetes_validate import validate

TOP = Path(__file__).parents[2]
RELEASES = (19, 20, 21, 22)
OURS = {"xqueuegrader", "xqueuegrader-deliver", "xqueuegrader-sweep", "xqueuegrader-postgres"}
RENDER_INIT = """
import sys
from tutor import config, env, hooks, plugins
from tutor.commands.cli import main
hooks.Actions.CORE_READY.do()
loaded = config.load_full(sys.argv[1])
hooks.Actions.PROJECT_ROOT_READY.do(sys.argv[1])
loaded = config.load_full(sys.argv[1])
tasks = dict(hooks.Filters.CLI_DO_INIT_TASKS.iterate())
print(env.render_str(loaded, tasks["xqueuegrader"]))
"""


class Tutor:
    """Installed into an environment of its own, with a project of its own."""

    def __init__(self, release, folder):
        self._environment = folder / "venv"
        self.root = folder / "root"
        subprocess.run([sys.executable, "-m", "venv", self._environment], check=True)
        tutor = f"tutor>={release},<{release + 1}"
        peer = f"tutor-xqueue>={release},<{release + 1}"
        self._in_environment("pip", "install", "--quiet", tutor, peer, TOP / "deploy" / "tutor")
        self.run("plugins", "enable", "xqueue", "xqueuegrader")
        self.save(LMS_HOST="lms.example.org", ENABLE_HTTPS="true")

    def run(self, *arguments):
        return self._in_environment("tutor", "--root", self.root, *arguments)

    def save(self, **values):
        self.run("config", "save", *(f"--set={name}={value}" for name, value in values.items()))

    def value(self, name):
        return self.run("config", "printvalue", name).strip()

    def python(self, program, *arguments):
        return self._in_environment("python", "-c", program, *arguments)

    def rendered(self, *path):
        return self.root.joinpath("env", *path).read_text()

    def _in_environment(self, program, *arguments):
        done = subprocess.run(
            [self._environment / "bin" / program, *arguments],
            capture_output=True,
            text=True,
            check=False,
            env=os.environ | {"TUTOR_PLUGINS_ROOT": str(self._environment / "plugins")},
        )
        assert done.returncode == 0, f"{arguments}: {done.stdout[-2000:]}{done.stderr[-4000:]}"
        return done.stdout


@pytest.fixture(scope="module", params=RELEASES)
def tutor(request, tmp_path_factory):
    return Tutor(request.param, tmp_path_factory.mktemp(f"tutor{request.param}"))


def compose_services(tutor):
    """As the program that will start them reads it."""
    folder = tutor.root / "env" / "local"
    files = [
        f"--file={folder / name}" for name in ("docker-compose.yml", "docker-compose.prod.yml")
    ]
    jobs = f"--file={folder / 'docker-compose.jobs.yml'}"
    said = subprocess.run(
        ["docker-compose", *files, jobs, "config"], capture_output=True, text=True, check=False
    )
    assert said.returncode == 0, said.stderr
    return yaml.safe_load(said.stdout)["services"]


def interface(tutor):
    """What the LMS's settings say in the end, both plugins' patches applied in their order."""
    settings = tutor.rendered("apps", "openedx", "settings", "lms", "production.py")
    lines = settings.splitlines()
    starts = [n for n, line in enumerate(lines) if line.startswith("XQUEUE_INTERFACE = ")]
    found = None
    for start in starts:
        end = next(n for n in range(start, len(lines)) if lines[n].startswith("}"))
        names = {}
        exec("\n".join(lines[start : end + 1]), names)  # a literal of our own
        found = names["XQUEUE_INTERFACE"]
    return found


def test_both_queues_are_in_the_compose_file_that_tutor_starts(tutor):
    services = compose_services(tutor)
    assert services.keys() >= OURS
    assert {"xqueue", "xqueue-consumer"} & services.keys()
    server = services["xqueuegrader"]["environment"]
    assert server["XQUEUE_LMS_ORIGINS"] == "https://lms.example.org,http://lms:8000"
    assert server["XQUEUE_REDIS_URL"] == "redis://redis:6379/2"
    assert "xqueuegrader-job" in services


def test_the_lms_changes_queues_only_when_it_is_told_to(tutor):
    assert "xqueuegrader" not in str(interface(tutor))
    tutor.save(XQUEUEGRADER_TAKE_OVER="true")
    switched = interface(tutor)
    assert switched["url"] == "http://xqueuegrader:8040"
    assert switched["callback_url"] == "http://lms:8000"
    password = tutor.value("XQUEUEGRADER_AUTH_PASSWORD")
    assert switched["django_auth"] == {"username": "lms", "password": password}
    tutor.save(XQUEUEGRADER_TAKE_OVER="false")
    assert "xqueuegrader" not in str(interface(tutor))


def test_the_account_of_the_other_queue_is_taken_over(tutor):
    tutor.run("xqueuegrader", "import-config")
    tutor.run("config", "save")
    for name in ("AUTH_USERNAME", "AUTH_PASSWORD"):
        assert tutor.value(f"XQUEUEGRADER_{name}") == tutor.value(f"XQUEUE_{name}")


def test_the_proxy_serves_it_and_hides_its_metrics(tutor):
    caddyfile = tutor.rendered("apps", "caddy", "Caddyfile")
    ours = caddyfile[caddyfile.index("xqueue-grader.lms.example.org") :]
    assert 'import proxy "xqueuegrader:8040"' in ours
    assert "respond /metrics 404" in ours


def test_what_kubernetes_gets_is_valid(tutor):
    names = set()
    for file in ("deployments.yml", "services.yml", "volumes.yml", "jobs.yml"):
        for document in yaml.safe_load_all(tutor.rendered("k8s", file)):
            if document and "xqueuegrader" in document["metadata"]["name"]:
                validate(document, "1.30", strict=True)
                names.add((document["kind"], document["metadata"]["name"]))
    assert {name for kind, name in names if kind == "Deployment"} == OURS
    assert ("Job", "xqueuegrader-job") in names


def test_the_init_task_is_a_script_that_a_shell_can_read(tutor, tmp_path):
    """Rendered with Tutor's own environment, as `tutor local do init` does."""
    script = tutor.python(RENDER_INIT, str(tutor.root))
    assert "xqueue-server queue add 'default'" in script
    checked = subprocess.run(["sh", "-n"], input=script, text=True, check=False)
    assert checked.returncode == 0
