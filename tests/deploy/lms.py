"""A stand-in LMS inside the Compose network: takes callbacks, and lists them at /callbacks."""

import json
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import parse_qs

TAKEN = []


class Lms(BaseHTTPRequestHandler):
    def do_POST(self):
        form = parse_qs(self.rfile.read(int(self.headers["Content-Length"])).decode())
        TAKEN.append({name: values[0] for name, values in form.items()})
        self._answer(b"OK")

    def do_GET(self):
        self._answer(json.dumps(TAKEN).encode())

    def _answer(self, body):
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_):
        pass


ThreadingHTTPServer(("0.0.0.0", 8090), Lms).serve_forever()
