"""The Kustomize files: rendered by kubectl, valid for Kubernetes, and of one piece with each other
and with the programs that they start."""

import os
import re
import shutil
import subprocess
import tomllib
from urllib.parse import parse_qs, urlsplit

import jsonschema
import pytest
import yaml
from kubernetes_validate import latest_version, validate

from grader_worker.settings import load_settings
from tests.deploy.custom_resources import SPECS, schema_of
from tests.deploy.manifests import (
    BY_OTHERS,
    SOURCE,
    TOP,
    all_pods,
    matches,
    name_of,
    operators_copy,
    references,
    rendered,
)
from tests.docs.quoted import PROGRAMS, Quoted, Wrong, require_accepted
from tests.support.services import missing_service
from xqueue_server.live import process, serving
from xqueue_server.settings import SETTINGS, load
from xqueue_server.web.api.operating import scaling

OVERLAYS = ("trial", "production", "production-s3", "monitoring", "workers")
INSTALLATIONS = ("trial", "production", "production-s3")
OLDEST = 28
NEWEST = int(latest_version().split(".")[1])


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    if shutil.which("kubectl") is None:
        missing_service("kubectl")
    return operators_copy(tmp_path_factory.mktemp("kubernetes"))


@pytest.fixture(scope="module")
def by_overlay(folder):
    return {name: rendered(folder / "overlays" / name) for name in OVERLAYS}


@pytest.fixture(params=OVERLAYS)
def overlay(request, by_overlay):
    return by_overlay[request.param]


@pytest.fixture(params=INSTALLATIONS)
def installation(request, by_overlay):
    return by_overlay[request.param]


def found(manifests, kind, name):
    """By the name without the hash that Kustomize adds."""
    return next(
        each
        for each in manifests
        if each["kind"] == kind and re.sub(r"-[a-z0-9]{10}$", "", each["metadata"]["name"]) == name
    )


def of_kind(manifests, kind):
    return [each for each in manifests if each["kind"] == kind]


# -- valid ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("minor", range(OLDEST, NEWEST + 1))
def test_every_object_is_valid(overlay, minor):
    for each in overlay:
        if (each["apiVersion"], each["kind"]) not in SPECS:
            validate(each, f"1.{minor}", strict=True)


def test_every_object_of_other_projects_is_as_their_references_have_it(by_overlay):
    seen = set()
    for each in by_overlay["monitoring"] + by_overlay["workers"]:
        key = (each["apiVersion"], each["kind"])
        if key in SPECS:
            jsonschema.validate(each, schema_of(*key))
            seen.add(key)
    assert seen == SPECS.keys()


def test_a_misspelt_field_is_noticed(by_overlay):
    scaled = found(by_overlay["workers"], "ScaledObject", "workers")
    wrong = {**scaled, "spec": {**scaled["spec"], "maxReplicas": 3}}
    with pytest.raises(jsonschema.ValidationError, match="maxReplicas"):
        jsonschema.validate(wrong, schema_of(wrong["apiVersion"], wrong["kind"]))


def test_the_objects_that_the_page_shows_are_valid():
    text = (TOP / "docs" / "how-to" / "kubernetes.md").read_text()
    blocks = re.findall(r"^```yaml\n(.+?)^```", text, re.MULTILINE | re.DOTALL)
    assert {validated(block) for block in blocks} == {"NetworkPolicy", "Ingress"}


def validated(text):
    shown = yaml.safe_load(text)
    validate(shown, f"1.{OLDEST}", strict=True)
    return shown["kind"]


def test_secrets_that_operators_make_are_not_committed():
    for overlay in ("trial", "production", "monitoring", "workers"):
        path = SOURCE / "overlays" / overlay / "secrets" / "any"
        asked = ["git", "check-ignore", "--quiet", "--no-index", path]
        assert subprocess.run(asked, cwd=TOP, check=False).returncode == 0


