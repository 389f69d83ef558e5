"""Somebody with a browser that runs no script: forms filled in and sent as a browser would."""

from __future__ import annotations

from dataclasses import dataclass
from html.parser import HTMLParser
from typing import Any

from flask import Flask
from werkzeug.test import TestResponse

from tests.server.builders import PASSWORD
from xqueue_server.web.admin import session

ORIGIN = "http://localhost"


@dataclass(frozen=True, slots=True, kw_only=True)
class Form:
    method: str
    action: str
    fields: dict[str, str]


class _Forms(HTMLParser):
    """Forms with what they would send if nobody changed anything, and the page's links."""

    def __init__(self) -> None:
        super().__init__()
        self.forms: list[Form] = []
        self.links: list[str] = []
        self._select: str | None = None

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        given = {name: value or "" for name, value in attrs}
        if tag == "a" and "href" in given:
            self.links.append(given["href"])
        if tag == "form":
            action = given.get("action", "")
            self.forms.append(Form(method=given.get("method", "get"), action=action, fields={}))
        if not self.forms or ("name" not in given and tag != "option"):
            return
        fields = self.forms[-1].fields
        if tag in ("input", "button", "textarea"):
            if given.get("type") not in ("checkbox", "radio") or "checked" in dict(attrs):
                fields.setdefault(given["name"], given.get("value", ""))
        elif tag == "select":
            self._select = given["name"]
        elif tag == "option" and self._select is not None:
            is_first = self._select not in fields
            if is_first or "selected" in dict(attrs):
                fields[self._select] = given.get("value", "")

    def handle_endtag(self, tag: str) -> None:
        if tag == "select":
            self._select = None


class Page:
    def __init__(self, response: TestResponse) -> None:
        self.status = response.status_code
        self.headers = response.headers
        self.text = response.get_data(as_text=True)
        parsed = _Forms()
        parsed.feed(self.text)
        self.forms = parsed.forms
        self.links = parsed.links

    def form(self, action: str) -> Form:
        found = [form for form in self.forms if form.action.partition("?")[0] == action]
        assert found, f"no form for {action}; there are {[f.action for f in self.forms]}"
        return found[0]

    def has_form(self, action: str) -> bool:
        return any(form.action.partition("?")[0] == action for form in self.forms)


class Visitor:
    """With cookies of their own. Redirects are followed, as a browser does."""

    def __init__(self, app: Flask) -> None:
        self.client = app.test_client()

    def carry(self, secret: str) -> None:
        """The cookie of a session that began elsewhere."""
        self.client.set_cookie(session.COOKIE, secret, path="/admin")

    def raw(self, method: str, path: str, **request: Any) -> TestResponse:
        return self.client.open(path, method=method, buffered=True, **request)

    def see(self, path: str, **query: str) -> Page:
        response = self.client.get(path, query_string=query or None, follow_redirects=True)
        return Page(response)

    def send(self, page: Page, action: str, **changed: str) -> Page:
        """Fill in the page's form and send it."""
        form = page.form(action)
        assert set(changed) <= set(form.fields), f"{set(changed) - set(form.fields)} not in {form}"
        fields = form.fields | changed
        if form.method.lower() == "get":
            return self.see(form.action, **fields)
        return self.post(form.action, **fields)

    def post(self, path: str, origin: str | None = ORIGIN, **fields: str) -> Page:
        headers = {} if origin is None else {"Origin": origin}
        return Page(self.client.post(path, data=fields, headers=headers, follow_redirects=True))

    def sign_in(self, name: str, password: str = PASSWORD) -> Page:
        return self.send(self.see("/admin/sign-in"), "/admin/sign-in", name=name, password=password)

    @property
    def csrf(self) -> str:
        """Of the present session, as any of its pages has it."""
        return self.see("/admin/").form("/admin/sign-out").fields["csrf"]
