"""What a slot is made of, when it is thrown away, and what is left when all is over."""

import dataclasses

import pytest

from sandbox.backends.docker import LABEL, starting
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

LIMITS = Limits(wall_s=20, learner_wall_s=3, learner_cpu_s=2, memory_bytes=96 * MIB)
BOMB = """
import os
while True:
    try:
        os.fork()
    except OSError:
        pass
"""
EATS_MEMORY = "a = []\nwhile True: a.append(bytearray(1 << 20))"


def submit(boxes, code="print(1)", **how):
    return boxes.run(probe_request(one_run(), code, limits=LIMITS, **how))


def slots_of(engine):
    found = engine.containers.list(filters={"label": LABEL})
    return [one for one in found if one.attrs["Config"]["Entrypoint"][-1] == "--slot"]


def test_a_slot_has_no_root_no_capability_no_network_and_nothing_writable(open_boxes, engine):
    boxes = open_boxes()
    submit(boxes)
    (slot,) = slots_of(engine)
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
    (slot,) = slots_of(engine)
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


@pytest.mark.parametrize("code", [BOMB, "import time; time.sleep(60)"], ids=["forks", "sleeps"])
def test_after_a_program_that_had_to_be_stopped_the_next_one_is_served(open_boxes, code):
    boxes = open_boxes()
    assert ran(submit(boxes, code).reports[0]).reason == "time"
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
    (slot,) = slots_of(engine)
    slot.kill()
    assert submit(boxes).reason is ExitReason.COMPLETED
    assert boxes.counters()["slots_started"] == 2


def test_a_slots_memory_does_not_grow_from_submission_to_submission(open_boxes, engine):
    boxes = open_boxes()
    fill = "a = bytearray(30 << 20); open('/box/a', 'wb').write(bytes(8 << 20))"

    def used():
        (slot,) = slots_of(engine)
        stats = slot.stats(stream=False)["memory_stats"]
        cache = stats["stats"].get("total_cache", stats["stats"].get("file", 0))
        return stats["usage"] - cache

    for _ in range(5):
        submit(boxes, fill)
    before = used()
    for _ in range(40):
        submit(boxes, fill)
    assert used() - before < 4 * MIB
    assert boxes.counters()["slots_started"] == 1


def test_nothing_is_left_of_a_closed_backend(open_boxes, engine):
    boxes = open_boxes()
    submit(boxes)
    assert len(slots_of(engine)) == 1
    boxes.close()
    assert slots_of(engine) == []


def test_the_reaper_takes_the_slots_of_a_dead_worker_and_leaves_ours(open_boxes, engine):
    boxes = open_boxes()
    submit(boxes)
    assert boxes.reap() == 0
    assert len(slots_of(engine)) == 1


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
