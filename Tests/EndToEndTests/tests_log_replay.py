"""radiator-log's verbs that follow a store and that send its messages again."""

import json
import signal
import socket
import subprocess
import threading
import time

from harness import test, until
from tests_log_copies import BINARY, ODD, bodies, lines, mixed_store
from tests_log_tool import contents


def target(environment):
    daemon = environment.daemon(data=environment.directory / "target")
    return daemon, "stomp://127.0.0.1:%d" % daemon.address[1]


def delivered(daemon, queue, count):
    with daemon.connect() as client:
        client.subscribe(queue)
        frames = []
        for _ in range(count):
            frames.append(client.expect_message())
            client.write("ACK", id=frames[-1].headers["ack"])
        client.expect_nothing()
    return frames


def replay(environment, *arguments):
    child = subprocess.Popen([environment.options.log_tool, "replay", *map(str, arguments)],
                             stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
                             start_new_session=True)
    environment.children.append(child)
    return child


@test("replay sends unsettled messages in order with headers and bodies as they were")
def replay_exact(environment):
    data = mixed_store(environment)
    before = contents(data)
    daemon, address = target(environment)
    status, report = environment.log_tool_json("replay", data, "--to", address, "--dry-run")
    assert status == 0 and {queue["queue"]: queue["messages"] for queue in report["queues"]} == {
        "/queue/orders": 17, "/queue/binary": 2, "/queue/large": 1, ODD: 1}, report
    status, report = environment.log_tool_json("replay", data, "--to", address)
    assert status == 0 and report["sent"] == 21, report
    orders = delivered(daemon, "/queue/orders", 17)
    assert [frame.body for frame in orders] == [b"order %d" % number for number in range(3, 20)]
    assert orders[0].headers["order"] == "3", orders[0]
    binary = delivered(daemon, "/queue/binary", 2)
    assert [frame.body for frame in binary] == [BINARY, b""]
    assert binary[0].headers["note"] == "a\\cb\\nc\\\\d", binary[0].headers
    assert delivered(daemon, ODD, 1)[0].body == "odd \x00 \x01 \" \\ \x7f text ä€".encode()
    assert delivered(daemon, "/queue/large", 1)[0].body == b"L" * (3 << 20) + b"\xff"
    status, report = environment.log_tool_json(
        "replay", data, "--to", address, "--settled", "--destination", "/queue/again")
    assert status == 0 and report["sent"] == 3, report
    assert [frame.body for frame in delivered(daemon, "/queue/again", 3)] == [
        b"order 0", b"order 1", b"order 2"]
    assert contents(data) == before
    daemon.stop()


@test("replay leaves out what has expired and says so, or sends it without its expiry")
def replay_expired(environment):
    daemon = environment.daemon()
    expires = int(time.time() * 1000) + 2000
    with daemon.connect() as client:
        client.send("/queue/e", "short", expires=expires, kind="a")
        client.send("/queue/e", "long", expiration=3_600_000, kind="b")
    daemon.kill()
    until(lambda: time.time() * 1000 > expires, what="the message expired")
    daemon, address = target(environment)
    status, report = environment.log_tool_json("replay", environment.data, "--to", address)
    assert status == 0 and (report["sent"], report["expired"]) == (1, 1), report
    assert [frame.body for frame in delivered(daemon, "/queue/e", 1)] == [b"long"]
    status, output, errors = environment.log_tool("replay", environment.data, "--to", address,
                                                  "--dry-run")
    assert status == 0 and "1 have expired" in output, (output, errors)
    status, report = environment.log_tool_json(
        "replay", environment.data, "--to", address, "--no-expiry")
    assert status == 0 and (report["sent"], report["expired"]) == (2, 0), report
    frames = delivered(daemon, "/queue/e", 2)
    assert [(frame.body, frame.headers["kind"]) for frame in frames] == [
        (b"short", "a"), (b"long", "b")], frames
    assert not any("expires" in frame.headers or "expiration" in frame.headers for frame in frames)
    daemon.stop()


