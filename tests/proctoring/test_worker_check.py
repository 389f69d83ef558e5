"""Looking at bundles: each way to be none is found, and what is one is left in peace."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from socket import socket

import pytest
from flask import Flask, Response, redirect

from proctoring_hooks.web.worker_assets import PREFIX
from proctoring_hooks.worker.bundles import our_source
from proctoring_hooks.worker.check import Level, check_worker
from proctoring_hooks.worker.javascript import NotJavaScript, tokens
from tests.proctoring.worker_site import FakeLiveness, Hours, application, serving

GOOD = our_source().decode()
ANSWERS = """
self.onmessage = function (e) {
  var say = { startExamAttempt: 'examAttemptStarted', ping: "echo",
    endExamAttempt: `examAttemptEnded`, a: 'examAttemptStartFailed',
    b: 'pingFailed', c: 'examAttemptEndFailed' };
  postMessage({ type: say[e.data.type] });
};
"""


def findings(folder: Path, script: str) -> list[tuple[str, str]]:
    path = folder / "x.js"
    path.write_text(script)
    found = check_worker(str(path))
    assert {each.where for each in found} <= {str(path)}
    return [(each.level.value, each.text) for each in found]


# -- scripts -------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "script",
    [
        GOOD,
        ANSWERS,
        ANSWERS + "var root = typeof window !== 'undefined' ? window : self;",
        ANSWERS + "if (typeof document === 'object') { var x = document.body; }",
        ANSWERS + "function page() { return window.x; } var w = typeof window;",
        ANSWERS + "var window = self; window.setTimeout(f, 1);",
        ANSWERS + "(function (window) { window.x = 1; })(self);",
        ANSWERS
        + "// window.alert()\n/* document.body */ var s = 'window'; x.window = { document: 1 };",
        ANSWERS + "var r = /window[/\"]document/g, q = a / b / c; import('x');",
        ANSWERS + "if (x) /['\"]/.test(y); var z = f(x) / 2 + '/';",
        ANSWERS + "var t = `a ${ {a: `b ${1}`}.a } window`;",
    ],
)
def test_a_worker_is_left_in_peace(tmp_path: Path, script: str) -> None:
    assert findings(tmp_path, script) == []


@pytest.mark.parametrize(
    ("script", "words"),
    [
        ("", "is empty"),
        (" \n", "is empty"),
        ("\n<!DOCTYPE html><html></html>", "is an HTML page, not JavaScript"),
        (GOOD[: len(GOOD) // 2], "is cut off"),
        (ANSWERS + "}", "a '}' too many"),
        (ANSWERS + "var x = 'unended\n;", "can not be read"),
        ("import x from 'y';\n" + ANSWERS, "is a module"),
        (ANSWERS + "export default 1;", "is a module"),
        (ANSWERS + "window.alert(1);", "uses `window`"),
        (ANSWERS + "var b = document.body;", "uses `document`"),
        (ANSWERS + "(function () { window.alert(1); })();", "uses `window`"),
        (ANSWERS + "(() => { var x = typeof window; document.x; })();", "uses `document`"),
        (ANSWERS + "function never() { window.alert(1); }", "uses `window`"),
        (ANSWERS + "var t = typeof window; window.alert(1);", "uses `window`"),
        (ANSWERS + "var t = typeof window;(function () { window.x; }());", "uses `window`"),
        (ANSWERS + "var t = `${window.name}`;", "uses `window`"),
        (ANSWERS.replace("echo", "pong"), "does not answer `ping` with `echo`"),
        (ANSWERS.replace("startExamAttempt:", "start:"), "does not answer `startExamAttempt`"),
        (ANSWERS.replace("examAttemptEnded", "over"), "does not answer `endExamAttempt`"),
        ("self.onmessage = null;", "does not answer `ping`"),
    ],
)
def test_what_is_no_worker_is_an_error(tmp_path: Path, script: str, words: str) -> None:
    found = findings(tmp_path, script)
    assert found
    assert found[0][0] == "error"
    assert any(words in text for level, text in found if level == "error"), found


@pytest.mark.parametrize(
    ("script", "words"),
    [
        (ANSWERS.replace("pingFailed", "x"), "never says `pingFailed`"),
        (ANSWERS + "importScripts('https://x.example.org/y.js');", "does not stand alone"),
        (f"eval({json.dumps(ANSWERS)});", "uses `eval`"),
    ],
)
def test_what_may_work_is_a_warning(tmp_path: Path, script: str, words: str) -> None:
    (found,) = findings(tmp_path, script)
    assert found[0] == "warning"
    assert words in found[1]


def test_a_page_in_an_eval_is_found_too(tmp_path: Path) -> None:
    found = findings(tmp_path, f"eval({json.dumps(ANSWERS + 'window.x()')});")
    assert ("error", "uses `window`, which no worker has") in found


@pytest.mark.parametrize(
    "text", ["(]", "}", "`a ${1", "`", "'", "{", "/*", "/[", "a = /b\n/", "\x00"]
)
def test_no_text_makes_reading_fail_otherwise(text: str) -> None:
    with pytest.raises(NotJavaScript):
        tokens(text)


# -- directories ---------------------------------------------------------------------------------


def test_a_directory(tmp_path: Path) -> None:
    (found,) = check_worker(str(tmp_path))
    assert found.text == "there is no bundle: no file *.js"
    (tmp_path / "fine.js").write_text(GOOD)
    assert check_worker(str(tmp_path)) == []
    (tmp_path / "broken.js").write_text("<html>")
    assert [finding.level for finding in check_worker(str(tmp_path))] == [Level.ERROR] * 2
    (tmp_path / "broken.js").unlink()
    (tmp_path / "dangling.js").symlink_to(tmp_path / "nowhere")
    (dangling,) = check_worker(str(tmp_path))
    assert dangling.text == "can not be read: No such file or directory"
    (gone,) = check_worker(str(tmp_path / "gone"))
    assert gone.text == "there is no such file or directory"


# -- addresses -----------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def host() -> Iterator[str]:
    app = Flask("hosts")
    good = {"X-Content-Type-Options": "nosniff", "Cross-Origin-Resource-Policy": "cross-origin"}

    @app.get("/good.js")
    def good_one() -> Response:
        return Response(GOOD, mimetype="text/javascript", headers=good)

    @app.get("/bare.js")
    def bare() -> Response:
        return Response(GOOD, mimetype="application/javascript")

    @app.get("/plain.js")
    def plain() -> Response:
        return Response(GOOD, mimetype="text/plain", headers=good)

    @app.get("/page.js")
    def page() -> Response:
        return Response("<!doctype html>", mimetype="text/html", headers=good)

    @app.get("/empty.js")
    def empty() -> Response:
        return Response("", mimetype="text/javascript", headers=good)

    @app.get("/moved.js")
    def moved() -> Response:
        return redirect("/good.js")  # type: ignore[return-value]

    @app.get("/stats/<name>.json")
    def stats(name: str) -> Response:
        assets = {"w.js": {"name": "w.js", "publicPath": "/good.js"}}
        documents = {
            "good": {"status": "done", "chunks": {"w": ["w.js"]}, "assets": assets},
            "none": {"status": "done", "chunks": {}, "assets": {}},
            "error": {"status": "error", "chunks": {"w": ["w.js"]}, "assets": assets},
            "root": {
                "status": "done",
                "chunks": {"w": ["w"]},
                "assets": {"w": {"publicPath": "/"}},
            },
            "other": {"hello": 1},
        }
        return Response(json.dumps(documents[name]), mimetype="application/json")

    with serving(app) as url:
        yield url


@pytest.mark.parametrize(
    ("path", "words"),
    [
        ("/plain.js", "has the type text/plain"),
        ("/page.js", "has the type text/html"),
        ("/page.js", "is an HTML page"),
        ("/empty.js", "is empty"),
        ("/moved.js", "redirects to /good.js"),
        ("/gone.js", "is missing: the answer is 404"),
        ("", "its own root where its build has no bundle"),
        ("/", "its own root where its build has no bundle"),
        ("/stats/none.json", "names no bundle"),
        ("/stats/error.json", "the build's status is 'error'"),
        ("/stats/root.json", "its own root where its build has no bundle"),
        ("/stats/other.json", "is no statistics file"),
        ("/good.js.json", "is missing: the answer is 404"),
    ],
)
def test_an_address_without_a_worker_is_an_error(host: str, path: str, words: str) -> None:
    found = check_worker(host + path)
    assert any(words in each.text for each in found if each.level is Level.ERROR), found


@pytest.mark.parametrize("path", ["/good.js", "/stats/good.json"])
def test_an_address_of_a_worker(host: str, path: str) -> None:
    assert check_worker(host + path) == []


def test_headers_that_only_some_pages_need_are_a_warning(host: str) -> None:
    assert [each.level for each in check_worker(f"{host}/bare.js")] == [Level.WARNING] * 2


def test_an_address_that_is_none() -> None:
    (found,) = check_worker("http://[")
    assert found.level is Level.ERROR


def test_a_server_that_is_not_there() -> None:
    with socket() as taken:  # nobody listens, and nobody else is given the port meanwhile
        taken.bind(("127.0.0.1", 0))
        (found,) = check_worker(f"http://127.0.0.1:{taken.getsockname()[1]}/x.js")
    assert found.text == "can not be fetched: ConnectionError"


def test_what_we_host_ourselves_is_in_order() -> None:
    held: list[Flask] = []
    with serving(lambda *call: held[0](*call)) as url:
        held.append(application(FakeLiveness({}), Hours(), host=url))
        assert check_worker(f"{url}{PREFIX}/webpack-worker-stats.json") == []
