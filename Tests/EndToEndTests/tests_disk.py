"""Disks that are full or read-only, on small file systems mounted for the purpose."""

import contextlib
import subprocess
import time

from harness import Skip, test, until
from load import Producer, Settler, browse, drain, pump

SMALL = '[storage]\nsegment_size = "8MiB"\nmin_free_disk = "16MiB"\n'


@test("a read-only data directory: the daemon ends with an error that names it")
def read_only(environment):
    mount = environment.tmpfs("32m")
    (mount / "data").mkdir()
    done = subprocess.run(["mount", "-o", "remount,ro", str(mount)], capture_output=True, text=True)
    if done.returncode != 0:
        raise Skip(f"cannot remount: {done.stderr.strip()}")
    daemon = environment.daemon(data=mount / "data", wait=False)
    assert daemon.wait() not in (0, -6, -11), daemon.log()
    log = daemon.log()
    assert str(mount / "data") in log and "read-only" in log.lower(), log


def refused(address, number):
    """The ERROR text when a SEND is refused now, None when it was taken."""
    producer = Producer(address, "/queue/q", first=number, padding=1024, limit=number + 1)
    pump([producer], lambda: producer.error or producer.receipted > number)
    producer.client.close()
    if producer.error is None:
        return None
    return (producer.error.headers.get("message", "") + " " + producer.error.body.decode()).lower()


@test("a full disk refuses messages by name, settles on, and recovers without a restart")
def full_disk(environment):
    mount = environment.tmpfs("128m")
    daemon = environment.daemon(SMALL, data=mount / "data")
    bystander = daemon.connect()
    confirmed, first, text = [], 0, None
    for _ in range(100):
        producer = Producer(daemon.address, "/queue/q", first, window=32, padding=64 << 10)
        pump([producer], lambda: producer.error is not None, what="filling the disk")
        drain([producer])
        confirmed += range(first, producer.receipted)
        first = producer.next
        text = refused(daemon.address, first)
        if text is not None:
            break
        # A file that was being prepared counted twice until the disk was measured again.
        confirmed.append(first)
        first += 1
    assert text and "/queue/q" in text and "free" in text, text

    some = Settler(daemon.address, "/queue/q", prefetch=10, limit=10)
    pump([some], lambda: len(some.settled) == 10, what="settling on a full disk")
    some.client.close()
    bystander.request("SEND", b"x", destination="/topic/t")  # needs no disk
    assert some.settled == list(range(10))

    rest = Settler(daemon.address, "/queue/q", prefetch=50)
    pump([rest], lambda: len(rest.settled) >= len(confirmed) - 10, what="consuming the rest")
    missing = set(confirmed[10:]) - set(rest.taken)
    assert not missing, f"receipted and lost: {sorted(missing)[:5]}"
    assert rest.taken == sorted(rest.taken), "out of order"
    deadline = time.monotonic() + 15
    while (text := refused(daemon.address, 100_000)) is not None:
        assert time.monotonic() < deadline, f"still refused after everything was consumed: {text}"
        time.sleep(0.2)
    rest.client.close()
    daemon.kill()
    daemon = environment.daemon(SMALL, data=mount / "data")
    assert 100_000 in browse(daemon.address, "/queue/q")
    daemon.stop()


@test("kill -9 on a full disk: the daemon starts again and has every receipted message")
def kill_on_a_full_disk(environment):
    mount = environment.tmpfs("96m")
    daemon = environment.daemon(SMALL, data=mount / "data")
    producer = Producer(daemon.address, "/queue/q", window=32, padding=64 << 10)
    pump([producer], lambda: producer.error is not None, what="filling the disk")
    daemon.kill()
    drain([producer])
    daemon = environment.daemon(SMALL, data=mount / "data")
    settler = Settler(daemon.address, "/queue/q", prefetch=50)
    pump([settler], lambda: len(settler.settled) >= producer.receipted, what="consuming")
    assert settler.taken == list(range(len(settler.taken))), "a hole or a wrong order"
    until(lambda: refused(daemon.address, 100_000) is None, 15, "sending again")
    daemon.stop()


def fill_up(path):
    """Somebody else's file takes what is left."""
    with open(path, "wb", buffering=0) as file, contextlib.suppress(OSError):
        while True:
            file.write(bytes(4096))


@test("somebody else fills the disk: everything is settled across a restart, and space comes back")
def filled_by_others(environment):
    for segment in ("64KiB", "1MiB"):
        config = f'[storage]\nsegment_size = "{segment}"\nmin_free_disk = "0"\n'
        mount = environment.tmpfs("8m")
        data = mount / "data"
        daemon = environment.daemon(config, data=data)
        until(lambda: (data / "reserve").exists(), what="the reserve")
        producer = Producer(daemon.address, "/queue/q", window=4, padding=3000)
        pump([producer], lambda: producer.error is not None, what="filling the disk")
        drain([producer])
        fill_up(mount / "foreign")
        half = producer.receipted // 2
        with daemon.connect() as client:  # one by one: the most log for the fewest settles
            client.subscribe("/queue/q")
            for _ in range(half):
                client.ack(client.expect_message())
        daemon.kill()
        daemon = environment.daemon(config, data=data)
        with daemon.connect() as client:
            client.subscribe("/queue/q")
            for _ in range(half, producer.receipted):
                client.ack(client.expect_message())
        until(lambda: refused(daemon.address, 100_000) is None, 15, f"sending again ({segment})")
        daemon.stop()


@test("one message in 50 stays unacknowledged: the disk comes back, and they survive kill -9")
def packed(environment):
    config = '[storage]\nsegment_size = "256KiB"\nmin_free_disk = "0"\n'
    daemon = environment.daemon(config)
    producer = Producer(daemon.address, "/queue/q", window=64, padding=1000, limit=4000)
    pump([producer], lambda: producer.receipted == 4000, what="sending")
    kept = []
    with daemon.connect() as client:
        client.subscribe("/queue/q", prefetch_count="200")
        for number in range(4000):
            message = client.expect_message()
            if number % 50 == 0:
                kept.append(message.body)
            else:
                client.ack(message)
        names = lambda prefix: [path for path in environment.data.iterdir()
                                if path.name.startswith(prefix)]

        # A segment that ended early, for one on a prepared file, may be too short to gain by packing.
        def is_packed():
            with contextlib.suppress(FileNotFoundError):
                whole = [path for path in names("segment-") if path.stat().st_size > 32 << 10]
                return len(whole) <= 2 and len(names("packed-")) > 5
            return False

        until(is_packed, 30, "packing")
        size = sum(path.stat().st_size for path in names("packed-"))
        assert size < 2 * sum(map(len, kept)), f"{size} bytes for {len(kept)} messages"
    status, output, errors = environment.log_tool("verify", "--live", environment.data)
    assert status == 0, output + errors
    daemon.kill()
    status, output, errors = environment.log_tool("verify", environment.data)
    assert status == 0 and "packed" in output, output + errors
    daemon = environment.daemon(config)
    with daemon.connect() as client:
        client.subscribe("/queue/q", prefetch_count="200")
        again = [client.expect_message() for _ in kept]
        assert [message.body for message in again] == kept
        for message in again:
            client.ack(message)
        until(lambda: not names("packed-"), 15, "the packed files to go")
    daemon.stop()