@test("a message that the broker refuses is named with the broker's words, and counts as not sent")
def replay_refused(environment):
    data = mixed_store(environment)
    other = environment.daemon('[create]\nallow = ["/queue/orders"]\n',
                               data=environment.directory / "target")
    status, report = environment.log_tool_json(
        "replay", data, "--to", "stomp://127.0.0.1:%d" % other.address[1])
    assert status == 3 and report["sent"] == 17 and report["uncertain"] == 0, report
    assert "/queue/binary" in report["interrupted"] and "allow" in report["interrupted"], report
    assert report["after"].startswith("/queue/orders:"), report
    other.stop()


@test("times, queues and places that are probably slips are named")
def slips(environment):
    data = mixed_store(environment)
    for time, hint in (("1795489239", "For seconds, add 000"), ("2026-02-30T00:00:00Z", "such as"),
                       ("yesterday", "such as"), ("-5", "--until")):
        status, output, errors = environment.log_tool("dump", data, "--until", time)
        assert status == 64 and hint in errors and not output, (time, status, errors)
    assert environment.log_tool("dump", data, "--sequence=-5")[0] == 64
    for verb in (("dump",), ("export",), ("tail", "-n", "5")):
        status, output, errors = environment.log_tool(*verb, data, "--queue", "/queue/order")
        assert status == 0 and "/queue/" not in output, (verb, output)
        assert "there is no queue /queue/order; the store has" in errors, errors
        assert "/queue/orders" in errors, errors
    assert environment.log_tool("replay", data, "--until", "2026-01-01T00:00:00Z", "--rate", "3",
                                "--out", environment.directory / "then")[0] == 64
    link = environment.directory / "link"
    link.symlink_to(environment.directory / "nowhere")
    for out, hint in ((link, "is a symbolic link"), ("", "--out is empty")):
        status, _, errors = environment.log_tool("repair", data, "--out", out)
        assert status == 2 and hint in errors, (status, errors)
    ready = environment.directory / "ready"
    ready.mkdir(mode=0o711)
    assert environment.log_tool("repair", data, "--out", ready)[0] == 0
    assert ready.stat().st_mode & 0o777 == 0o711 and any(ready.iterdir())


@test("going back to a time in a segment before the last finds no damage")
def rewind_sealed(environment):
    data = mixed_store(environment, fill=600)
    times = [line["time"]
             for line in lines(environment, "dump", data, "--body", "none")]
    status, report = environment.log_tool_json(
        "replay", data, "--until", times[10], "--out", environment.directory / "then")
    assert status == 0 and report["damage"] == [], report


@test("retain keeps what was acknowledged for replay, over kill -9, and gives its disk back later")
def replay_retained(environment):
    config = '[storage]\nsegment_size = "64KiB"\nmin_free_disk = "0"\nretain = "%s"\n'
    daemon = environment.daemon(config % "1h")
    body = b"x" * 1000
    with daemon.connect() as client:
        for number in range(500):
            client.write("SEND", body=b"%d %s" % (number, body), destination="/queue/jobs")
        client.send("/queue/jobs", b"last")
        client.subscribe("/queue/jobs", prefetch_count="100")
        for _ in range(501):
            client.ack(client.expect_message())
    segments = lambda: [path for path in environment.data.iterdir()
                        if path.name.startswith("segment-")]
    daemon.kill()
    daemon = environment.daemon(config % "1h")
    with daemon.connect() as client:  # new segments and checkpoints, which would let the old ones go
        for _ in range(200):
            client.send("/queue/other", body)
    status, report = environment.log_tool_json("inspect", "--live", environment.data)
    assert status == 0 and report["totals"]["retained_bytes"] > 500_000, report["totals"]
    other, address = target(environment)
    status, report = environment.log_tool_json(
        "replay", "--live", environment.data, "--to", address, "--settled",
        "--queue", "/queue/jobs")
    assert status == 0 and report["sent"] == 501, report
    frames = delivered(other, "/queue/jobs", 501)
    assert [frame.body.split()[0] for frame in frames[:500]] == [b"%d" % n for n in range(500)]
    other.stop()
    daemon.stop()
    daemon = environment.daemon(config % "1s")
    until(lambda: len(segments()) <= 8, 20, "the disk of settled messages")
    daemon.stop()


