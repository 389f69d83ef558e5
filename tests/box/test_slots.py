"""What a slot is made of, when it is thrown away, and what is left when all is over."""

import dataclasses

import pytest

from sandbox.backends.docker import starting
from sandbox.backends.docker.slot_pool import SlotPool
from sandbox.errors import GraderNotUsable, SandboxUnavailable
from sandbox.probe.script import PROBE_GRADER, one_run, probe_request, ran
from sandbox.run import (
    MIB,
    DirectoryGrader,
    ExitReason,
    ImageGrader,
    Isolation,
    Limits,
    Preparation,
    RunRequest,
)
from sandbox.seccomp import docker_profile
from tests.docker.waiting import wait_until

LIMITS = Limits(wall_s=60, learner_wall_s=20, learner_cpu_s=10, memory_bytes=96 * MIB)
BOMB = """
import os
while True:
    try:
        os.fork()
    except OSError:
        pass
"""
EATS_MEMORY = "a = []\nwhile True: a.append(bytearray(1 << 20))"


def submit(boxes, code="print(1)", *, wall_s=LIMITS.learner_wall_s, **how):
    return boxes.run(probe_request(one_run(wall_s=wall_s), code, limits=LIMITS, **how))


def slots_of(boxes, engine):
    """Of this backend: others of this process have their own."""
    ours = boxes._ownership.own_label
    found = engine.containers.list(filters={"label": ours}, ignore_removed=True)
    return [one for one in found if one.attrs["Config"]["Entrypoint"][-1] == "--slot"]


def test_a_slot_has_no_root_no_capability_no_network_and_nothing_writable(open_boxes, engine):
    boxes = open_boxes()
    submit(boxes)
    (slot,) = slots_of(boxes, engine)
    host = slot.attrs["HostConfig"]
    assert int(slot.attrs["Config"]["User"].split(":")[0]) > 10_000
    assert (host["CapDrop"], host["CapAdd"] or [], host["Privileged"]) == (["ALL"], [], False)
    assert host["ReadonlyRootfs"]
    assert list(host["Tmpfs"]) == ["/dev/pts"], "which is read-only"
    assert not host.get("Binds")
    assert "no-new-privileges" in host["SecurityOpt"]
    assert slot.attrs["Config"]["NetworkDisabled"]
    assert host["PidsLimit"] < 200
    assert host["Memory"] == host["MemorySwap"] == LIMITS.memory_bytes


UNMASKED = """
for path in /proc/sys/kernel/core_pattern /proc/sys/kernel/modprobe /proc/sysrq-trigger \
    /proc/sys/vm/drop_caches /proc/sys/user/max_user_namespaces /proc/irq/0/smp_affinity; do
    if echo 0 2>/dev/null >"$path"; then echo "wrote $path"; fi
done
for path in /proc/kcore /proc/timer_list /proc/kpagecount /proc/1/mem /sys/firmware/x; do
    if head -c 1 "$path" >/dev/null 2>&1; then echo "read $path"; fi
done
for path in / /tmp /dev /dev/shm /run /var/tmp /sys/fs/cgroup/memory /xq /usr; do
    if touch "$path/x" 2>/dev/null; then echo "made $path/x"; fi
done
echo tried
"""


def test_what_a_slot_leaves_uncovered_is_of_no_use_to_its_user(open_boxes, engine):
    """Its /proc has no masks, or no box could mount its own."""
    boxes = open_boxes()
    submit(boxes)
    (slot,) = slots_of(boxes, engine)
    code, said = slot.exec_run(["sh", "-c", UNMASKED], user=slot.attrs["Config"]["User"])
    assert (code, said.decode()) == (0, "tried\n")


def test_a_box_sees_neither_sys_nor_the_slots_processes_nor_our_programs(open_boxes):
    boxes = open_boxes()
    code = (
        "import os; print(os.path.exists('/sys'), os.listdir('/xq') if os.path.isdir('/xq') else 0,"
        "os.path.exists('/etc/passwd'), sorted(os.listdir('/')))"
    )
    said = ran(submit(boxes, code).reports[0]).stdout
    assert said.startswith("False"), said
    assert "grade" not in said, said
    assert "scratch" not in said, said


def test_a_slot_is_used_again_and_replaced_after_its_last_submission(open_boxes):
    boxes = open_boxes(uses=3)
    for _ in range(7):
        assert submit(boxes).reason is ExitReason.COMPLETED
    counters = boxes.counters()
    assert (counters["slots_started"], counters["slots_discarded"]) == (3, 2)


def test_a_slot_in_which_memory_ran_out_is_thrown_away(open_boxes):
    boxes = open_boxes()
    result = submit(boxes, EATS_MEMORY)
    assert result.reason is ExitReason.COMPLETED, result
    assert ran(result.reports[0]).reason == "memory"
    assert ran(submit(boxes).reports[0]).stdout == "1\n"
    assert boxes.counters()["slots_started"] == 2


@pytest.mark.parametrize(
    ("code", "limits_hit"),
    [(BOMB, {"time", "memory"}), ("import time; time.sleep(60)", {"time"})],
    ids=["forks", "sleeps"],
)
def test_after_a_program_that_had_to_be_stopped_the_next_one_is_served(
    open_boxes, code, limits_hit
):
    boxes = open_boxes()
    assert ran(submit(boxes, code, wall_s=3).reports[0]).reason in limits_hit
    assert ran(submit(boxes).reports[0]).stdout == "1\n"


def test_a_slot_whose_grader_broke_off_is_thrown_away(open_boxes, tmp_path):
    (tmp_path / "grade.py").write_text("import os; os.write(3, b'\\xff' * 100)")
    boxes = open_boxes()
    broken = submit(boxes, grader=DirectoryGrader(path=tmp_path))
    assert broken.reason is ExitReason.GRADER_FAILED
    assert submit(boxes).reason is ExitReason.COMPLETED


