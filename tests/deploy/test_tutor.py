"""The plugin in the real Tutor of each supported release, beside the real tutor-xqueue."""

import ast
import json
import os
import shutil
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest
import yaml
from kubernetes_validate import validate

TOP = Path(__file__).parents[2]
BACKEND = TOP / "deploy/tutor/tutorxqueuegrader/templates/xqueuegrader/proctoring-backend"
RELEASES = (19, 20, 21, 22)
OURS = {
    "xqueuegrader",
    "xqueuegrader-deliver",
    "xqueuegrader-sweep",
    "xqueuegrader-events",
    "xqueuegrader-postgres",
}
RENDER_INIT = """
import sys
from tutor import config, env, hooks, plugins
from tutor.commands.cli import main
hooks.Actions.CORE_READY.do()
loaded = config.load_full(sys.argv[1])
hooks.Actions.PROJECT_ROOT_READY.do(sys.argv[1])
loaded = config.load_full(sys.argv[1])
for service, task in hooks.Filters.CLI_DO_INIT_TASKS.iterate():
    if service == sys.argv[2] and "xqueuegrader" in task:
        print(env.render_str(loaded, task))
"""
SECRETS = ("CLIENT_SECRET", "OAUTH_SECRET", "OBFUSCATION_KEY")


class Tutor:
    """Installed into an environment of its own, with a project of its own."""

    def __init__(self, release, folder):
        self._environment = folder / "venv"
        self.root = folder / "root"
        subprocess.run([sys.executable, "-m", "venv", self._environment], check=True)
        tutor = f"tutor>={release},<{release + 1}"
        peer = f"tutor-xqueue>={release},<{release + 1}"
        # From a copy: setuptools leaves a folder behind whose old files get into later wheels.
        plugin = folder / "plugin"
        left_behind = shutil.ignore_patterns("build", "*.egg-info", "__pycache__")
        shutil.copytree(TOP / "deploy" / "tutor", plugin, ignore=left_behind)
        self._in_environment("pip", "install", "--quiet", tutor, peer, plugin)
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


def lms_setting(tutor, name):
    """What the LMS's settings say in the end, both plugins' patches applied in their order."""
    settings = tutor.rendered("apps", "openedx", "settings", "lms", "production.py")
    found = None
    for node in ast.parse(settings).body:
        if isinstance(node, ast.Assign) and ast.unparse(node.targets[0]) == name:
            found = ast.literal_eval(node.value)
    return found


def interface(tutor):
    return lms_setting(tutor, "XQUEUE_INTERFACE")


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
    assert "handle /proctoring/events {" in ours
    assert "reverse_proxy xqueuegrader-events:8042 {" in ours


def test_what_kubernetes_gets_is_valid(tutor):
    names = set()
    for file in ("deployments.yml", "services.yml", "volumes.yml", "jobs.yml"):
        for document in yaml.safe_load_all(tutor.rendered("k8s", file)):
            if document and "xqueuegrader" in document["metadata"]["name"]:
                validate(document, "1.30", strict=True)
                names.add((document["kind"], document["metadata"]["name"]))
    assert {name for kind, name in names if kind == "Deployment"} == OURS
    assert ("Job", "xqueuegrader-job") in names


def init_task(tutor, service):
    """Rendered with Tutor's own environment, as `tutor local do init` does; a script that a shell
    can read."""
    script = tutor.python(RENDER_INIT, str(tutor.root), service)
    checked = subprocess.run(["sh", "-n"], input=script, text=True, check=False)
    assert checked.returncode == 0
    return script


def test_the_init_task_makes_queues_and_accounts_and_names_no_password(tutor):
    script = init_task(tutor, "xqueuegrader")
    assert "xqueue-server queue add 'default'" in script
    assert "xqueue-server lms" not in script
    job = compose_services(tutor)["xqueuegrader-job"]["environment"]
    for name in ("XQUEUEGRADER_AUTH_PASSWORD", "XQUEUEGRADER_WORKER_PASSWORD"):
        assert job[name] == tutor.value(name)
        assert tutor.value(name) not in script  # which is an argument of a shell


# -- proctored exams -----------------------------------------------------------------------------


def test_an_lms_has_its_exams_elsewhere_unless_it_is_told_to(tutor):
    for name in ("PROCTORING_BACKENDS", "EXAMS_SERVICE_URL", "FEATURES['ENABLE_SPECIAL_EXAMS']"):
        assert lms_setting(tutor, name) is None
    assert "xqueue" not in tutor.rendered("build", "openedx", "Dockerfile")
    assert init_task(tutor, "lms").strip() == ""