def catches(pid, number):
    """True once a process has a handler for a signal."""
    with open(f"/proc/{pid}/status") as status:
        mask = next(line.split()[1] for line in status if line.startswith("SigCgt:"))
    return bool(int(mask, 16) >> (number - 1) & 1)


@test("a replay stopped by Ctrl-C goes on behind its last receipt: nothing is missing or doubled")
def replay_interrupted(environment):
    data = mixed_store(environment, fill=3000)
    daemon, address = target(environment)
    arguments = (data, "--to", address, "--queue", "/queue/fill", "--rate", "4000", "--json")
    sent, after, rounds = 0, (), 0
    while True:
        child = replay(environment, *arguments, *after)
        if rounds < 3:
            until(lambda: catches(child.pid, signal.SIGINT), what="the handler of Ctrl-C")
            time.sleep(0.15)
            child.send_signal(signal.SIGINT)
        output, errors = child.communicate(timeout=60)
        report = json.loads(output)
        sent += report["sent"]
        rounds += 1
        if child.returncode == 0:
            break
        assert child.returncode == 3 and report["interrupted"], (report, errors)
        assert report["uncertain"] == 0, report
        after = ("--after", report["after"]) if report["after"] else after
    assert rounds >= 3 and sent == 3000, (rounds, sent)
    assert len(delivered(daemon, "/queue/fill", 3000)) == 3000
    child = replay(environment, *arguments, "--after", "/queue/fill:99999")
    output, errors = child.communicate(timeout=60)
    assert child.returncode == 2 and "--after" in errors, (child.returncode, errors)


@test("a replay whose broker dies says what has no receipt, and continues with another run")
def replay_lost(environment):
    data = mixed_store(environment, fill=3000)
    daemon, address = target(environment)
    child = replay(environment, data, "--to", address, "--queue", "/queue/fill", "--rate", "3000",
                   "--window", "16", "--json")
    time.sleep(0.4)
    daemon.kill()
    output, errors = child.communicate(timeout=60)
    report = json.loads(output)
    assert child.returncode == 3 and report["uncertain"] <= 16, (child.returncode, report, errors)
    daemon, address = target(environment)
    arguments = ("--after", report["after"]) if report["after"] else ()
    status, rest = environment.log_tool_json("replay", data, "--to", address, "--queue",
                                             "/queue/fill", *arguments)
    assert status == 0 and report["sent"] + rest["sent"] == 3000, (report, rest)
    count = 3000
    with daemon.connect() as client:
        client.subscribe("/queue/fill")
        for _ in range(count):
            client.write("ACK", id=client.expect_message().headers["ack"])
        # What had no receipt may have arrived, and then came twice.
        client.request("SEND", b"ping", destination="/topic/nobody.listens")
        doubles = [frame for frame in client.inbox if frame.command == "MESSAGE"]
        assert len(doubles) <= report["uncertain"], (len(doubles), report)
    status, output, errors = environment.log_tool("replay", data, "--to", "stomp://127.0.0.1:1")
    assert status == 2 and "does the broker run" in errors, (status, errors)


@test("a broker that never gives receipts or speaks no STOMP is told from one that works")
def replay_strangers(environment):
    data = mixed_store(environment)
    server = socket.create_server(("127.0.0.1", 0))
    answers = [b"HTTP/1.1 400 Bad Request\r\n\r\n",
               b"CONNECTED\nversion:1.2\n\n\0ERROR\nmessage:no room\n\n\0"]

    def serve():
        for answer in answers:
            peer, _ = server.accept()
            peer.recv(1 << 16)
            peer.sendall(answer)
            time.sleep(0.2)
            peer.close()
    thread = threading.Thread(target=serve, daemon=True)
    thread.start()
    address = "stomp://127.0.0.1:%d" % server.getsockname()[1]
    status, output, errors = environment.log_tool("replay", data, "--to", address)
    assert status == 2 and "STOMP" in errors, (status, errors)
    status, output, errors = environment.log_tool("replay", data, "--to", address)
    assert status in (2, 3) and "no room" in errors, (status, errors)
    thread.join(10)
    server.close()


