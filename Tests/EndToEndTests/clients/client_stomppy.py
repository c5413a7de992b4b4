"""What stomp.py (Python, STOMP 1.2) does against a broker; see README.md for the verbs."""

import os
import queue
import sys

import stomp

BINARY = bytes(range(256)) * 8 + b"\x00\x00end\n\x00"
PERSISTENT = {"persistent": "true"}


class Inbox(stomp.ConnectionListener):
    """Frames of the receiver thread, in order, for the main thread to take."""

    def __init__(self):
        self.messages, self.receipts = queue.Queue(), queue.Queue()

    def on_message(self, frame):
        self.messages.put(frame)

    def on_receipt(self, frame):
        self.receipts.put(frame.headers["receipt-id"])

    def on_error(self, frame):
        self.messages.put(RuntimeError(f"ERROR frame: {frame.headers} {frame.body}"))

    def on_disconnected(self):
        self.receipts.put(None)
        self.messages.put(None)


def connect(host, port):
    connection = stomp.Connection12(
        [(host, port)], auto_decode=False, vhost="/", reconnect_attempts_max=1, heartbeats=(5000, 5000))
    inbox = Inbox()
    connection.set_listener("inbox", inbox)
    connection.connect(os.environ.get("STOMP_LOGIN", "guest"), os.environ.get("STOMP_PASSCODE", "guest"),
                       wait=True)
    return connection, inbox


def send(connection, inbox, destination, body, **headers):
    """Sends and waits for the receipt; false when the connection was lost."""
    receipt = headers.setdefault("receipt", f"send-{id(body)}")
    connection.send(destination, body, headers={**PERSISTENT, **headers})
    return inbox.receipts.get(timeout=20) == receipt


def receive(inbox, wait=20):
    frame = inbox.messages.get(timeout=wait)
    if isinstance(frame, Exception):
        raise frame
    return frame


def expect(actual, wanted, what):
    if actual != wanted:
        sys.exit(f"{what}: wanted {wanted!r}, got {actual!r}")


def check(host, port):
    connection, inbox = connect(host, port)
    name = f"/queue/check.stomppy.{os.getpid()}"
    for number in range(10):
        expect(send(connection, inbox, name, f"body {number}"), True, "receipt of a SEND")
    connection.subscribe(
        name, id="q", ack="client-individual", headers={"prefetch-count": "10"})
    for number in range(10):
        frame = receive(inbox)
        expect(frame.body, f"body {number}".encode(), "message in order")
        connection.ack(frame.headers["ack"])

    connection.begin(transaction="kept")
    connection.send(name, "one", transaction="kept", headers=PERSISTENT)
    connection.send(name, "two", transaction="kept", headers=PERSISTENT)
    connection.commit(transaction="kept", receipt="commit")
    expect(inbox.receipts.get(timeout=20), "commit", "receipt of COMMIT")
    for body in (b"one", b"two"):
        frame = receive(inbox)
        expect(frame.body, body, "message of a committed transaction")
        connection.ack(frame.headers["ack"])
    connection.begin(transaction="dropped")
    connection.send(name, "never", transaction="dropped", headers=PERSISTENT)
    connection.abort(transaction="dropped")

    expect(send(connection, inbox, name, BINARY), True, "receipt of a binary body")
    frame = receive(inbox)
    expect(frame.body, BINARY, "binary body, and nothing of the aborted transaction")
    connection.ack(frame.headers["ack"])
    connection.unsubscribe("q")

    topic = f"/topic/check.stomppy.{os.getpid()}"
    connection.subscribe(topic, id="t", headers={"receipt": "topic"})
    expect(inbox.receipts.get(timeout=20), "topic", "receipt of SUBSCRIBE")
    connection.send(topic, "news", headers={"colour": "a:b\\c"})
    frame = receive(inbox)
    expect(frame.body, b"news", "topic message")
    expect(frame.headers["colour"], "a:b\\c", "escaped header")
    connection.disconnect(receipt="bye")
    # stomp.py tells of the lost connection before it tells of the receipt that ended it.
    ends = [inbox.receipts.get(timeout=20), inbox.receipts.get(timeout=20)]
    expect(ends, [None, "bye"], "receipt of DISCONNECT")


def produce(host, port, name, first):
    connection, inbox = connect(host, port)
    number = int(first)
    try:
        while send(connection, inbox, name, str(number), receipt=str(number)):
            print(number, flush=True)
            number += 1
    except (stomp.exception.NotConnectedException, OSError):
        pass


def settle(host, port, name):
    connection, inbox = connect(host, port)
    connection.subscribe(name, id="q", ack="client-individual")
    try:
        while (frame := receive(inbox)) is not None:
            number = frame.body.decode()
            print("ack", number, flush=True)
            connection.ack(frame.headers["ack"], receipt=number)
            if inbox.receipts.get(timeout=20) != number:
                break
            print(number, flush=True)
    except (stomp.exception.NotConnectedException, OSError, queue.Empty):
        pass


verb, host, port, *rest = sys.argv[1:]
{"check": check, "produce": produce, "settle": settle}[verb](host, int(port), *rest)