def test_a_slot_that_was_killed_while_it_waited_is_not_used(open_boxes, engine):
    boxes = open_boxes()
    submit(boxes)
    (slot,) = slots_of(boxes, engine)
    slot.kill()
    assert submit(boxes).reason is ExitReason.COMPLETED
    assert boxes.counters()["slots_started"] == 2


@pytest.fixture
def killed_as_it_is_given_out(monkeypatch, engine):
    """Slots so named, `borrow` or `start`, end when nobody looks any more."""

    def kill_after(way):
        given_out = getattr(SlotPool, way)

        def give_out(pool, spec, lasting_s):
            slot = given_out(pool, spec, lasting_s)
            container = engine.containers.get(slot.container.container_id)
            container.kill()
            container.wait()
            return slot

        monkeypatch.setattr(SlotPool, way, give_out)

    return kill_after


def test_a_slot_that_ended_unseen_is_replaced_by_a_new_one(open_boxes, killed_as_it_is_given_out):
    boxes = open_boxes()
    submit(boxes)
    killed_as_it_is_given_out("borrow")
    assert submit(boxes).reason is ExitReason.COMPLETED
    assert boxes.counters()["slots_started"] == 2


def test_a_new_slot_that_ended_is_not_replaced_without_end(open_boxes, killed_as_it_is_given_out):
    boxes = open_boxes()
    killed_as_it_is_given_out("start")
    with pytest.raises(SandboxUnavailable, match="the supervisor is gone"):
        submit(boxes)
    assert boxes.counters()["slots_started"] == 1


SHARED_MEMORY = """
import ctypes
libc = ctypes.CDLL(None)
libc.shmat.restype = ctypes.c_void_p
segment = libc.shmget(0, ctypes.c_size_t(30 << 20), 0o1600)
ctypes.memset(ctypes.c_void_p(libc.shmat(segment, None, 0)), 1, 30 << 20)
print("taken")
"""


def test_the_next_submission_has_the_memory_of_objects_that_were_left_behind(open_boxes):
    """The kernel frees them only after the box they were in, at its leisure."""
    boxes = open_boxes()
    for _ in range(5):
        assert ran(submit(boxes, SHARED_MEMORY).reports[0]).stdout == "taken\n"
        filled = ran(submit(boxes, "a = bytearray(50 << 20); print('has room')").reports[0])
        assert filled.stdout == "has room\n", filled
    assert boxes.counters()["slots_started"] == 1


def test_a_slots_memory_does_not_grow_from_submission_to_submission(open_boxes, engine):
    boxes = open_boxes()
    fill = "a = bytearray(30 << 20); open('/box/a', 'wb').write(bytes(8 << 20))"

    def used():
        (slot,) = slots_of(boxes, engine)
        stats = slot.stats(stream=False)["memory_stats"]
        cache = stats["stats"].get("total_cache", stats["stats"].get("file", 0))
        return stats["usage"] - cache

    for _ in range(5):
        submit(boxes, fill)
    before = used()
    for _ in range(40):
        submit(boxes, fill)
    wait_until(lambda: used() - before < 4 * MIB)  # the last one's is still being freed
    assert boxes.counters()["slots_started"] == 1


def test_nothing_is_left_of_a_closed_backend(open_boxes, engine):
    boxes = open_boxes()
    submit(boxes)
    assert len(slots_of(boxes, engine)) == 1
    boxes.close()
    assert slots_of(boxes, engine) == []


def test_the_reaper_leaves_the_slots_of_a_worker_that_lives(open_boxes, engine):
    boxes = open_boxes()
    submit(boxes)
    boxes.reap()
    assert len(slots_of(boxes, engine)) == 1


def test_preparing_proves_that_boxes_can_be_made(open_boxes):
    boxes = open_boxes()
    boxes.prepare(Preparation(grader=PROBE_GRADER, isolation=Isolation.BOX, limits=LIMITS))
    submit(boxes)
    assert boxes.counters()["slots_reused"] == 1
    assert boxes.check().healthy


def test_a_host_that_forbids_boxes_is_told_to_use_another_isolation(open_boxes, monkeypatch):
    """Here by a system call filter; the kernel and AppArmor refuse with the same error."""
    monkeypatch.setattr(starting, "slot_profile", docker_profile)
    boxes = open_boxes()
    preparation = Preparation(grader=PROBE_GRADER, isolation=Isolation.BOX, limits=LIMITS)
    with pytest.raises(SandboxUnavailable, match="use split-uid"):
        boxes.prepare(preparation)
    with pytest.raises(SandboxUnavailable):
        submit(boxes)


def test_boxes_that_stopped_working_make_the_backend_unhealthy(open_boxes, monkeypatch):
    boxes = open_boxes(uses=1)
    boxes.prepare(Preparation(grader=PROBE_GRADER, isolation=Isolation.BOX, limits=LIMITS))
    monkeypatch.setattr(starting, "slot_profile", docker_profile)
    health = boxes.check()
    assert not health.healthy
    assert "use split-uid" in health.problems[0]


def test_what_boxes_cannot_do_is_refused_rather_than_done_otherwise(open_boxes):
    boxes = open_boxes()
    job = {"response": "", "payload": "[]", "files": {}, "seed": 0}
    image = RunRequest(run_id="a", grader=ImageGrader(image="x@sha256:1"), job=job)
    with pytest.raises(GraderNotUsable, match="image"):
        boxes.run(image)
    with pytest.raises(GraderNotUsable, match="runsc"):
        boxes.run(dataclasses.replace(probe_request(one_run()), runtime="runsc"))
