"""Sessions at random. Longer: FUZZ_SECONDS=3600 run.py --only "random sessions"."""

import collections
import os
import random
import time

from fuzz_model import CONFIG, QUEUES, Model
from harness import test
from session_fuzz import Fuzz, drain


@test("random sessions of many seeds, right frames and wrong ones: no message lost, doubled or back")
def random_sessions(environment):
    seconds = float(os.environ.get("FUZZ_SECONDS", 12))
    first = int(os.environ.get("FUZZ_SEED", time.time_ns() // 1000))
    daemon = environment.daemon(CONFIG)
    deadline = time.monotonic() + seconds
    seeds, kinds = 0, collections.Counter()
    while time.monotonic() < deadline:
        fuzz = Fuzz(first + seeds)
        try:
            for _ in range(400):
                fuzz.step(daemon.address)
            fuzz.finish()
            fuzz.model.judge(*drain(daemon.address))
        except Exception as error:
            raise AssertionError(f"FUZZ_SEED={first + seeds}: {error!r}") from error
        assert daemon.process.poll() is None, f"FUZZ_SEED={first + seeds}: the daemon died"
        kinds += fuzz.model.kinds
        seeds += 1
    assert kinds["delivery"] > 20 * seeds, (kinds, seeds)
    wanted = {*QUEUES, "again", "reply"}
    if seeds >= 20:
        wanted |= {"rejected", "max_deliveries", "expired"}
    missing = wanted - set(kinds)
    assert not missing, f"{seeds} seeds did not cover {missing}"
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
            fuzz.model.restart()
            daemon = environment.daemon(CONFIG)
            start = None
        elif start is None and time.monotonic() > next_kill - seconds / 6 + seconds / 24:
            start = daemon.memory()
    end = daemon.memory()
    fuzz.finish()
    fuzz.model.judge(*drain(daemon.address))
    assert kills >= 4 and fuzz.model.kinds["delivery"] > 100
    if start is not None and seconds >= 120:
        assert end <= start * 1.1 + (1 << 20), f"memory rose from {start} to {end} bytes"
    daemon.stop()
