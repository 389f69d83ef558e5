"""Adds the queue to an Open edX that Tutor runs, beside tutor-xqueue or in its place.

Every name is the plugin's own, so that both may run: the LMS talks to ours only once
XQUEUEGRADER_TAKE_OVER is true.
"""

from __future__ import annotations

from pathlib import Path

import click
from tutor import config as tutor_config
from tutor import fmt, hooks

HERE = Path(__file__).parent
# After tutor-xqueue's: where both write the LMS's setting, the later one counts.
LAST = hooks.priorities.LOW

hooks.Filters.CONFIG_DEFAULTS.add_items(
    [
        ("XQUEUEGRADER_DOCKER_IMAGE", "xqueue/server:local"),
        ("XQUEUEGRADER_POSTGRES_DOCKER_IMAGE", "docker.io/postgres:16"),
        ("XQUEUEGRADER_HOST", "xqueue-grader.{{ LMS_HOST }}"),
        ("XQUEUEGRADER_AUTH_USERNAME", "lms"),
        ("XQUEUEGRADER_WORKER_USERNAME", "workers"),
        ("XQUEUEGRADER_QUEUES", ["default"]),
        # The LMS's addresses, to which alone grades are sent.
        (
            "XQUEUEGRADER_LMS_ORIGINS",
            "{% if ENABLE_HTTPS %}https{% else %}http{% endif %}://{{ LMS_HOST }},http://lms:8000",
        ),
        ("XQUEUEGRADER_REDIS_DB", 2),
        ("XQUEUEGRADER_SERVER_WORKERS", 2),
        ("XQUEUEGRADER_TAKE_OVER", False),
        # Proctored exams: this queue is edx-proctoring's provider, or the service that keeps exams.
        ("XQUEUEGRADER_PROCTORING_PROVIDER", False),
        ("XQUEUEGRADER_EXAM_SERVICE", False),
        ("XQUEUEGRADER_PROCTORING_CLIENT_ID", "lms"),
        ("XQUEUEGRADER_EXAM_SERVICE_USERNAME", "xqueuegrader_exams"),
    ]
)
hooks.Filters.CONFIG_UNIQUE.add_items(
    [
        ("XQUEUEGRADER_AUTH_PASSWORD", "{{ 20|random_string }}"),
        ("XQUEUEGRADER_WORKER_PASSWORD", "{{ 20|random_string }}"),
        ("XQUEUEGRADER_POSTGRES_PASSWORD", "{{ 20|random_string }}"),
        ("XQUEUEGRADER_SECRET_KEY", "{{ 40|random_string }}"),
        ("XQUEUEGRADER_PROCTORING_CLIENT_SECRET", "{{ 40|random_string }}"),
        ("XQUEUEGRADER_PROCTORING_OAUTH_SECRET", "{{ 40|random_string }}"),
        ("XQUEUEGRADER_PROCTORING_OBFUSCATION_KEY", "{{ 40|random_string }}"),
    ]
)

hooks.Filters.ENV_TEMPLATE_ROOTS.add_item(str(HERE / "templates"))
for patch in sorted((HERE / "patches").iterdir()):
    hooks.Filters.ENV_PATCHES.add_item((patch.name, patch.read_text()), priority=LAST)
# Where the image of the LMS is built.
hooks.Filters.ENV_TEMPLATE_TARGETS.add_item(("xqueuegrader/proctoring-backend", "build/openedx"))
for service, task in (("xqueuegrader", "init"), ("lms", "init-lms")):
    hooks.Filters.CLI_DO_INIT_TASKS.add_item(
        (service, (HERE / "templates" / "xqueuegrader" / "tasks" / task).read_text())
    )
hooks.Filters.IMAGES_PULL.add_item(
    ("xqueuegrader-postgres", "{{ XQUEUEGRADER_POSTGRES_DOCKER_IMAGE }}")
)


@hooks.Filters.APP_PUBLIC_HOSTS.add()
def _public_host(hosts: list[str], _context_name: str) -> list[str]:
    return [*hosts, "{{ XQUEUEGRADER_HOST }}"]


# -- commands ------------------------------------------------------------------------------------

# tutor-xqueue's name -> ours: with its credentials the LMS can be switched and switched back.
IMPORTED = {
    "XQUEUE_AUTH_USERNAME": "XQUEUEGRADER_AUTH_USERNAME",
    "XQUEUE_AUTH_PASSWORD": "XQUEUEGRADER_AUTH_PASSWORD",
}


@click.group(help="The queue for coderesponse problems (xqueue-grader)")
def xqueuegrader() -> None:
    pass


@xqueuegrader.command(
    name="import-config", help="Take over the LMS's account of tutor-xqueue; it stays as it is."
)
@click.pass_obj
def import_config(context: click.Context) -> None:
    config = tutor_config.load_minimal(context.root)
    present = tutor_config.load_full(context.root)
    found = {
        ours: tutor_config.get_typed(present, theirs, str, "")
        for theirs, ours in IMPORTED.items()
        if theirs in present
    }
    if not found:
        raise click.ClickException("there are no XQUEUE_* values: is tutor-xqueue enabled?")
    config.update(found)
    tutor_config.save_config_file(context.root, config)
    fmt.echo_info(f"Set {', '.join(sorted(found))}. Now: tutor config save, and the init task.")


@click.command(
    name="xqueue-server",
    help="Run a command of xqueue-server, like: xqueue-server submission list --state held",
    context_settings={"ignore_unknown_options": True},
)
@click.argument("arguments", nargs=-1, type=click.UNPROCESSED)
def run_server_command(arguments: tuple[str, ...]) -> list[tuple[str, str]]:
    quoted = " ".join("'" + argument.replace("'", "'\\''") + "'" for argument in arguments)
    return [("xqueuegrader", f"xqueue-server {quoted}")]


hooks.Filters.CLI_COMMANDS.add_item(xqueuegrader)
hooks.Filters.CLI_DO_COMMANDS.add_item(run_server_command)
