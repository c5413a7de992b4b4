"""Bad input and slow clients: a named error for the culprit, nothing for anybody else."""

import os
import pathlib
import random
import socket
import time

import stompwire
from harness import test, until
from load import Actor, Producer, Reader, pump

LIMITS = '[stomp]\nmax_body = "64KiB"\nmax_headers = 16\nmax_header_bytes = "4KiB"\n'
BODY_BYTES = 64 << 10


@test("a frame at each limit passes, one past it gets an ERROR that names the limit")
def frame_limits(environment):
    daemon = environment.daemon(LIMITS)
    bystander = daemon.connect()
    bystander.subscribe("/queue/by", ack="auto", id="s")

    def others_go_on():
        bystander.send("/queue/by", "still here")
        bystander.expect_message("still here")

    with daemon.connect() as client:
        client.send("/queue/q", b"x" * BODY_BYTES)
        client.request("SEND", destination="/queue/q", **{f"h{i}": i for i in range(13)})
    with daemon.connect() as client:
        client.write("SEND", b"x" * (BODY_BYTES + 1), destination="/queue/q")
        client.expect_error_and_close("max_body")
        others_go_on()
    with daemon.connect() as client:
        # Without content-length the limit must hold before a NUL has come.
        client.write_bytes(b"SEND\ndestination:/queue/q\n\n" + b"x" * (BODY_BYTES + 100))
        client.expect_error_and_close("max_body")
        others_go_on()
    with daemon.connect() as client:
        client.write("SEND", destination="/queue/q", **{f"h{i}": i for i in range(16)})
        client.expect_error_and_close("max_headers")
        others_go_on()
    with daemon.connect() as client:
        client.write("SEND", destination="/queue/q", long="x" * 5000)
        client.expect_error_and_close("max_header_bytes")
        others_go_on()
    with daemon.connect() as client:
        client.write_bytes(b"SEND\nlong:" + b"x" * 5000)  # no line end, ever
        client.expect_error_and_close("max_header_bytes")
        others_go_on()
    with daemon.connect(connect=False) as client:
        client.write("CONNECT", accept_version="1.2", host="/", long="x" * 5000)
        client.expect_error_and_close("max_header_bytes")
    others_go_on()
    daemon.stop()


@test("a body length that is announced and never sent costs no memory")
def announced_length(environment):
    daemon = environment.daemon()
    clients = [daemon.connect() for _ in range(50)]
    before = daemon.memory()
    for client in clients:
        client.write_bytes(b"SEND\ndestination:/queue/q\ncontent-length:16777216\n\nx")
    with daemon.connect() as client:
        client.send("/queue/other", "x")
    assert daemon.memory() - before < 64 << 20, f"{daemon.memory() - before} bytes more"
    with daemon.connect() as client:
        client.write_bytes(b"SEND\ndestination:/queue/q\ncontent-length:999999999999999999999\n\n")
        client.expect_error_and_close("")
    daemon.stop()


@test("garbage gets an ERROR or a close, and harms nobody else")
def garbage(environment):
    daemon = environment.daemon()
    bystander = daemon.connect()
    generator = random.Random(7)
    samples = [
        generator.randbytes(4096), b"\0" * 4096, b"\xff" * 200_000, b"\n" * 4096 + b"\0\0\0",
        b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n",
        bytes.fromhex("16030100c8010000c40303") + generator.randbytes(200),
        b"CONNECT\naccept-version:1.2\n\n" + b"not empty\0" + generator.randbytes(100),
        b"CONNECT\n\xc3\x28:\xa0\xa1\n\n\0", b"A" * 200_000,
    ]
    samples += [generator.randbytes(generator.randrange(1, 300)) + b"\n\n\0" for _ in range(40)]
    for data in samples:
        for connected in (False, True):
            client = daemon.connect(connect=connected)
            try:
                client.write_bytes(data)
                client.socket.shutdown(socket.SHUT_WR)
                frames = client.expect_close()
            except OSError:
                frames = []  # reset while we were writing: closed as well
            client.close()
            commands = {frame.command for frame in frames}
            assert commands <= {"ERROR", "CONNECTED"}, f"{data[:40]!r} got {commands}"
        bystander.send("/topic/t", "alive")
    daemon.stop()


@test("a client that does not finish its CONNECT in time is dropped")
def half_open(environment):
    daemon = environment.daemon('[stomp]\nconnect_timeout = "400ms"\n')
    bystander = daemon.connect()
    start = time.monotonic()
    silent, half = daemon.connect(connect=False), daemon.connect(connect=False)
    half.write_bytes(b"CONNECT\naccept-version:1.2\nho")
    for client in (silent, half):
        client.expect_close(wait=10)
        client.close()
    assert 0.3 <= time.monotonic() - start <= 5, "not in time"
    bystander.expect_nothing()
    daemon.stop()


@test("a thousand connections that come and go leave no descriptors behind")
def connections_come_and_go(environment):
    import os
    daemon = environment.daemon()
    bystander = daemon.connect()
    before = len(os.listdir(f"/proc/{daemon.pid}/fd"))
    for _ in range(10):
        clients = [daemon.connect(connect=number % 2 == 0) for number in range(100)]
        for number, client in enumerate(clients):
            if number % 3 == 0 and client.connected:
                client.subscribe(f"/queue/q{number}")
            if number % 5 == 0:
                client.write_bytes(b"SEND\ndestination:/queue")
            client.close()
    until(lambda: len(os.listdir(f"/proc/{daemon.pid}/fd")) <= before + 2, what="closing")
    bystander.expect_nothing()
    daemon.stop()


