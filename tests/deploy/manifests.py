"""The folder of Kustomize files as an operator has it, rendered by kubectl itself."""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

TOP = Path(__file__).parents[2]
SOURCE = TOP / "deploy" / "kubernetes"
Manifest = Mapping[str, Any]

SECRETS = {
    "production": ("database_url", "redis_url", "secret_key", "s3_secret_key"),
    "monitoring": ("metrics_token",),
    "workers": ("worker_password", "scaling_token"),
}
"""What operators make by hand; the trial has a script."""
BY_OTHERS = {("Secret", "xqueue-tls")}
"""The certificate: cert-manager's, or the operator's own."""


def operators_copy(folder: Path) -> Path:
    """deploy/kubernetes with secrets made as its files say, beside deploy/observability."""
    copy = folder / "deploy" / "kubernetes"
    ignored = shutil.ignore_patterns("secrets")
    shutil.copytree(SOURCE, copy, ignore=ignored)
    shutil.copytree(TOP / "deploy" / "observability", folder / "deploy" / "observability")
    for overlay, names in SECRETS.items():
        (copy / "overlays" / overlay / "secrets").mkdir()
        for name in names:
            (copy / "overlays" / overlay / "secrets" / name).write_text(f"{name} of a test")
    subprocess.run([copy / "overlays" / "trial" / "make-secrets.sh"], check=True)
    _make_production_with_s3(copy / "overlays")
    return copy


def _make_production_with_s3(overlays: Path) -> None:
    """As the comment in production's file says."""
    shutil.copytree(overlays / "production", overlays / "production-s3")
    path = overlays / "production-s3" / "kustomization.yaml"
    text = path.read_text()
    for said in ("components: [../../components/s3]", "  - secrets/s3_secret_key"):
        assert f"# {said}" in text
    text = text.replace("# components:", "components:")
    last = "      - secrets/secret_key\n"
    path.write_text(text.replace(last, f"{last}      - secrets/s3_secret_key\n"))


def rendered(folder: Path) -> list[Manifest]:
    done = subprocess.run(
        ["kubectl", "kustomize", folder], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    assert "deprecated" not in done.stderr.lower()
    return [each for each in yaml.safe_load_all(done.stdout) if each]


def name_of(manifest: Manifest) -> tuple[str, str]:
    return manifest["kind"], manifest["metadata"]["name"]


@dataclass(frozen=True, kw_only=True)
class Pods:
    """What one Deployment, StatefulSet or Job starts."""

    owner: str
    labels: Mapping[str, str]
    spec: Mapping[str, Any]
    manifest: Manifest

    @property
    def containers(self) -> Sequence[Mapping[str, Any]]:
        return [*self.spec.get("initContainers", ()), *self.spec["containers"]]

    @property
    def ports(self) -> Mapping[str, int]:
        return {
            port["name"]: port["containerPort"]
            for container in self.containers
            for port in container.get("ports", ())
        }


def all_pods(manifests: Sequence[Manifest]) -> list[Pods]:
    return [
        Pods(
            owner="/".join(name_of(each)),
            labels=each["spec"]["template"]["metadata"]["labels"],
            spec=each["spec"]["template"]["spec"],
            manifest=each,
        )
        for each in manifests
        if each["kind"] in ("Deployment", "StatefulSet", "Job")
    ]


def matches(selector: Mapping[str, Any], labels: Mapping[str, str]) -> bool:
    """An empty selector takes everything."""
    exact = all(labels.get(key) == value for key, value in selector.get("matchLabels", {}).items())
    return exact and all(
        labels.get(each["key"]) in each["values"] for each in selector.get("matchExpressions", ())
    )


def references(manifests: Sequence[Manifest]) -> Iterator[tuple[str, str]]:
    """(kind, name) of everything that must exist for these to work."""
    for pods in all_pods(manifests):
        yield "ServiceAccount", pods.spec.get("serviceAccountName", "default")
        for volume in pods.spec.get("volumes", ()):
            yield from _of_volume(volume)
        for container in pods.containers:
            for source in container.get("envFrom", ()):
                yield from ((k, v["name"]) for k, v in _kinds(source))
    for each in manifests:
        yield from _of_other(each)


def _of_volume(volume: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    if "secret" in volume:
        yield "Secret", volume["secret"]["secretName"]
    if "configMap" in volume:
        yield "ConfigMap", volume["configMap"]["name"]
    if "persistentVolumeClaim" in volume:
        yield "PersistentVolumeClaim", volume["persistentVolumeClaim"]["claimName"]


def _kinds(source: Mapping[str, Any]) -> Iterator[tuple[str, Any]]:
    known = {"configMapRef": "ConfigMap", "secretRef": "Secret"}
    yield from ((known[key], value) for key, value in source.items())


def _of_other(each: Manifest) -> Iterator[tuple[str, str]]:
    spec = each.get("spec", {})
    if each["kind"] in ("HorizontalPodAutoscaler", "ScaledObject"):
        target = spec["scaleTargetRef"]
        yield target.get("kind", "Deployment"), target["name"]
    if each["kind"] == "ScaledObject":
        for trigger in spec["triggers"]:
            yield "TriggerAuthentication", trigger["authenticationRef"]["name"]
    if each["kind"] == "TriggerAuthentication":
        yield from (("Secret", one["name"]) for one in spec["secretTargetRef"])
    if each["kind"] == "ServiceMonitor":
        for endpoint in spec["endpoints"]:
            yield "Secret", endpoint["authorization"]["credentials"]["name"]
    if each["kind"] == "Ingress":
        yield from (("Secret", tls["secretName"]) for tls in spec["tls"])
        for rule in spec["rules"]:
            yield from (("Service", p["backend"]["service"]["name"]) for p in rule["http"]["paths"])
    if each["kind"] == "StatefulSet":
        yield "Service", spec["serviceName"]
