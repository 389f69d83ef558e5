"""What several of these cases end as, and why gVisor differs."""

from __future__ import annotations

from sandbox.hostile.case import verdicts

SOON = {"wall_s": 1.0}
"""For what has to be stopped by the clock: the suite waits for it."""

STOPPED = verdicts("time", "memory")

GVISOR_OWN = "gVisor's own kernel answers, and nothing of it reaches the host's"