def test_the_example_of_the_secret_has_what_is_mounted_and_is_applied_by_nothing(by_overlay):
    example = yaml.safe_load((SOURCE / "base" / "secret.example.yaml").read_text())
    made = found(by_overlay["production"], "Secret", "xqueue-server")
    assert example["stringData"].keys() == made["data"].keys()
    resources = [
        name
        for path in SOURCE.rglob("kustomization.yaml")
        for name in yaml.safe_load(path.read_text())["resources"]
    ]
    assert [name for name in resources if "secret" in name] == []


# -- of one piece --------------------------------------------------------------------------------


def test_whatever_is_referred_to_exists(overlay):
    there = {name_of(each) for each in overlay} | BY_OTHERS | {("ServiceAccount", "default")}
    assert set(references(overlay)) - there == set()


def test_everything_is_in_the_namespace_that_is_made(overlay):
    inside = {each["metadata"].get("namespace") for each in overlay if each["kind"] != "Namespace"}
    made = {each["metadata"]["name"] for each in of_kind(overlay, "Namespace")}
    assert len(inside) == 1
    assert made <= inside


def test_every_selector_selects_exactly_its_own(overlay):
    pods = all_pods(overlay)
    for each in pods:
        if "selector" in each.manifest["spec"]:
            selector = each.manifest["spec"]["selector"]
            taken = [other.owner for other in pods if matches(selector, other.labels)]
            assert taken == [each.owner]
        for spread in each.spec.get("topologySpreadConstraints", ()):
            assert matches(spread["labelSelector"], each.labels)


def test_every_service_budget_and_autoscaler_has_pods(overlay):
    pods = all_pods(overlay)
    for each in of_kind(overlay, "Service"):
        served = [p for p in pods if matches({"matchLabels": each["spec"]["selector"]}, p.labels)]
        assert len(served) == 1, name_of(each)
        for port in each["spec"]["ports"]:
            assert served[0].ports[port["targetPort"]] == port["port"]
    for each in of_kind(overlay, "PodDisruptionBudget"):
        (kept,) = [p for p in pods if matches(each["spec"]["selector"], p.labels)]
        few = kept.manifest["spec"].get("replicas", 3)
        assert each["spec"].get("minAvailable", 0) < few, "a node could never be drained"


def paths_of(manifests):
    """Path -> the backend's Service, of all Ingresses."""
    return {
        path["path"]: path["backend"]["service"]
        for ingress in of_kind(manifests, "Ingress")
        for rule in ingress["spec"]["rules"]
        for path in rule["http"]["paths"]
    }


def test_probes_and_ingresses_name_ports_that_are_there(installation):
    for pods in all_pods(installation):
        for container in pods.containers:
            for probe in ("readinessProbe", "livenessProbe"):
                if "httpGet" in container.get(probe, {}):
                    assert container[probe]["httpGet"]["port"] in pods.ports
    for backend in paths_of(installation).values():
        service = found(installation, "Service", backend["name"])
        assert backend["port"]["name"] in [each["name"] for each in service["spec"]["ports"]]


def test_streams_go_to_the_process_that_streams_and_all_else_to_servers(installation):
    chosen = {path: backend["name"] for path, backend in paths_of(installation).items()}
    assert chosen == {"/": "server", serving.PATH: "events"}
    annotations = found(installation, "Ingress", "events")["metadata"]["annotations"]
    assert annotations["nginx.ingress.kubernetes.io/proxy-buffering"] == "off"
    longest_s = int(annotations["nginx.ingress.kubernetes.io/proxy-read-timeout"])
    assert longest_s > 2 * serving.HEARTBEAT_S
    spec = found(installation, "Deployment", "events")["spec"]["template"]["spec"]
    pause = int(spec["containers"][0]["lifecycle"]["preStop"]["exec"]["command"][-1])
    assert spec["terminationGracePeriodSeconds"] > pause + process.STOP_S


def test_every_ingress_serves_the_public_address(installation):
    settings = found(installation, "ConfigMap", "xqueue-settings")["data"]
    host = urlsplit(settings["XQUEUE_PUBLIC_URL"]).hostname
    for each in of_kind(installation, "Ingress"):
        assert [rule["host"] for rule in each["spec"]["rules"]] == [host]
        assert each["spec"]["tls"][0]["hosts"] == [host]


