"""Clients under load, thousands of frames in flight, driven by one loop on one thread."""

import select
import time

import stompwire


class Actor:
    """A connection that the loop reads from and writes to whenever it can."""

    def __init__(self, address, **options):
        self.client = stompwire.Client(address, **options)
        self.client.socket.setblocking(False)
        self.outgoing = bytearray()
        self.closed = False
        self.error = None

    def on_frame(self, frame):
        raise NotImplementedError

    def refill(self):
        """Adds to `outgoing` what may be written now."""

    def read(self):
        try:
            for frame in self.client.read_some(0):
                if frame.command == "ERROR":
                    self.error = frame
                else:
                    self.on_frame(frame)
        except stompwire.Closed:
            self.closed = True

    def write(self):
        try:
            sent = self.client.socket.send(self.outgoing[:1 << 18])
            del self.outgoing[:sent]
        except BlockingIOError:
            pass
        except ConnectionError:
            # What the other side wrote before it went away can still be read.
            self.outgoing.clear()


class Producer(Actor):
    """Sends numbered persistent messages with receipts, at most `window` of them in flight."""

    def __init__(self, address, destination, first=0, window=3000, padding=80, limit=None):
        super().__init__(address)
        self.destination = destination
        self.window, self.padding, self.limit = window, padding, limit
        self.next = first          # the number of the next message
        self.receipted = first     # every message below it has its receipt
        self.paused = False

    def body(self, number):
        return f"{number} ".encode() + b"%08d" % (number % 99999999) * (self.padding // 8)

    def refill(self):
        while (not self.paused and len(self.outgoing) < 1 << 16
               and self.next - self.receipted < self.window
               and (self.limit is None or self.next < self.limit)):
            self.outgoing += stompwire.encode("SEND", self.body(self.next), {
                "destination": self.destination, "persistent": "true", "receipt": self.next})
            self.next += 1

    def on_frame(self, frame):
        wanted = str(self.receipted)
        assert frame.headers.get("receipt-id") == wanted, \
            f"receipt {wanted} was due, got {stompwire.describe(frame)}"
        self.receipted += 1


class Settler(Actor):
    """Takes messages and acknowledges each with a receipt."""

    def __init__(self, address, destination, prefetch=500, limit=None):
        super().__init__(address)
        self.limit = limit
        self.taken, self.settled = [], []   # numbers: delivered and acknowledged; receipted
        self.outgoing += stompwire.encode("SUBSCRIBE", b"", {
            "destination": destination, "id": "s", "ack": "client-individual",
            "prefetch-count": prefetch})

    def on_frame(self, frame):
        if frame.command == "RECEIPT":
            self.settled.append(int(frame.headers["receipt-id"]))
        elif self.limit is None or len(self.taken) < self.limit:
            number = number_of(frame)
            self.taken.append(number)
            self.outgoing += stompwire.encode(
                "ACK", b"", {"id": frame.headers["ack"], "receipt": number})


class Reader(Actor):
    """Takes messages of an `ack:auto` subscription."""

    def __init__(self, address, destination):
        super().__init__(address)
        self.numbers = []
        self.subscribed = False
        self.outgoing += stompwire.encode("SUBSCRIBE", b"", {
            "destination": destination, "id": "s", "ack": "auto", "receipt": "ready"})

    def on_frame(self, frame):
        if frame.command == "RECEIPT":
            self.subscribed = True
        else:
            self.numbers.append(number_of(frame))


def number_of(frame):
    """The number that a message carries; its padding must be whole."""
    assert frame.command == "MESSAGE", f"unwanted {stompwire.describe(frame)}"
    text, _, padding = frame.body.partition(b" ")
    number = int(text)
    block = b"%08d" % (number % 99999999)
    assert padding == block * (len(padding) // 8), f"message {number} has a damaged body"
    return number


def pump(actors, done, seconds=60, what="the load"):
    """Reads and writes until `done()` holds, or until every connection is closed."""
    deadline = time.monotonic() + seconds
    while not done():
        alive = [actor for actor in actors if not actor.closed]
        if not alive:
            return
        for actor in alive:
            actor.refill()
        readable, writable, _ = select.select(
            [actor.client for actor in alive],
            [actor.client for actor in alive if actor.outgoing], [], 0.5)
        for actor in alive:
            if actor.client in writable:
                actor.write()
            if actor.client in readable:
                actor.read()
        if time.monotonic() > deadline:
            raise AssertionError(f"{what} did not end within {seconds} s")


def drain(actors, seconds=20):
    """Reads what the daemon wrote before it ended; closes the sockets."""
    for actor in actors:
        actor.paused = True
        actor.outgoing.clear()
    pump(actors, lambda: False, seconds, "closing of the connections")
    for actor in actors:
        actor.client.close()


def browse(address, destination):
    """The numbers of every message in a queue, in order, all given back afterwards.

    A marker at the queue's end says when everything was seen; it is taken out again.
    """
    with stompwire.Client(address) as client:
        client.send(destination, b"the end")
        client.write("SUBSCRIBE", destination=destination, id="browse",
                     ack="client-individual", prefetch_count="65535")
        numbers = []
        while (frame := client.next_frame()).body != b"the end":
            numbers.append(number_of(frame))
        client.ack(frame)
        client.request("DISCONNECT")
        return numbers
