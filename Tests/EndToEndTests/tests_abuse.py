"""Clients that mean harm, or act as if: memory and CPU stay bounded, and the others are served."""

import concurrent.futures
import pathlib
import socket
import time

import stompwire
from harness import test, until

MIB = 1 << 20


def deaf_subscriber(daemon, destination):
    """Subscribes and never reads a byte."""
    client = stompwire.Client(daemon.address, receive_buffer=4096)
    client.subscribe(destination, ack="auto")
    return client


def flood(daemon, destination, count, body=b""):
    """Sends `count` messages and waits until the last was taken."""
    with daemon.connect() as sender:
        frame = stompwire.encode("SEND", body, {"destination": destination})
        for start in range(0, count, 5000):
            sender.write_bytes(frame * min(5000, count - start))
        sender.request("SEND", destination="/topic/nobody.listens")


def cpu_seconds(daemon):
    fields = pathlib.Path(f"/proc/{daemon.pid}/stat").read_text().rsplit(")", 1)[1].split()
    return (int(fields[11]) + int(fields[12])) / 100


@test("empty messages for clients that never read take bounded memory")
def empty_messages(environment):
    daemon = environment.daemon('[storage]\nfsync = "never"\n')
    deaf = [deaf_subscriber(daemon, "/queue/deaf")]
    deaf += [deaf_subscriber(daemon, "/topic/deaf") for _ in range(5)]
    before = daemon.memory()
    flood(daemon, "/queue/deaf", 200_000)
    flood(daemon, "/topic/deaf", 100_000)
    grown = daemon.memory() - before
    assert grown < 40 * MIB, f"grew by {grown >> 20} MiB"
    for client in deaf:
        client.close()
    daemon.stop()


@test("a memory queue of empty messages is full at a number of them")
def empty_memory_queue(environment):
    daemon = environment.daemon(
        '[[queue]]\nname = "/queue/m"\nstorage = "memory"\nmax_bytes = "1MiB"\n')
    flood(daemon, "/queue/m", 8192)
    with daemon.connect() as client:
        client.write("SEND", destination="/queue/m")
        client.expect_error_and_close("/queue/m", "max_messages = 8192")
    daemon.stop()


@test("a large message for many who do not read is held once", alone=True)
def large_message(environment):
    daemon = environment.daemon()
    deaf = [deaf_subscriber(daemon, "/topic/large") for _ in range(30)]
    body = b"x" * (15 * MIB)
    with daemon.connect() as listener, daemon.connect() as sender:
        listener.subscribe("/topic/large", ack="auto")
        before = daemon.memory()
        sender.request("SEND", body, destination="/topic/large")
        listener.expect_message(body)
        grown = daemon.memory() - before
    assert grown < 120 * MIB, f"grew by {grown >> 20} MiB"
    for client in deaf:
        client.close()
    daemon.stop()


def fill(client, data):
    """Writes as much as goes; the rest of `data`."""
    client.socket.setblocking(False)
    try:
        while data:
            data = data[client.socket.send(data[:MIB]):]
    except BlockingIOError:
        pass
    client.socket.setblocking(True)
    return data


