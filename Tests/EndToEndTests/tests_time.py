"""What time brings: leases, delays, expiry; and dead letters."""

import time

from harness import test, until

CONFIG = """
[storage]
fsync = "5ms"
[defaults]
ack_timeout = "1s"
ack_timeout_max = "3s"
max_deliveries = 3
[[queue]]
match = "/queue/slow.>"
requeue_delay = ["300ms", "2s"]
[[queue]]
match = "/queue/short.>"
message_ttl = "500ms"
dead_letter_expired = true
[[queue]]
match = "/queue/memory.>"
storage = "memory"
"""


def letters(daemon, count):
    client = daemon.connect()
    client.subscribe("/queue/dead", prefetch_count=100)
    found = [client.expect_message() for _ in range(count)]
    client.expect_nothing()
    for frame in found:
        client.ack(frame)
    client.close()
    return found


@test("a message that its holder does not acknowledge in time goes to another, and the late ACK has no effect")
def lease(environment):
    daemon = environment.daemon(CONFIG)
    slow, other = daemon.connect(), daemon.connect()
    slow.subscribe("/queue/a")
    slow.send("/queue/a", "work")
    frame = slow.expect_message("work")
    other.subscribe("/queue/a")
    begin = time.monotonic()
    again = other.expect_message("work")
    assert time.monotonic() - begin > 0.5, "the lease ended too early"
    assert again.headers["redelivered"] == "true" and again.headers["delivery-count"] == "2"
    slow.ack(frame)
    other.ack(again)
    slow.expect_nothing()
    daemon.stop()


@test("heart-beats renew a lease up to ack_timeout_max; a holder that falls silent loses it at once")
def renewal(environment):
    daemon = environment.daemon(CONFIG)
    holder = daemon.connect(heart_beat="500,0")
    holder.subscribe("/queue/a")
    holder.send("/queue/a", "long work")
    holder.expect_message("long work")
    other = daemon.connect()
    other.subscribe("/queue/a")
    for _ in range(8):
        holder.write_bytes(b"\n")
        time.sleep(0.25)
    other.expect_nothing()
    # Now it sends nothing: it is dropped after twice its interval, long before the three seconds.
    other.expect_message("long work", wait=3)
    daemon.stop()


@test("ack-timeout on SUBSCRIBE overrides the queue's; a bad one is an ERROR")
def own_timeout(environment):
    daemon = environment.daemon(CONFIG)
    client = daemon.connect()
    client.subscribe("/queue/a", ack_timeout=200)
    client.send("/queue/a", "x")
    client.expect_message("x")
    client.expect_message("x", wait=1.9)
    with daemon.connect() as bad:
        bad.write("SUBSCRIBE", destination="/queue/a", id="1", ack_timeout="soon")
        bad.expect_error_and_close("ack-timeout")
    daemon.stop()


@test("a message that comes back too often becomes a dead letter that says why, also after kill -9")
def dead_letter(environment):
    daemon = environment.daemon(CONFIG)
    client = daemon.connect()
    client.subscribe("/queue/a")
    client.send("/queue/a", "poison", colour="green")
    client.send("/queue/a", "good")
    for number in range(2):
        client.ack(client.expect_message("poison"), "NACK")
    daemon.kill()
    daemon = environment.daemon(CONFIG)
    client = daemon.connect()
    client.subscribe("/queue/a")
    frame = client.expect_message("poison")
    assert frame.headers["delivery-count"] == "3", frame.headers
    before = int(time.time() * 1000)
    client.ack(frame, "NACK")
    client.ack(client.expect_message("good"))
    client.expect_nothing()
    daemon.kill()
    daemon = environment.daemon(CONFIG)
    (letter,) = letters(daemon, 1)
    headers = letter.headers
    assert letter.body == b"poison" and headers["colour"] == "green"
    assert headers["dead-letter-from"] == "/queue/a"
    assert headers["dead-letter-reason"] == "max_deliveries"
    assert headers["dead-letter-deliveries"] == "3"
    assert before - 1000 <= int(headers["dead-letter-time"]) <= time.time() * 1000 + 1000
    assert "redelivered" not in headers, headers
    daemon.stop()


