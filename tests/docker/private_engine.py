"""A Docker daemon beside the host's own, with everything of it in one folder."""

import json
import os
import signal
import socket
import subprocess
import time
from contextlib import suppress

from tests.support.services import missing_service

PATIENCE_S = 120.0
DISK_BYTES = 700 * 1024 * 1024
"""In memory; small enough to be filled in a moment."""


class PrivateEngine:
    """Started on entry; on exit it and its containers are gone."""

    def __init__(self, folder, *, maps_users=False, group=None):
        self._folder = folder
        self._config = {"userns-remap": "default"} if maps_users else {}
        if group is not None:  # who may use the socket
            self._config["group"] = group
        self._socket = folder / "docker.sock"
        self._data = folder / "data"
        self._process = None
        self.address = f"unix://{self._socket}"

    def __enter__(self):
        if os.geteuid() != 0:
            missing_service("root, who may start a Docker Engine")
        self._data.mkdir()
        options = f"size={DISK_BYTES}"
        subprocess.run(["mount", "-t", "tmpfs", "-o", options, "tmpfs", self._data], check=True)
        (self._folder / "daemon.json").write_text(json.dumps(self._config))
        self.start()
        return self

    def __exit__(self, *_):
        self.resume()
        # Politely, so that it takes its containers and its containerd along.
        self._process.terminate()
        self._process.wait(PATIENCE_S)
        subprocess.run(["umount", "--lazy", self._data], check=True)

    def start(self):
        with (self._folder / "log").open("ab") as log:
            self._process = subprocess.Popen(self._command(), stdout=log, stderr=log)
        until = time.monotonic() + PATIENCE_S
        while not self._answers():
            assert time.monotonic() < until, (self._folder / "log").read_text()[-2000:]
            time.sleep(0.05)

    def hang(self):
        self._process.send_signal(signal.SIGSTOP)

    def resume(self):
        self._process.send_signal(signal.SIGCONT)

    def kill(self):
        """At once, and its containerd with it. The containers stay for the next one to find."""
        containerd = self._folder / "exec" / "containerd" / "containerd.pid"
        self._process.kill()
        self._process.wait()
        with suppress(ProcessLookupError):
            os.kill(int(containerd.read_text()), signal.SIGKILL)
        # Where nobody collects it, its process stays as a zombie that the next daemon waits for.
        containerd.unlink()

    def docker(self, *arguments):
        command = ["docker", "--host", self.address, *arguments]
        return subprocess.run(command, capture_output=True, text=True, check=True).stdout

    def fill_disk(self):
        with (self._data / "filling").open("wb") as file:
            try:
                while True:
                    file.write(bytes(1 << 20))
            except OSError:
                return

    def empty_disk(self):
        (self._data / "filling").unlink()

    def _command(self):
        places = {
            "data-root": self._data,
            "exec-root": self._folder / "exec",
            "pidfile": self._folder / "pid",
            "config-file": self._folder / "daemon.json",
            "host": self.address,
        }
        # Nothing that the host's own engine has set up is touched.
        apart = ["bridge=none", "iptables=false", "ip6tables=false", "ip-forward=false"]
        options = [*apart, "ip-masq=false", *(f"{name}={path}" for name, path in places.items())]
        # In a network of its own: with `bridge=none` an engine removes docker0, the host's too.
        return ["unshare", "--net", "dockerd", *(f"--{option}" for option in options)]

    def _answers(self):
        with socket.socket(socket.AF_UNIX) as client:
            client.settimeout(1)
            try:
                client.connect(str(self._socket))
                client.sendall(b"GET /_ping HTTP/1.0\r\n\r\n")
                return b"200" in client.recv(100)
            except OSError:
                return False
