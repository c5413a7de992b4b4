"""Sessions at random. Longer: FUZZ_SECONDS=3600 run.py --only "random sessions"."""

import os
import random
import time

from harness import test
from session_fuzz import Fuzz, Model, drain

CONFIG = """
[storage]
fsync = "5ms"
segment_size = "256KiB"
min_free_disk = "16MiB"
[defaults]
max_deliveries = 0
"""


@test("random sessions of many seeds, right frames and wrong ones: no message lost, doubled or back")
def random_sessions(environment):
    seconds = float(os.environ.get("FUZZ_SECONDS", 12))
    first = int(os.environ.get("FUZZ_SEED", time.time_ns() // 1000))
    daemon = environment.daemon(CONFIG)
    deadline = time.monotonic() + seconds
    seeds = delivered = 0
    while time.monotonic() < deadline:
        fuzz = Fuzz(first + seeds)
        try:
            for _ in range(400):
                fuzz.step(daemon.address)
            fuzz.finish()
            fuzz.model.judge(drain(daemon.address))
        except Exception as error:
            raise AssertionError(f"FUZZ_SEED={first + seeds}: {error!r}") from error
        assert daemon.process.poll() is None, f"FUZZ_SEED={first + seeds}: the daemon died"
        delivered += fuzz.model.delivered
        seeds += 1
    assert delivered > 20 * seeds, (delivered, seeds)
    daemon.stop()


@test("a soak with random clients, kills and restarts: receipts kept, nothing settled returns, memory level")
def soak(environment):
    seconds = float(os.environ.get("SOAK_SECONDS", 20))
    generator = random.Random(int(os.environ.get("FUZZ_SEED", time.time_ns() // 1000)))
    daemon = environment.daemon(CONFIG)
    fuzz = Fuzz(generator.random(), Model())
    deadline = time.monotonic() + seconds
    next_kill = time.monotonic() + seconds / 6
    start = None
    kills = 0
    while time.monotonic() < deadline:
        fuzz.step(daemon.address)
        if time.monotonic() > next_kill:
            next_kill += seconds / 6
            kills += 1
            if kills % 3 == 0:
                fuzz.finish()
                daemon.stop()
            else:
                daemon.kill()
            fuzz.lose_all()
            daemon = environment.daemon(CONFIG)
            start = None
        elif start is None and time.monotonic() > next_kill - seconds / 6 + seconds / 24:
            start = daemon.memory()
    end = daemon.memory()
    fuzz.finish()
    fuzz.model.judge(drain(daemon.address))
    assert kills >= 4 and fuzz.model.delivered > 100
    if start is not None and seconds >= 120:
        assert end <= start * 1.1 + (1 << 20), f"memory rose from {start} to {end} bytes"
    daemon.stop()