@test("replay --until --out writes the store as it was, and a daemon serves it")
def replay_until(environment):
    daemon = environment.daemon()
    with daemon.connect() as client:
        for number in range(10):
            client.send("/queue/orders", f"early {number}")
        client.subscribe("/queue/orders")
        for _ in range(2):
            client.ack(client.expect_message())
    time.sleep(0.02)
    instant = int(time.time() * 1000)
    time.sleep(0.02)
    with daemon.connect() as client:
        for number in range(5):
            client.send("/queue/orders", f"late {number}")
        client.subscribe("/queue/orders")
        for _ in range(9):
            client.ack(client.expect_message())
    daemon.stop()
    before = contents(environment.data)
    out = environment.directory / "then"
    status, report = environment.log_tool_json(
        "replay", environment.data, "--until", instant, "--out", out)
    assert status == 0 and report["entries"] == 8 and report["cut"], report
    assert contents(environment.data) == before
    assert environment.log_tool("verify", out)[0] == 0
    early = [f"early {number}".encode() for number in range(2, 10)]
    assert bodies(environment, out, "/queue/orders", 8) == early
    empty = environment.directory / "empty"
    status, report = environment.log_tool_json(
        "replay", environment.data, "--until", "2020-01-01T00:00:00Z", "--out", empty)
    assert status == 0 and report["entries"] == 0, report
    assert environment.log_tool("verify", empty)[0] == 0
    status, output, errors = environment.log_tool(
        "replay", environment.data, "--until", instant)
    assert status == 64, (status, errors)


@test("tail -f shows each message of a running store once, through seals and restarts")
def tail_follows(environment):
    config = '[storage]\nsegment_size = "1MiB"\n'
    daemon = environment.daemon(config)
    with daemon.connect() as client:
        for number in range(20):
            client.send("/queue/orders", f"{number} old")
    path = environment.directory / "tail.jsonl"
    with open(path, "wb") as file:
        child = subprocess.Popen([environment.options.log_tool, "tail", "-f", "-n", "3",
                                  "--queue", "/queue/ord*", str(environment.data)],
                                 stdout=file, stderr=subprocess.PIPE, start_new_session=True)
    environment.children.append(child)
    until(lambda: path.read_bytes().count(b"\n") == 3, what="the last three lines")
    for start in (20, 1520):
        with daemon.connect() as client:
            for number in range(start, start + 1500):
                client.write("SEND", b"%d " % number + b"x" * 2000, destination="/queue/orders",
                             persistent="true")
            client.send("/queue/other", "unseen")
        if start == 20:
            daemon.kill()
            daemon = environment.daemon(config)
    until(lambda: path.read_bytes().count(b"\n") >= 3 + 3000, what="every message in the tail")
    child.send_signal(signal.SIGINT)
    child.wait(10)
    shown = [int(json.loads(line)["body"].split()[0]) for line in open(path)]
    assert shown == list(range(17, 3020)), (len(shown), shown[:5])
    assert len(list(environment.data.glob("segment-*"))) > 3
    child.stderr.close()
    last = lines(environment, "tail", "-n", "2", environment.data, "--queue", "/queue/orders")
    assert [int(line["body"].split()[0]) for line in last] == [3018, 3019]


@test("every verb answers --help, and wrong arguments end with status 64")
def help_texts(environment):
    for verb in ("inspect", "verify", "dump", "export", "import", "repair", "snapshot", "replay",
                 "tail"):
        status, output, errors = environment.log_tool(verb, "--help")
        assert status == 0 and "EXIT STATUS" in output and "EXAMPLES" in output, verb
        assert environment.log_tool(verb, "--no-such-option")[0] == 64, verb
    for wrong in (("dump", "x", "--from", "yesterday"), ("dump", "x", "--sequence", "b-a"),
                  ("replay", "x"), ("replay", "x", "--to", "http://h:1"),
                  ("dump", "x", "--settled", "--unsettled")):
        assert environment.log_tool(*wrong)[0] == 64, wrong
