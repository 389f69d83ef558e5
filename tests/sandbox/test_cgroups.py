"""Control groups are found and written on hosts of either version."""

from pathlib import Path

from sandbox.cgroups import find_parents, leftover_groups, make_group
from sandbox.run import MIB, Limits


def test_version_1_gives_each_controller_its_own_folder(tmp_path):
    mounts, membership = "", ""
    for number, name in enumerate(("memory", "pids"), start=1):
        (tmp_path / name / "worker").mkdir(parents=True)
        mounts += f"cgroup {tmp_path / name} cgroup rw,{name} 0 0\n"
        membership += f"{number}:{name}:/worker\n"
    parents = find_parents(mounts, membership + "0::/\n")
    assert parents.version == 1
    assert parents.folders == {
        "memory": tmp_path / "memory" / "worker",
        "pids": tmp_path / "pids" / "worker",
    }
    assert [sentence for sentence in parents.missing_limits() if "cpu" in sentence]


def test_version_2_uses_a_group_that_gives_its_children_controllers(tmp_path):
    own = tmp_path / "service" / "worker"
    own.mkdir(parents=True)
    (own / "cgroup.subtree_control").write_text("")
    (tmp_path / "service" / "cgroup.subtree_control").write_text("memory pids cpu")
    parents = find_parents(f"cgroup2 {tmp_path} cgroup2 rw 0 0\n", "0::/service/worker\n")
    assert parents.version == 2
    assert set(parents.folders.values()) == {tmp_path / "service"}
    assert parents.missing_limits() == ()


def test_version_2_limits_are_written_in_its_own_words(tmp_path):
    (tmp_path / "cgroup.subtree_control").write_text("memory pids cpu")
    parents = find_parents(f"cgroup2 {tmp_path} cgroup2 rw 0 0\n", "0::/\n")
    limits = Limits(memory_bytes=64 * MIB, pids=10, cpus=0.5)
    group = make_group(parents, "1-2.run.learner", limits, 3)
    (folder,) = group.folders
    written = {path.name: path.read_text() for path in folder.iterdir()}
    assert written == {
        "memory.max": str(64 * MIB),
        "pids.max": "13",
        "cpu.max": "50000 100000",
    }
    assert list(leftover_groups(parents)) == ["1-2.run.learner"]


def test_a_host_without_any_says_every_limit_that_is_missing():
    assert len(find_parents("", "").missing_limits()) == 3


def test_this_hosts_own_files_can_be_read():
    assert find_parents().folders.keys() <= {"memory", "pids", "cpu"}
    assert Path("/proc/self/cgroup").exists()
