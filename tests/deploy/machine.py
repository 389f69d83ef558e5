"""The Compose files brought up as their page says, with everything of it gone afterwards."""

import http.client
import json
import shutil
import socket
import ssl
import subprocess
from pathlib import Path
from secrets import token_hex
from urllib.parse import urlencode

from deploy.demo.processes import free_port

TOP = Path(__file__).parents[2]
HOST = "xqueue.test"
LMS = "http://lms:8090"
LOCAL_IMAGES = {
    "POSTGRES_IMAGE": "xqueue/debian-postgres:local",
    "REDIS_IMAGE": "xqueue/debian-redis:local",
    "NGINX_IMAGE": "xqueue/debian-nginx:local",
}


class Machine:
    """`folder` becomes a copy of deploy/compose, as an operator makes it."""

    def __init__(self, folder, *, engine_socket, network):
        self.folder = folder
        self.port = free_port()
        self._project = f"xqueue-test-{token_hex(4)}"
        shutil.copytree(TOP / "deploy" / "compose", folder, ignore=shutil.ignore_patterns(".env"))
        self._run("./init.sh", HOST, LMS)
        self._set(
            COMPOSE_PROJECT_NAME=self._project,
            XQUEUE_HTTPS_PORT=self.port,
            XQUEUE_PUBLIC_URL=f"https://{HOST}:{self.port}",
            XQUEUE_NETWORK=network,
            XQUEUE_TRUSTED_PROXIES=f"{network}.0/24",
            XQUEUE_ENGINE_SOCKET=engine_socket,
            XQUEUE_QUEUE_PROJECT=self._project,
            XQUEUE_TEST_PYTHON="xqueue/python-base:local",
            XQUEUE_TEST_LMS=TOP / "tests" / "deploy" / "lms.py",
            **LOCAL_IMAGES,
        )
        shutil.copy(TOP / "tests" / "deploy" / "compose.test.yaml", folder)
        (folder / "settings.env").write_text("XQUEUE_PING_INTERVAL_S=40\n")
        path = folder / "workers.toml"
        queue = f"{HOST}:{self.port}"
        path.write_text(path.read_text().replace("xqueue.example.org:8443", queue))

    def __enter__(self):
        return self

    def __exit__(self, *_):
        try:
            self.worker("down", "--volumes", "--timeout", "5")
        finally:
            self.queue("down", "--volumes", "--timeout", "5")

    def queue(self, *arguments, stdin=None):
        """`docker-compose` on the queue's own project."""
        return self._compose(("compose.yaml", "compose.test.yaml"), self._project, arguments, stdin)

    def worker(self, *arguments):
        files = ("worker.yaml", "worker-nudged.yaml")
        return self._compose(files, f"{self._project}-worker", arguments, None)

    def server(self, *command, stdin=None):
        """A command of `xqueue-server` where the servers run."""
        return self.queue("exec", "-T", "server-a", "xqueue-server", *command, stdin=stdin)

    def is_healthy(self, service):
        return self._inspect(service, "{{.State.Health.Status}}") == ["healthy"]

    def reload_nginx(self):
        self.queue("exec", "-T", "nginx", "nginx", "-s", "reload")

    def addresses(self, service):
        """In each network that it is in."""
        each = "{{range .NetworkSettings.Networks}}{{.IPAddress}} {{end}}"
        return self._inspect(service, each)

    def _inspect(self, service, what):
        container = self.queue("ps", "-q", service).strip()
        return self._run("docker", "inspect", "--format", what, container).split()

    def in_reach_of_nginx(self, *arguments):
        """A container of an author, who sees nginx and not the database."""
        network = f"{self._project}_wakeups"
        certificate = f"{self.folder}/tls/ca.pem:/ca.pem:ro"
        return self._run(
            *("docker", "run", "--rm", "--network", network, "--volume", certificate),
            *("--env", "REQUESTS_CA_BUNDLE=/ca.pem", *arguments),
        )

    def connection(self):
        context = ssl.create_default_context(cafile=self.folder / "tls" / "ca.pem")
        return HttpsAs(HOST, self.port, context=context, timeout=60)

    def _set(self, **values):
        path = self.folder / ".env"
        lines = [line for line in path.read_text().splitlines() if line.split("=")[0] not in values]
        lines += [f"{name}={value}" for name, value in values.items()]
        path.write_text("\n".join(lines) + "\n")

    def _compose(self, files, project, arguments, stdin):
        named = [part for file in files for part in ("--file", file)]
        return self._run(
            "docker-compose", "--project-name", project, *named, *arguments, stdin=stdin
        )

    def _run(self, *command, stdin=None):
        done = subprocess.run(
            command, cwd=self.folder, input=stdin, capture_output=True, text=True, check=False
        )
        assert done.returncode == 0, f"{command}: {done.stdout[-2000:]}{done.stderr[-4000:]}"
        return done.stdout


class HttpsAs(http.client.HTTPSConnection):
    """To this machine, as a host whose name only the certificate knows."""

    def connect(self):
        plain = socket.create_connection(("127.0.0.1", self.port), self.timeout)
        self.sock = self._context.wrap_socket(plain, server_hostname=self.host)


class Client:
    """One account's session, over one connection that is opened again when it broke."""

    def __init__(self, machine, name, password):
        self._machine = machine
        self._cookie = ""
        _, reply = self.post("/xqueue/login/", username=name, password=password)
        assert reply["return_code"] == 0, reply

    def post(self, path, **form):
        return self._ask("POST", path, urlencode(form))

    def get(self, path):
        return self._ask("GET", path)

    def _ask(self, method, path, body=None):
        connection = self._machine.connection()
        headers = {"Cookie": self._cookie} if self._cookie else {}
        if body is not None:
            headers["Content-Type"] = "application/x-www-form-urlencoded"
        try:
            connection.request(method, path, body, headers)
            answer = connection.getresponse()
            text = answer.read().decode()
        finally:
            connection.close()
        for cookie in answer.headers.get_all("Set-Cookie") or ():
            if cookie.startswith("sessionid="):
                self._cookie = cookie.split(";")[0]
        return answer.status, json.loads(text) if text.startswith("{") else text