# -- networks ------------------------------------------------------------------------------------


def policies_of(manifests, pods, direction):
    return [
        each
        for each in of_kind(manifests, "NetworkPolicy")
        if direction in each["spec"]["policyTypes"]
        and matches(each["spec"]["podSelector"], pods.labels)
    ]


def test_pods_are_refused_everything_by_default_in_both_directions(by_overlay):
    for name in (*INSTALLATIONS, "workers"):
        everywhere = {
            direction
            for each in of_kind(by_overlay[name], "NetworkPolicy")
            if each["spec"]["podSelector"] == {}
            for direction in each["spec"]["policyTypes"]
        }
        assert everywhere == {"Ingress", "Egress"}


def test_every_policy_selects_pods_and_names_their_ports(by_overlay):
    """Monitoring has none of its own: it is for those of an installation."""
    for name in OVERLAYS:
        manifests = by_overlay["production"] if name == "monitoring" else by_overlay[name]
        pods = all_pods(manifests)
        for policy in of_kind(by_overlay[name], "NetworkPolicy"):
            taken = [p for p in pods if matches(policy["spec"]["podSelector"], p.labels)]
            assert taken, name_of(policy)
            for rule in policy["spec"].get("ingress", ()):
                for port in rule["ports"]:
                    assert any(port["port"] in p.ports for p in taken), name_of(policy)


def reachable(manifests, pods):
    """Numbers of the ports that these pods may connect to, DNS apart."""
    return {
        port["port"]
        for policy in policies_of(manifests, pods, "Egress")
        for rule in policy["spec"].get("egress", ())
        for port in rule["ports"]
    } - {53}


def test_each_program_reaches_what_it_needs_and_no_more(by_overlay):
    database, redis = 5432, 6379
    needed = {
        "server": {database, redis},
        "sweep": {database, redis},
        "events": {database, redis},
        "migrate": {database, redis},
        "deliver": {database, redis, 443, 587},
        "postgres": set(),
        "redis": set(),
    }
    for name in ("trial", "production"):
        for pods in all_pods(by_overlay[name]):
            component = pods.labels.get("app.kubernetes.io/component")
            expected = needed[component or pods.labels["app.kubernetes.io/name"]]
            assert reachable(by_overlay[name], pods) == expected, pods.owner


def test_workers_reach_the_queue_alone_and_nobody_reaches_them(by_overlay):
    (pods,) = all_pods(by_overlay["workers"])
    (policy,) = policies_of(by_overlay["workers"], pods, "Egress")
    assert "Ingress" in policy["spec"]["policyTypes"]
    assert "ingress" not in policy["spec"]
    peers = [peer for rule in policy["spec"]["egress"] for peer in rule["to"]]
    name = "kubernetes.io/metadata.name"
    namespaces = {peer["namespaceSelector"]["matchLabels"][name] for peer in peers}
    assert namespaces == {"ingress-nginx", "kube-system"}


def test_prometheus_may_reach_whatever_is_scraped(by_overlay):
    (policy,) = of_kind(by_overlay["monitoring"], "NetworkPolicy")
    allowed = {port["port"] for rule in policy["spec"]["ingress"] for port in rule["ports"]}
    (service_monitor,) = of_kind(by_overlay["monitoring"], "ServiceMonitor")
    (pod_monitor,) = of_kind(by_overlay["monitoring"], "PodMonitor")
    production = by_overlay["production"]
    services = [
        each
        for each in of_kind(production, "Service")
        if matches(service_monitor["spec"]["selector"], each["metadata"]["labels"])
    ]
    assert [each["metadata"]["name"] for each in services] == ["server"]
    assert (
        service_monitor["spec"]["endpoints"][0]["port"] == services[0]["spec"]["ports"][0]["name"]
    )
    port = pod_monitor["spec"]["podMetricsEndpoints"][0]["port"]
    scraped = [
        p for p in all_pods(production) if matches(pod_monitor["spec"]["selector"], p.labels)
    ]
    assert {p.owner for p in scraped} == {
        "Deployment/deliver",
        "Deployment/sweep",
        "Deployment/events",
    }
    assert all(port in p.ports for p in scraped)
    assert {port, services[0]["spec"]["ports"][0]["targetPort"]} == allowed