@test("NACK with requeue:false makes a dead letter at once; its receipt means that it will never come again")
def reject(environment):
    for queue in ("/queue/a", "/queue/memory.a"):
        daemon = environment.daemon(CONFIG)
        client = daemon.connect()
        client.subscribe(queue)
        client.send(queue, "bad")
        client.ack(client.expect_message("bad"), "NACK", requeue="false")
        if queue == "/queue/a":
            daemon.kill()
            daemon = environment.daemon(CONFIG)
        client = daemon.connect()
        client.subscribe(queue)
        client.expect_nothing()
        (letter,) = letters(daemon, 1)
        assert letter.headers["dead-letter-reason"] == "rejected", letter.headers
        with daemon.connect() as bad:
            bad.subscribe("/queue/other")
            bad.send("/queue/other", "x")
            frame = bad.expect_message("x")
            bad.write("NACK", id=frame.headers["ack"], requeue="maybe")
            bad.expect_error_and_close("requeue")
        daemon.stop()


@test("what comes back waits for its delay, longer the second time, and a restart does not shorten it")
def delay(environment):
    daemon = environment.daemon(CONFIG)
    client = daemon.connect()
    client.subscribe("/queue/slow.a", prefetch_count=1)
    client.send("/queue/slow.a", "late")
    client.send("/queue/slow.a", "next")
    client.ack(client.expect_message("late"), "NACK")
    client.ack(client.expect_message("next"))
    client.ack(client.expect_message("late", wait=2), "NACK")
    returned = time.monotonic()
    daemon.kill()
    daemon = environment.daemon(CONFIG)
    client = daemon.connect()
    client.subscribe("/queue/slow.a")
    frame = client.expect_message("late", wait=6)
    # Kept in whole seconds, rounded up.
    assert 1.9 < time.monotonic() - returned < 5, time.monotonic() - returned
    assert frame.headers["delivery-count"] == "3", frame.headers
    daemon.stop()


@test("messages expire by their headers and by their queue's time to live, watched or not, restart or not")
def expiry(environment):
    daemon = environment.daemon(CONFIG)
    client = daemon.connect()
    now = int(time.time() * 1000)
    client.send("/queue/a", "gone 1", expires=now + 400)
    client.send("/queue/a", "gone 2", expiration=400)
    client.send("/queue/a", "stays", expires=0)
    client.send("/queue/a", "gone 3", expires=1)
    for number in range(20):
        client.send("/queue/short.a", number)
    daemon.kill()
    daemon = environment.daemon(CONFIG)
    client = daemon.connect()
    time.sleep(0.6)
    client.subscribe("/queue/a", prefetch_count=10)
    frame = client.expect_message("stays")
    assert frame.headers["expires"] == "0"
    client.expect_nothing()
    client.ack(frame)

    def counted():
        status, report = environment.log_tool_json("inspect", environment.data, "--live")
        queues = {queue["name"]: queue["messages"] for queue in report["queues"]}
        return queues.get("/queue/short.a", 0) == 0 and queues.get("/queue/dead", 0) == 20
    until(counted, what="20 dead letters")
    found = letters(daemon, 20)
    assert [frame.body for frame in found] == [str(n).encode() for n in range(20)]
    assert {frame.headers["dead-letter-reason"] for frame in found} == {"expired"}
    for name in ("expires", "expiration"):
        with daemon.connect() as bad:
            bad.write("SEND", b"x", destination="/queue/a", **{name: "tomorrow"})
            bad.expect_error_and_close(name)
    daemon.stop()


@test("a thousand messages that all expire leave nothing behind, in memory and on disk")
def expiry_of_many(environment):
    for queue in ("/queue/b", "/queue/memory.b"):
        daemon = environment.daemon(CONFIG)
        client = daemon.connect()
        for number in range(1000):
            client.write("SEND", b"x" * 100, destination=queue, expiration=1000 + number % 700)
        client.request("SEND", b"last", destination=queue)
        time.sleep(2)
        client.subscribe(queue)
        client.ack(client.expect_message("last"))
        client.expect_nothing()
        daemon.stop()
