"""The flags of sandboxd that only mean something with Docker."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

import click

from sandbox.backends.docker import DockerSettings, PoolSettings
from sandbox.backends.docker.settings import SlotSettings
from sandbox.run import MIB

POOL_SIZE = 4
POOL_MEMORY_MIB = 512
IDLE_EXPIRY_S = 900.0
SLOTS = SlotSettings()
REGISTRY = re.compile(r"[A-Za-z0-9.-]+(:[0-9]{1,5})?")

_OPTIONS = (
    click.option(
        "--pool-size",
        type=click.IntRange(0),
        help=f"Containers kept ready for each image and limits; 0 for none [{POOL_SIZE}].",
    ),
    click.option(
        "--pool-memory",
        type=click.IntRange(1),
        metavar="MIB",
        help=f"What all containers that wait may take together [{POOL_MEMORY_MIB}].",
    ),
    click.option(
        "--idle-expiry",
        type=click.FloatRange(1),
        metavar="SECONDS",
        help=f"After this long without a submission none are kept ready [{IDLE_EXPIRY_S:g}].",
    ),
    click.option(
        "--slots",
        type=click.IntRange(0),
        help="Containers of isolation box kept between submissions, all languages together"
        f" [{SLOTS.most_waiting}: twice the cores].",
    ),
    click.option(
        "--slot-uses",
        type=click.IntRange(1),
        help=f"Submissions graded in one of those before a new one replaces it [{SLOTS.uses}].",
    ),
    click.option(
        "--registry",
        "registries",
        multiple=True,
        metavar="HOST",
        help="Images of graders may be fetched from this HOST or HOST:PORT; may be repeated"
        " [none].",
    ),
    click.option(
        "--allow-legacy",
        multiple=True,
        metavar="IMAGE=REASON",
        help="Run this image without isolation inside: learners can forge its grades.",
    ),
)


def docker_options(command: Callable[..., Any]) -> Callable[..., Any]:
    for option in reversed(_OPTIONS):
        command = option(command)
    return command


def docker_settings(
    backend: str,
    *,
    pool_size: int | None,
    pool_memory: int | None,
    idle_expiry: float | None,
    slots: int | None,
    slot_uses: int | None,
    registries: tuple[str, ...],
    allow_legacy: tuple[str, ...],
) -> DockerSettings:
    """Raises click.UsageError for flags that the backend would not follow."""
    given = (pool_size, pool_memory, idle_expiry, slots, slot_uses)
    given_here = registries or allow_legacy or any(value is not None for value in given)
    if backend != "docker" and given_here:
        raise click.UsageError("pools, slots and images need --backend docker")
    return DockerSettings(
        pool=PoolSettings(
            size=POOL_SIZE if pool_size is None else pool_size,
            memory_bytes=(pool_memory or POOL_MEMORY_MIB) * MIB,
            idle_expiry_s=idle_expiry or IDLE_EXPIRY_S,
        ),
        slots=SlotSettings(
            most_waiting=SLOTS.most_waiting if slots is None else slots,
            uses=slot_uses or SLOTS.uses,
            idle_expiry_s=idle_expiry or SLOTS.idle_expiry_s,
        ),
        registries=frozenset(map(_registry, registries)),
        allow_legacy=dict(map(_reasoned, allow_legacy)),
    )


def _registry(text: str) -> str:
    if not REGISTRY.fullmatch(text):
        raise click.UsageError(f"--registry: {text!r} is not HOST or HOST:PORT")
    return text


def _reasoned(value: str) -> tuple[str, str]:
    image, _, reason = value.partition("=")
    if not image or not reason.strip():
        raise click.UsageError(f"--allow-legacy {value}: write IMAGE=REASON")
    return image, reason.strip()