@pytest.fixture(scope="module")
def with_exams(tutor):
    """From here on: the tests above are of a project without."""
    tutor.save(XQUEUEGRADER_PROCTORING_PROVIDER="true", XQUEUEGRADER_EXAM_SERVICE="true")
    return tutor


def test_an_lms_that_is_told_to_has_its_provider_and_its_exam_service_here(with_exams):
    tutor = with_exams
    here = "https://xqueue-grader.lms.example.org"
    backend = lms_setting(tutor, "PROCTORING_BACKENDS")["xqueue"]
    assert backend["base_url"] == f"{here}/proctoring"
    secrets = {name: tutor.value(f"XQUEUEGRADER_PROCTORING_{name}") for name in SECRETS}
    assert len(set(secrets.values())) == len(SECRETS)
    assert backend["client_secret"] == secrets["CLIENT_SECRET"]
    key = lms_setting(tutor, "PROCTORING_USER_OBFUSCATION_KEY")
    assert key == secrets["OBFUSCATION_KEY"]
    assert lms_setting(tutor, "XQUEUEGRADER_OAUTH_SECRET") == secrets["OAUTH_SECRET"]
    assert lms_setting(tutor, "EXAMS_SERVICE_URL") == f"{here}/exams/api/v1"
    assert lms_setting(tutor, "FEATURES['ENABLE_SPECIAL_EXAMS']") is True
    job = compose_services(tutor)["xqueuegrader-job"]["environment"]
    for service in ("xqueuegrader", "lms"):
        script = init_task(tutor, service)
        for name, secret in secrets.items():
            assert job[f"XQUEUEGRADER_PROCTORING_{name}"] == secret
            assert secret not in script
        assert job["XQUEUEGRADER_STUDIO_SECRET"] not in script
    assert "manage_user xqueuegrader xqueuegrader@openedx --staff " in init_task(tutor, "lms")


@pytest.mark.parametrize("tutor", RELEASES[-1:], indirect=True)
def test_the_init_task_enters_the_lms_and_once_more_without_harm(
    with_exams, migrated_sqlite, tmp_path
):
    """Its commands themselves, with a database and without the rest of Tutor."""
    script = init_task(with_exams, "xqueuegrader")
    script = script[script.index("umask 077") :].replace("/tmp/", f"{tmp_path}/")
    job = compose_services(with_exams)["xqueuegrader-job"]["environment"]
    database = shutil.copy(migrated_sqlite, tmp_path / "xqueue.db")
    environment = {
        **os.environ,
        **{name: value for name, value in job.items() if name.startswith("XQUEUEGRADER_")},
        "XQUEUE_DATABASE_URL": f"sqlite:///{database}",
        "XQUEUE_DATA_DIR": str(tmp_path),
        "XQUEUE_SECRET_KEY": "x" * 40,
        "XQUEUE_LMS_ORIGINS": job["XQUEUE_LMS_ORIGINS"],
        "PATH": f"{TOP / '.venv' / 'bin'}:{os.environ['PATH']}",
    }

    def run(*command):
        done = subprocess.run(command, capture_output=True, text=True, check=False, env=environment)
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout

    run("sh", "-euc", script)
    entered = run("xqueue-server", "lms", "show", "openedx", "--json")
    assert json.loads(entered)["origins"][:2] == ["https://lms.example.org", "http://lms:8000"]
    for name in ("has_studio_secret", "loads_worker", "forwards_exams"):
        assert json.loads(entered)[name], name
    run("sh", "-euc", script)
    assert run("xqueue-server", "lms", "show", "openedx", "--json") == entered
    assert [path.name for path in tmp_path.iterdir() if "xqueue.db" not in path.name] == []


def test_the_image_of_the_lms_gets_the_backend_by_its_name(with_exams):
    dockerfile = with_exams.rendered("build", "openedx", "Dockerfile")
    assert "COPY xqueuegrader/proctoring-backend /openedx/xqueue-proctoring-backend" in dockerfile
    folder = with_exams.root / "env" / "build" / "openedx" / "xqueuegrader" / "proctoring-backend"
    project = tomllib.loads((folder / "pyproject.toml").read_text())
    entry = project["project"]["entry-points"]["openedx.proctoring"]
    assert entry == {"xqueue": "xqueue_proctoring_backend:XQueue"}
    (module,) = project["tool"]["setuptools"]["py-modules"]
    rendered = (folder / f"{module}.py").read_text()
    # Which our LMS runs. Tutor leaves the last line's end out.
    assert rendered == (BACKEND / f"{module}.py").read_text().removesuffix("\n")
    tree = ast.parse(rendered)
    assert "XQueue" in [node.name for node in tree.body if isinstance(node, ast.ClassDef)]