def kernel_bytes_unsent(daemon, client):
    """What the kernel holds of the daemon's output for a client: tx_queue of /proc/net/tcp."""
    ports = f":{daemon.address[1]:04X}", f":{client.socket.getsockname()[1]:04X}"
    for line in pathlib.Path("/proc/net/tcp").read_text().splitlines():
        fields = line.split()
        if fields[1].endswith(ports[0]) and fields[2].endswith(ports[1]):
            return int(fields[4].split(":")[0], 16)
    raise AssertionError("no such connection")


@test("a topic subscriber that never reads costs bounded memory and delays nobody", alone=True)
def slow_topic_reader(environment):
    daemon = environment.daemon()
    stuck = daemon.connect(receive_buffer=4096)
    stuck.subscribe("/topic/t", ack="auto", id="s")
    reader = Reader(daemon.address, "/topic/t")
    pump([reader], lambda: reader.subscribed)
    before = daemon.memory()
    total = 1600
    publisher = Producer(daemon.address, "/topic/t", window=8, padding=BODY_BYTES, limit=0)
    while publisher.limit < total:
        publisher.limit += 8  # half of a subscriber's buffer, then wait for the reader
        pump([publisher, reader], lambda: len(reader.numbers) == publisher.limit)
    assert reader.numbers == list(range(total))
    grown = daemon.memory("VmHWM") - before
    assert grown < 64 << 20, f"{grown >> 20} MiB more for a client that does not read"
    unsent = kernel_bytes_unsent(daemon, stuck)
    assert 0 < unsent < 512 << 10, f"{unsent} bytes of the kernel's memory"
    stuck.close()
    with daemon.connect() as client:
        client.expect_nothing()
    daemon.stop()


@test("a queue subscriber that never reads costs bounded memory and takes little", alone=True)
def slow_queue_reader(environment):
    daemon = environment.daemon()
    stuck = Reader(daemon.address, "/queue/q")
    pump([stuck], lambda: stuck.subscribed)
    before = daemon.memory()
    total = 1600
    producer = Producer(daemon.address, "/queue/q", window=16, padding=BODY_BYTES, limit=total)
    other = Producer(daemon.address, "/queue/other", window=16, padding=1024, limit=total)
    other_reader = Reader(daemon.address, "/queue/other")
    pump([producer, other, other_reader], lambda: (
        producer.receipted == total and len(other_reader.numbers) == total))
    assert other_reader.numbers == list(range(total))
    grown = daemon.memory("VmHWM") - before
    assert grown < 96 << 20, f"{grown >> 20} MiB more for a client that does not read"

    reader = Reader(daemon.address, "/queue/q")
    pump([reader], lambda: len(reader.numbers) > total // 2, what="the second subscriber")
    pump([reader, stuck], lambda: len(reader.numbers) + len(stuck.numbers) >= total)
    assert reader.numbers == sorted(reader.numbers) and stuck.numbers == sorted(stuck.numbers)
    assert sorted(reader.numbers + stuck.numbers) == list(range(total))
    daemon.stop()


class Flood(Actor):
    """Publishes without receipts and without ever reading."""

    def __init__(self, address):
        super().__init__(address)
        self.frame = stompwire.encode("SEND", b"x" * 1024, {
            "destination": "/queue/flood", "receipt": "never-read-by-the-one-who-asked" * 20})
        self.sent = 0

    def refill(self):
        if len(self.outgoing) < 1 << 16:
            self.outgoing += self.frame * 64
            self.sent += 64 * len(self.frame)

    def read(self):
        pass


@test("a producer that never reads its receipts is held back, not buffered", alone=True)
def receipts_never_read(environment):
    daemon = environment.daemon()
    flood = Flood(daemon.address)
    before = daemon.memory()
    end = time.monotonic() + 6
    pump([flood], lambda: flood.sent > 200 << 20 or time.monotonic() > end)
    grown = daemon.memory("VmHWM") - before
    assert grown < 96 << 20, f"{grown >> 20} MiB more after {flood.sent >> 20} MiB"
    with daemon.connect() as client:
        client.send("/queue/q", "still served")
    flood.client.close()
    daemon.stop()


@test("out of descriptors it stops accepting, keeps serving, burns no CPU, and goes on later")
def out_of_descriptors(environment):
    daemon = environment.run_daemon(
        ["sh", "-c", 'ulimit -n 96; exec "$@"', "sh", environment.options.daemon,
         "--data", str(environment.data), "--listen", "127.0.0.1:0"])
    inside = daemon.connect()
    crowd = [socket.create_connection(daemon.address) for _ in range(200)]
    before = cpu_ticks(daemon.pid)
    inside.send("/queue/q", "in the crowd")
    time.sleep(1)
    assert cpu_ticks(daemon.pid) - before < 50, "accepting spins"
    for member in crowd:
        member.close()
    daemon.connect().request("SEND", b"later", destination="/queue/q")
    daemon.stop()


def cpu_ticks(pid):
    with open(f"/proc/{pid}/stat") as stat:
        fields = stat.read().rsplit(") ", 1)[1].split()
    return int(fields[11]) + int(fields[12])