# -- confined ------------------------------------------------------------------------------------


def test_every_container_is_confined(overlay):
    for pods in all_pods(overlay):
        assert pods.spec["automountServiceAccountToken"] is False
        assert pods.spec["enableServiceLinks"] is False
        assert pods.spec["securityContext"]["runAsNonRoot"] is True
        assert pods.spec["securityContext"]["seccompProfile"] == {"type": "RuntimeDefault"}
        for container in pods.containers:
            own = container["securityContext"]
            assert own["allowPrivilegeEscalation"] is False
            assert own["readOnlyRootFilesystem"] is True
            assert own["capabilities"] == {"drop": ["ALL"]}
            assert {"cpu", "memory"} <= container["resources"]["requests"].keys()
            assert "memory" in container["resources"]["limits"]


def test_every_image_has_a_tag_that_says_which(overlay):
    for pods in all_pods(overlay):
        for container in pods.containers:
            name, _, tag = container["image"].rpartition(":")
            assert name, container["image"]
            assert tag != "latest"


def test_workers_hold_nothing_of_the_database(by_overlay):
    (pods,) = all_pods(by_overlay["workers"])
    text = yaml.safe_dump_all(by_overlay["workers"])
    assert "database_url" not in text
    assert "secret_key" not in text
    assert [v["hostPath"] for v in pods.spec["volumes"] if "hostPath" in v] == [
        {"path": "/run/xqueue-engine/docker.sock", "type": "Socket"}
    ]
    holders = {
        container["name"]
        for container in pods.containers
        for mount in container["volumeMounts"]
        if mount["name"] == "engine"
    }
    assert holders == {"sandboxd"}


def test_only_the_workers_namespace_allows_a_path_of_the_node(by_overlay):
    for name in (*INSTALLATIONS, "workers"):
        (namespace,) = of_kind(by_overlay[name], "Namespace")
        level = namespace["metadata"]["labels"]["pod-security.kubernetes.io/enforce"]
        assert level == ("privileged" if name == "workers" else "restricted")
        mounts = [v for p in all_pods(by_overlay[name]) for v in p.spec["volumes"]]
        assert any("hostPath" in each for each in mounts) == (name == "workers")


# -- the programs --------------------------------------------------------------------------------


def our_commands(manifests):
    for pods in all_pods(manifests):
        for container in pods.containers:
            if "xqueue/" in container["image"]:
                yield pods, container, container["command"]


def accepted(page, words):
    text = " ".join(f"'{word}'" for word in words)
    require_accepted(Quoted(page=page, text=text.replace("'", "", 2), is_whole=True))


def test_every_command_would_be_accepted(overlay):
    for pods, _, words in our_commands(overlay):
        assert words[0] in PROGRAMS
        accepted(pods.owner, words)


def test_a_wrong_command_is_noticed():
    with pytest.raises(Wrong):
        accepted("-", ["xqueue-server", "serve", "--wrokers", "2"])


def test_programs_listen_where_their_ports_say(installation):
    listening = 0
    for pods, container, words in our_commands(installation):
        numbers = [int(word.rpartition(":")[2]) for word in words if word.startswith("0.0.0.0:")]
        assert numbers == [port["containerPort"] for port in container.get("ports", ())], pods.owner
        listening += len(numbers)
    assert listening == 5


