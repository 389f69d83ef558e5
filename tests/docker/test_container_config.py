"""Every container is made with the same hardening, said to the engine word by word."""

import json
from dataclasses import replace

import pytest

from sandbox.backends.docker.containers import Role, container_config, spec_of
from sandbox.backends.docker.images import Image
from sandbox.backends.docker.labels import BACKEND, EXPIRES, HOST, LABEL, OWNER, Ownership
from sandbox.probe.script import one_run, probe_request
from sandbox.run import MIB, Limits
from sandbox.seccomp import docker_profile
from tests.docker.waiting import wait_until, waiting

IMAGE = Image(reference="grader:latest", image_id="sha256:abc")
LIMITS = Limits(memory_bytes=100 * MIB, pids=20, cpus=0.5, scratch_bytes=8 * MIB)
UID = 600_000_000


def config_of(role=Role.BOTH, *, runtime=None, limits=LIMITS, has_own_files=False):
    spec = spec_of(IMAGE, role, limits, runtime=runtime, has_own_files=has_own_files)
    return container_config(spec, learner_uid=UID, seccomp="{}", labels={LABEL: "run"})


@pytest.mark.parametrize("role", [Role.BOTH, Role.GRADER, Role.LEARNER])
@pytest.mark.parametrize("runtime", [None, "runsc"])
def test_every_container_is_hardened(role, runtime):
    config = config_of(role, runtime=runtime)
    host = config["HostConfig"]
    assert config["NetworkDisabled"] is True
    assert "NetworkMode" not in host
    assert config["Image"] == IMAGE.image_id, "a tag may mean another image by now"
    assert config["Tty"] is False
    assert config["OpenStdin"]
    assert config["StdinOnce"]
    assert host["ReadonlyRootfs"] is True
    assert host["CapDrop"] == ["ALL"]
    assert host["SecurityOpt"] == ["no-new-privileges", "seccomp={}"]
    assert host["Memory"] == host["MemorySwap"] == 100 * MIB
    assert host["OomKillDisable"] is False
    assert host["NanoCpus"] == 500_000_000
    assert host["IpcMode"] == "none"
    assert host["LogConfig"] == {"Type": "none"}
    assert host["Privileged"] is False
    assert "Binds" not in host
    assert "Mounts" not in host
    ulimits = {one["Name"]: one["Hard"] for one in host["Ulimits"]}
    assert ulimits["nofile"] == 256
    assert ulimits["core"] == 1, "with none the kernel still starts a program for cores"
    for options in host["Tmpfs"].values():
        assert {"nosuid", "nodev"} <= set(options.split(","))
        assert "nr_inodes=" in options
        assert "size=" in options


def test_only_the_supervisor_of_two_uids_has_root_and_three_capabilities():
    assert config_of()["User"] == "0:0"
    assert config_of()["HostConfig"]["CapAdd"] == ["SETUID", "SETGID", "KILL"]
    assert config_of(Role.GRADER)["User"] == "10001:10001"
    assert config_of(Role.LEARNER)["User"] == f"{UID}:{UID}"
    assert config_of(Role.GRADER)["HostConfig"]["CapAdd"] == []
    assert config_of(Role.LEARNER)["HostConfig"]["CapAdd"] == []


def test_a_file_is_at_most_what_its_owner_may_write():
    def fsize(role):
        [found] = [
            one for one in config_of(role)["HostConfig"]["Ulimits"] if one["Name"] == "fsize"
        ]
        return found["Hard"]

    assert fsize(Role.LEARNER) == 8 * MIB
    assert fsize(Role.BOTH) >= 16 * MIB, "a grader's directory has to be written"


def test_gvisor_may_have_the_threads_it_needs():
    assert config_of()["HostConfig"]["PidsLimit"] == 20 + 16
    assert config_of(Role.LEARNER, runtime="runsc")["HostConfig"]["PidsLimit"] >= 512


@pytest.mark.parametrize("role", list(Role))
def test_the_hosts_terminals_are_out_of_reach(role):
    options = config_of(role)["HostConfig"]["Tmpfs"]["/dev/pts"].split(",")
    assert {"ro", "nr_inodes=2"} <= set(options)


def test_a_port_is_free_as_soon_as_nobody_serves_it():
    assert config_of()["HostConfig"]["Sysctls"]["net.ipv4.tcp_max_tw_buckets"] == "0"


def test_each_place_belongs_to_one_role():
    both = config_of()["HostConfig"]["Tmpfs"]
    assert f"uid={UID}" in both["/box"]
    assert "mode=0700" in both["/box"]
    assert "noexec" in both["/tmp"]
    assert "uid=10001" in both["/grade"]
    learner = config_of(Role.LEARNER)["HostConfig"]["Tmpfs"]
    assert "mode=0000" in learner["/grade"], "nothing of a grader's image can be seen"
    assert "/scratch" not in learner
    grader = config_of(Role.GRADER)["HostConfig"]["Tmpfs"]
    assert "/box" not in grader


def test_an_images_own_grader_is_not_covered():
    assert "/grade" not in config_of(has_own_files=True)["HostConfig"]["Tmpfs"]


def test_labels_name_owner_host_and_end():
    labels = Ownership().labels(1234.5)
    assert labels[EXPIRES] == "1234"
    assert {LABEL, OWNER, HOST, BACKEND, EXPIRES} == set(labels)


def orphan(ownership, known=(), created=0, **changes):
    labels = {**ownership.labels(4_000_000_000), **changes}
    return ownership.is_orphan({"Id": "c1", "Labels": labels, "Created": created}, known)


def test_who_is_an_orphan():
    ours, others = Ownership(), Ownership()
    assert not orphan(ours, known={"c1"})
    assert orphan(ours), "made by a request whose answer never came"
    assert not orphan(ours, created=4_000_000_000), "its answer may still come"
    assert orphan(ours, known={"c1"}, **{EXPIRES: "1"})
    labels = {"Id": "c1", "Labels": others.labels(4_000_000_000), "Created": 0}
    assert not ours.is_orphan(labels, ()), "another backend of a living process"
    dead = {**labels["Labels"], OWNER: "1-1"}
    assert ours.is_orphan({**labels, "Labels": dead}, ())
    elsewhere = {**dead, HOST: "another-host"}
    assert not ours.is_orphan({**labels, "Labels": elsewhere}, ()), "who can tell from here"


def test_the_engine_does_what_it_was_told(engine, open_docker):
    backend = open_docker(1)
    limits = replace(LIMITS, wall_s=20.0)
    backend.run(probe_request(one_run(), limits=limits))
    wait_until(lambda: waiting(backend) == 1)
    backend.settle()
    [container] = engine.containers.list(filters={"label": backend._ownership.own_label})
    host = container.attrs["HostConfig"]
    assert host["CapAdd"] == ["SETUID", "SETGID", "KILL"]
    assert host["ReadonlyRootfs"] is True
    assert f"seccomp={docker_profile()}" in host["SecurityOpt"]
    assert host["PidsLimit"] == 36
    assert container.attrs["Mounts"] == []
    # Without addresses: an empty network namespace.
    assert container.attrs["NetworkSettings"]["Networks"].get("none", {}).get("IPAddress", "") == ""
    json.dumps(container.attrs)