@test("frames that never end take bounded memory, and whoever finishes his is served", alone=True)
def unfinished_frames(environment):
    daemon = environment.daemon('[limits]\nunfinished_frame_bytes = "32MiB"\n')
    before = daemon.memory()
    size = 12 * MIB
    frame = stompwire.encode("SEND", b"x" * size, {"destination": "/queue/large", "receipt": "r"})
    halves = []
    for _ in range(30):
        client = daemon.connect()
        halves.append((client, fill(client, frame[:size // 2]) + frame[size // 2:]))
    with daemon.connect() as other:
        other.send("/queue/small", "passes")
    grown = daemon.memory("VmHWM") - before
    assert grown < 110 * MIB, f"grew by {grown >> 20} MiB"
    # All but a few stop for good; the others are received one after another.
    for client, _ in halves[:24]:
        client.close()
    with concurrent.futures.ThreadPoolExecutor(6) as pool:
        for sent in [pool.submit(client.write_bytes, rest) for client, rest in halves[24:]]:
            sent.result()
    for client, _ in halves[24:]:
        assert client.expect("RECEIPT").headers["receipt-id"] == "r"
        client.close()
    daemon.stop()


@test("open transactions of many connections share one bound")
def open_transactions(environment):
    daemon = environment.daemon('[limits]\nopen_transaction_bytes = "8MiB"\n')
    body = b"x" * MIB
    with daemon.connect() as first, daemon.connect() as second:
        for client, count in ((first, 4), (second, 3)):
            client.request("BEGIN", transaction="t")
            for _ in range(count):
                client.request("SEND", body, destination="/queue/t", transaction="t")
        second.write("SEND", body, destination="/queue/t", transaction="t")
        second.expect_error_and_close("transaction t", "open_transaction_bytes = 8388608")
        for _ in range(3):
            first.request("SEND", body, destination="/queue/t", transaction="t")
        first.request("COMMIT", transaction="t")
    daemon.stop()


def acknowledge_backwards(daemon, version):
    """CPU seconds for 30,000 acknowledgements from the last message to the first."""
    with daemon.connect(version=version) as client:
        client.subscribe("/queue/back", prefetch_count=65535)
        messages = []
        while len(messages) < 30_000:
            messages += [f for f in client.read_some() if f.command == "MESSAGE"]
        frames = []
        for message in reversed(messages):
            name = {"id": message.headers["ack"]} if version == "1.2" else {
                "subscription": "s", "message-id": message.headers["message-id"]}
            frames.append(stompwire.encode("ACK", headers=name))
        before = cpu_seconds(daemon)
        client.write_bytes(b"".join(frames))
        client.request("SEND", destination="/topic/nobody.listens")
        return cpu_seconds(daemon) - before


@test("acknowledging from the last to the first is no harder by message-id than by ack id",
      alone=True)
def backwards(environment):
    daemon = environment.daemon('[storage]\nfsync = "never"\n')
    flood(daemon, "/queue/back", 30_000)
    by_ack_id = acknowledge_backwards(daemon, "1.2")
    flood(daemon, "/queue/back", 30_000)
    by_message_id = acknowledge_backwards(daemon, "1.1")
    assert by_message_id < 5 * by_ack_id + 0.3, f"{by_message_id} s against {by_ack_id} s"
    with daemon.connect() as client:
        client.subscribe("/queue/back")
        client.expect_nothing()
    daemon.stop()


@test("cumulative acknowledgements do not pay for what a transaction holds", alone=True)
def held_by_transaction(environment):
    daemon = environment.daemon('[storage]\nfsync = "never"\n')
    flood(daemon, "/queue/held", 20_000)
    with daemon.connect() as client:
        client.subscribe("/queue/held", ack="client", prefetch_count=65535)
        ids = []
        while len(ids) < 20_000:
            ids += [f.headers["ack"] for f in client.read_some() if f.command == "MESSAGE"]
        client.request("BEGIN", transaction="t")
        client.request("ACK", id=ids[9_999], transaction="t")
        before = cpu_seconds(daemon)
        client.write_bytes(b"".join(
            stompwire.encode("ACK", headers={"id": id}) for id in ids[10_000:-1]))
        client.request("ABORT", transaction="t")
        used = cpu_seconds(daemon) - before
        assert used < 1, f"{used} s"
        # What the transaction held is in flight again, and comes within reach again.
        client.request("ACK", id=ids[-1])
    with daemon.connect() as client:
        client.subscribe("/queue/held")
        client.expect_nothing()
    daemon.stop()


@test("a client that ends its output still gets the receipts of what it sent")
def half_closed(environment):
    daemon = environment.daemon()
    with daemon.connect(connect=False) as client:
        client.write("CONNECT", accept_version="1.2", host="/")
        for number in range(100):
            client.write("SEND", b"x", destination="/queue/half", receipt=number)
        client.write("DISCONNECT", receipt="bye")
        client.socket.shutdown(socket.SHUT_WR)
        frames = client.expect_close()
    receipts = [f.headers["receipt-id"] for f in frames if f.command == "RECEIPT"]
    assert receipts == [str(number) for number in range(100)] + ["bye"], receipts
    descriptors = pathlib.Path(f"/proc/{daemon.pid}/fd")
    open_now = len(list(descriptors.iterdir()))
    for _ in range(20):
        daemon.connect().socket.shutdown(socket.SHUT_WR)
    until(lambda: len(list(descriptors.iterdir())) <= open_now, what="every socket closed")
    daemon.stop()


@test("a client that reads slowly, but reads, gets its last receipts and the ERROR after 3 MB")
def slow_ends(environment):
    daemon = environment.daemon()
    body = b"x" * (3 * MIB)
    for name, end, last in (("shut", None, "r1"), ("bye", b"DISCONNECT\nreceipt:bye\n\n\0", "bye"),
                            ("bad", b"NONSENSE\n\n\0", None)):
        queue = f"/queue/slow.{name}"
        with daemon.connect() as sender:
            sender.send(queue, body)
        with daemon.connect(receive_buffer=8192) as client:
            client.write("SUBSCRIBE", destination=queue, id="s", ack="client")
            client.write("SEND", b"y", destination="/queue/other", receipt="r1")
            data = client.socket.recv(1 << 16)  # the message is on its way
            if end:
                client.write_bytes(end)
            else:
                client.socket.shutdown(socket.SHUT_WR)
            # 1 MB a second, so that it takes longer than the connection would be kept otherwise.
            frames, begin, count = [], time.monotonic(), 0
            while data:
                count += len(data)
                frames += client.parser.feed(data)
                time.sleep(max(0, begin + count / MIB - time.monotonic()))
                data = client.socket.recv(1 << 16)
        found = [f.headers["receipt-id"] for f in frames if f.command == "RECEIPT"]
        assert [f.command for f in frames][0] == "MESSAGE" and "r1" in found, (name, found, count)
        if last:
            assert found[-1] == last, (name, found)
        else:
            assert frames[-1].command == "ERROR", (name, [f.command for f in frames])
    daemon.stop()


@test("a client that says goodbye, or errs, and closes its side gets all that waited for its socket")
def closes_early(environment):
    daemon = environment.daemon()
    body = b"x" * (3 * MIB)
    for number, (end, pause) in enumerate(((b"DISCONNECT\nreceipt:bye\n\n\0", 0),
                                           (b"DISCONNECT\nreceipt:bye\n\n\0", 0.3),
                                           (b"NONSENSE\n\n\0", 0), (b"NONSENSE\n\n\0", 0.3))):
        queue = f"/queue/early.{number}"
        with daemon.connect() as sender:
            sender.send(queue, body)
        with daemon.connect(receive_buffer=8192) as client:
            client.write("SUBSCRIBE", destination=queue, id="s", ack="client")
            frames = client.parser.feed(client.socket.recv(1024))  # the message is on its way
            client.write_bytes(end)
            time.sleep(pause)
            client.socket.shutdown(socket.SHUT_WR)
            time.sleep(0.3)
            frames += client.expect_close()
        commands = [frame.command for frame in frames]
        last = "RECEIPT" if b"bye" in end else "ERROR"
        assert commands == ["MESSAGE", last], (end, pause, commands)
        assert frames[0].body == body, (end, pause, len(frames[0].body))
    # Receipts alone, too: of a topic they are given at once.
    count = 40_000
    frame = stompwire.encode("SEND", b"", {"destination": "/topic/early", "receipt": "r" * 60})
    with daemon.connect(receive_buffer=8192) as client:
        def send():
            client.write_bytes(frame * count + b"DISCONNECT\nreceipt:bye\n\n\0")
            client.socket.shutdown(socket.SHUT_WR)
        with concurrent.futures.ThreadPoolExecutor(1) as threads:
            sending = threads.submit(send)
            concurrent.futures.wait([sending], timeout=0.5)
            frames = client.expect_close()
    receipts = [frame.headers["receipt-id"] for frame in frames]
    assert len(receipts) == count + 1 and receipts[-1] == "bye", (len(receipts), receipts[-1:])
    daemon.stop()


@test("control characters from a client do not reach the log as they are")
def log_lines(environment):
    daemon = environment.daemon()
    for text in ("a\\nforged", "a\u202eforged", "a\u009b31m", "a\u0085forged", "a\u2028forged", "a\x1b[31m"):
        with daemon.connect() as client:
            client.write("COMMIT", transaction=text)
            client.expect_error_and_close("not open")
    until(lambda: daemon.log().count("is not open") == 6, what="six log lines")
    bad = [c for c in daemon.log().replace("\n", "") if ord(c) < 32 or 127 <= ord(c) < 160
           or c in "\u2028\u2029\u202e"]
    assert not bad and "\nforged" not in daemon.log(), bad
    daemon.stop()