def test_the_settings_are_real_and_are_accepted(installation, tmp_path):
    given = found(installation, "ConfigMap", "xqueue-settings")["data"]
    assert given.keys() <= SETTINGS.keys()
    secret = found(installation, "Secret", "xqueue-server")
    here = {}
    for name, value in given.items():
        if name.endswith("_FILE"):
            folder, key = value.rsplit("/", 1)
            assert folder == "/run/secrets/xqueue"
            assert key in secret["data"]
            (tmp_path / key).write_text(sample_of(key))
            here[name] = str(tmp_path / key)
    loaded = load(given | here)
    assert loaded.lms_origins
    assert loaded.trusted_proxies
    mounted = {
        mount["mountPath"]
        for _, container, _ in our_commands(installation)
        for mount in container["volumeMounts"]
        if mount["name"] == "secrets"
    }
    assert mounted == {"/run/secrets/xqueue"}


def sample_of(key):
    return {
        "database_url": "postgresql://xqueue:p@postgres/xqueue",
        "redis_url": "redis://:p@redis:6379/0",
    }.get(key, "x" * 40)


def test_uploads_are_on_the_shared_volume_or_in_the_bucket(by_overlay):
    for name in INSTALLATIONS:
        in_bucket = "XQUEUE_S3_BUCKET" in found(
            by_overlay[name], "ConfigMap", "xqueue-settings"
        )["data"]  # fmt: skip
        assert in_bucket == (name == "production-s3")
        claims = [v for k, v in references(by_overlay[name]) if k == "PersistentVolumeClaim"]
        assert claims == ([] if in_bucket else ["xqueue-files"] * 2)
        assert bool(of_kind(by_overlay[name], "PersistentVolumeClaim")) != in_bucket


def test_the_schema_is_added_to_first_and_taken_from_only_when_somebody_says_so(installation):
    jobs = {each["metadata"]["name"]: each["spec"] for each in of_kind(installation, "Job")}
    assert jobs.keys() == {"migrate-before", "migrate-after"}
    steps = {n: j["template"]["spec"]["containers"][0]["command"][-1] for n, j in jobs.items()}
    assert steps == {"migrate-before": "before", "migrate-after": "after"}
    assert jobs["migrate-after"]["suspend"] is True
    assert not jobs["migrate-before"].get("suspend", False)


def test_servers_are_replaced_without_one_fewer_and_may_finish(installation):
    server = found(installation, "Deployment", "server")["spec"]
    assert server["strategy"]["rollingUpdate"] == {"maxSurge": 1, "maxUnavailable": 0}
    spec = server["template"]["spec"]
    (container,) = spec["containers"]
    pause = int(container["lifecycle"]["preStop"]["exec"]["command"][-1])
    graceful = 30  # gunicorn's, see xqueue_server/cli/serve.py
    assert spec["terminationGracePeriodSeconds"] >= pause + graceful
    assert container["readinessProbe"]["httpGet"]["path"] == "/readyz"
    assert container["livenessProbe"]["httpGet"]["path"] == "/healthz"


def test_the_number_of_servers_in_production_is_the_autoscalers_alone(by_overlay):
    for name, number in (("trial", 2), ("production", None)):
        assert found(by_overlay[name], "Deployment", "server")["spec"].get("replicas") == number
    autoscaler = found(by_overlay["production"], "HorizontalPodAutoscaler", "server")["spec"]
    assert autoscaler["minReplicas"] == 3


# -- workers -------------------------------------------------------------------------------------


@pytest.fixture
def workers_toml(by_overlay, tmp_path):
    text = found(by_overlay["workers"], "ConfigMap", "workers")["data"]["workers.toml"]
    (tmp_path / "password").write_text("p")
    mounted = "/run/secrets/workers/worker_password"
    assert mounted in text
    path = tmp_path / "workers.toml"
    path.write_text(text.replace(mounted, str(tmp_path / "password")))
    return path


def test_the_scaler_asks_for_the_queue_and_counts_in_the_workers_of_a_pod(by_overlay, workers_toml):
    (pool,) = load_settings(workers_toml).pools
    (queue,) = pool.queues
    (trigger,) = found(by_overlay["workers"], "ScaledObject", "workers")["spec"]["triggers"]
    asked = urlsplit(trigger["metadata"]["url"])
    assert f"{asked.scheme}://{asked.netloc}" == queue.account.url
    assert parse_qs(asked.query) == {"queue": [queue.name]}
    assert int(trigger["metadata"]["targetValue"]) == pool.concurrency
    (pods,) = all_pods(by_overlay["workers"])
    sandboxd = next(c for c in pods.containers if c["name"] == "sandboxd")
    assert f"--concurrency={pool.concurrency}" in sandboxd["command"]


