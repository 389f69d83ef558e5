"""What a queue allows its graders, and where their faults are notified, in bodies and answers."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from xqueue_server.models.grader import FORGEABLE, ISOLATIONS
from xqueue_server.models.manifest_rules import RUNTIMES
from xqueue_server.settings import Settings, origin_of
from xqueue_server.storage.policies import Policy
from xqueue_server.web.api.reading import Fields
from xqueue_server.web.api.schema import NUMBER, TEXT, WHOLE, changes, nullable, one_of, record

MB = 1024 * 1024
CHOOSABLE = tuple(word for word in ISOLATIONS if word != FORGEABLE)
KEYS = (
    "max_wall_s",
    "max_memory_bytes",
    "max_cpus",
    "max_pids",
    "max_output_bytes",
    "legacy_reason",
    "isolation",
    "runtime",
    "webhook_url",
    "email",
)
MAX_REASON_CHARS = 1000
MAX_TARGET_CHARS = 320


def read_policy(fields: Fields, settings: Settings) -> dict[str, Any]:
    """The terms that are given; null takes one back. What is wrong is noted in `fields`."""
    terms: dict[str, Any] = {name: None for name in KEYS if fields.has(name)}
    given = {name for name in terms if fields.raw(name) is not None}
    readers: dict[str, Callable[[], Any]] = {
        "max_wall_s": lambda: fields.number("max_wall_s", 1, 86_400),
        "max_memory_bytes": lambda: fields.whole("max_memory_bytes", 16 * MB, 1024 * 1024 * MB),
        "max_cpus": lambda: fields.number("max_cpus", 0.1, 1024),
        "max_pids": lambda: fields.whole("max_pids", 4, 100_000),
        "max_output_bytes": lambda: fields.whole("max_output_bytes", 1024, 1024 * MB),
        "legacy_reason": lambda: fields.words("legacy_reason", most=MAX_REASON_CHARS),
        "isolation": lambda: fields.choice("isolation", CHOOSABLE),
        "runtime": lambda: fields.choice("runtime", RUNTIMES),
        "webhook_url": lambda: _webhook(fields, settings),
        "email": lambda: _email(fields, settings),
    }
    for name in given:
        terms[name] = readers[name]()
    if "runtime" in given and terms.get("isolation") != "split-container":
        fields.wrong("runtime", "goes with isolation split-container, in the same request")
    if "isolation" in terms and "runtime" not in given:
        terms["runtime"] = None
    return terms


def _webhook(fields: Fields, settings: Settings) -> str:
    url = fields.text("webhook_url", most=2048)
    origin = origin_of(url)
    if url and (origin is None or " " in url):
        fields.wrong("webhook_url", "must be an http(s) URL without a user name")
    elif origin and not origin.startswith("https://") and origin not in settings.webhook_origins:
        fields.wrong("webhook_url", "must be https, or allowed with XQUEUE_WEBHOOK_ORIGINS")
    return url


def _email(fields: Fields, settings: Settings) -> str:
    address = fields.text("email", most=MAX_TARGET_CHARS)
    local, at, domain = address.rpartition("@")
    if address and (not (local and at and domain) or " " in address):
        fields.wrong("email", "must be an address like staff@example.org")
    elif address and settings.mail is None:
        fields.wrong("email", "needs a mail server: XQUEUE_SMTP_SERVER and XQUEUE_SMTP_FROM")
    return address


def policy_document(policy: Policy) -> dict[str, Any]:
    """Of a webhook only where it goes: its path may be a secret."""
    return {
        "max_wall_s": policy.max_wall_s,
        "max_memory_bytes": policy.max_memory_bytes,
        "max_cpus": policy.max_cpus,
        "max_pids": policy.max_pids,
        "max_output_bytes": policy.max_output_bytes,
        "legacy_reason": policy.legacy_reason,
        "isolation": policy.isolation,
        "runtime": policy.runtime,
        "webhook_origin": policy.webhook_url and origin_of(policy.webhook_url),
        "email": policy.email,
    }


_CEILINGS = {
    "max_wall_s": nullable(NUMBER),
    "max_memory_bytes": nullable(WHOLE),
    "max_cpus": nullable(NUMBER),
    "max_pids": nullable(WHOLE),
    "max_output_bytes": nullable(WHOLE),
    "legacy_reason": nullable(TEXT),
    "isolation": nullable(one_of(CHOOSABLE)),
    "runtime": nullable(one_of(RUNTIMES)),
}
POLICY = record("QueuePolicy", **_CEILINGS, webhook_origin=nullable(TEXT), email=nullable(TEXT))
POLICY_CHANGES = changes(
    "QueuePolicyChanges", **_CEILINGS, webhook_url=nullable(TEXT), email=nullable(TEXT)
)