def test_the_scaler_finds_its_number_in_what_the_server_answers(by_overlay):
    """`scaling.0.workers`, in the words that the API promises."""
    (trigger,) = found(by_overlay["workers"], "ScaledObject", "workers")["spec"]["triggers"]
    path = urlsplit(trigger["metadata"]["url"]).path
    route = next(each for each in scaling.ROUTES if f"/api/v1{each.path}" == path)
    held, place, field = trigger["metadata"]["valueLocation"].split(".")
    assert place == "0"
    answer = route.answers[200]
    assert answer["properties"][held]["type"] == "array"
    assert scaling.DESIRED["properties"][field]["type"] == "integer"
    assert trigger["metadata"]["authMode"] == "bearer"


def test_a_pod_that_must_go_may_finish_the_longest_run_that_the_server_allows(by_overlay):
    (pods,) = all_pods(by_overlay["workers"])
    longest = load({"XQUEUE_DATA_DIR": "/nonexistent", "XQUEUE_SECRET_KEY": "x" * 40}).ceilings
    grace = pods.spec["terminationGracePeriodSeconds"]
    assert grace >= longest.wall_s + 30
    behavior = found(by_overlay["workers"], "ScaledObject", "workers")["spec"]["advanced"]
    down = behavior["horizontalPodAutoscalerConfig"]["behavior"]["scaleDown"]
    assert down["stabilizationWindowSeconds"] >= 300
    assert all(policy["periodSeconds"] >= grace for policy in down["policies"])


def test_workers_run_only_on_nodes_that_are_for_them(by_overlay):
    (pods,) = all_pods(by_overlay["workers"])
    assert pods.spec["nodeSelector"] == {"xqueue/grading": "true"}
    (tolerated,) = pods.spec["tolerations"]
    assert (tolerated["key"], tolerated["effect"]) == ("xqueue/grading", "NoSchedule")
    script = (TOP / "deploy" / "worker-host" / "engine.sh").read_text()
    name = re.search(r"^NAME=(.+)$", script, re.MULTILINE)[1]
    socket = re.search(r"^SOCKET=(.+)$", script, re.MULTILINE)[1].replace("$NAME", name)
    (engine,) = [v["hostPath"]["path"] for v in pods.spec["volumes"] if "hostPath" in v]
    assert engine == socket
    group = int(re.search(r"^USER_ID=(\d+)$", script, re.MULTILINE)[1])
    assert pods.spec["securityContext"]["runAsGroup"] == group


def test_the_password_is_mounted_where_the_workers_look(by_overlay):
    text = found(by_overlay["workers"], "ConfigMap", "workers")["data"]["workers.toml"]
    wanted = tomllib.loads(text)["servers"]["queue"]["password_file"]
    (pods,) = all_pods(by_overlay["workers"])
    worker = next(c for c in pods.containers if c["name"] == "worker")
    mounts = {m["name"]: m["mountPath"] for m in worker["volumeMounts"]}
    assert wanted.rsplit("/", 1)[0] == mounts["secrets"]
    assert wanted.rsplit("/", 1)[1] in found(by_overlay["workers"], "Secret", "workers")["data"]


# -- alerts --------------------------------------------------------------------------------------


def test_the_alerts_are_those_of_the_observability_folder(by_overlay):
    (rule,) = of_kind(by_overlay["monitoring"], "PrometheusRule")
    alerts = yaml.safe_load((TOP / "deploy" / "observability" / "alerts.yml").read_text())
    assert rule["spec"] == alerts


def test_the_script_makes_the_rules_that_are_there():
    script = SOURCE / "overlays" / "monitoring" / "make-rules.sh"
    made = subprocess.run([script], capture_output=True, text=True, check=True, env=os.environ)
    assert made.stdout == (script.parent / "rules.yaml").read_text()
