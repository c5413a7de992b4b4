"""A STOMP client with nothing between the test and the bytes: frames in, frames out, no threads.

`Client` is for tests that look at single frames. `Client.write` and `Client.read_some` are for
those that pipeline: they never wait for an answer by themselves.
"""

import select
import socket
import time
from typing import NamedTuple

WAIT_SECONDS = 20


class Closed(Exception):
    """The other side closed the connection."""


class Frame(NamedTuple):
    command: str
    headers: dict
    body: bytes


def encode(command, body=b"", headers=None):
    """The bytes of one frame; headers are written as they are, without escapes."""
    lines = [command, *(f"{name}:{value}" for name, value in (headers or {}).items())]
    if body:
        lines.append(f"content-length:{len(body)}")
    return "\n".join(lines).encode() + b"\n\n" + body + b"\0"


class Parser:
    """Bytes in, whole frames out. Trusts the broker's syntax; heart-beats are counted."""

    def __init__(self):
        self.pending = bytearray()
        self.beats = 0
        self.is_line_end_due = False

    def feed(self, data):
        self.pending += data
        frames, start = [], 0
        while True:
            while start < len(self.pending) and self.pending[start] == 10:
                start += 1
                self.beats += not self.is_line_end_due
                self.is_line_end_due = False
            assert not self.is_line_end_due or start == len(self.pending), "a line end is missing"
            head_end = self.pending.find(b"\n\n", start)
            if head_end < 0:
                break
            command, *lines = self.pending[start:head_end].decode().split("\n")
            headers = {}
            for line in lines:
                name, _, value = line.partition(":")
                headers.setdefault(name, value)
            body_start = head_end + 2
            if "content-length" in headers:
                body_end = body_start + int(headers["content-length"])
            else:
                body_end = self.pending.find(b"\0", body_start)
            if body_end < 0 or body_end >= len(self.pending):
                break
            assert self.pending[body_end] == 0, "a frame without its NUL"
            body = bytes(self.pending[body_start:body_end])
            frames.append(Frame(command, headers, body))
            start = body_end + 1
            self.is_line_end_due = True
        del self.pending[:start]
        return frames


class Client:
    """One connection. Keyword arguments become headers, with '-' for '_'."""

    def __init__(self, address, version="1.2", connect=True, receive_buffer=None, **headers):
        self.socket = socket.socket()
        if receive_buffer:
            self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive_buffer)
        self.socket.settimeout(WAIT_SECONDS)
        self.socket.connect(address)
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.socket = self.opened(self.socket)
        self.parser = Parser()
        self.inbox = []
        self.receipts = 0
        self.connected = None
        if connect:
            self.write("CONNECT", accept_version=version, host="/",
                       **{"login": "guest", "passcode": "guest", **headers})
            self.connected = self.expect("CONNECTED")

    # What a subclass with something between STOMP and the socket overrides

    def opened(self, plain):
        """The socket to use, once TCP is connected."""
        return plain

    def received(self, data):
        """The bytes of STOMP in what was read."""
        return data

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()

    def close(self):
        self.socket.close()

    def fileno(self):
        return self.socket.fileno()

    # Sending

    def write_bytes(self, data):
        self.socket.sendall(data)

    def write(self, command, body=b"", **headers):
        headers = {name.replace("_", "-"): value for name, value in headers.items()}
        self.write_bytes(encode(command, body, headers))

    def request(self, command, body=b"", **headers):
        """Writes a frame with a receipt and waits for it; other frames wait in the inbox."""
        self.receipts += 1
        wanted = f"r{self.receipts}"
        self.write(command, body, receipt=wanted, **headers)
        aside = []
        while True:
            frame = self.next_frame()
            if frame.command == "RECEIPT" and frame.headers["receipt-id"] == wanted:
                self.inbox = aside + self.inbox
                return
            assert frame.command != "ERROR", f"{command} got {describe(frame)}"
            aside.append(frame)

    def send(self, destination, body, **headers):
        """A persistent message, receipted."""
        body = body if isinstance(body, bytes) else str(body).encode()
        self.request("SEND", body, destination=destination, persistent="true", **headers)

    def subscribe(self, destination, id="s", ack="client-individual", **headers):
        self.request("SUBSCRIBE", destination=destination, id=id, ack=ack, **headers)

    def ack(self, frame, command="ACK", **headers):
        self.request(command, id=frame.headers["ack"], **headers)

    # Receiving

    def read_some(self, wait=WAIT_SECONDS):
        """The frames of one read; [] when nothing came in time. Raises Closed at the end."""
        if self.inbox:
            frames, self.inbox = self.inbox, []
            return frames
        if not self.has_pending() and not select.select([self.socket], [], [], wait)[0]:
            return []
        try:
            data = self.socket.recv(1 << 18)
        except ConnectionError as error:
            raise Closed(str(error)) from error
        if not data:
            raise Closed("end of stream")
        return self.parser.feed(self.received(data))

    def has_pending(self):
        """Whether bytes wait that `select` does not see: TLS reads whole records."""
        return getattr(self.socket, "pending", lambda: 0)() > 0

    def next_frame(self, wait=WAIT_SECONDS):
        deadline = time.monotonic() + wait
        while not self.inbox:
            left = deadline - time.monotonic()
            if left <= 0:
                raise AssertionError(f"no frame within {wait} s")
            self.inbox = self.read_some(left)
        return self.inbox.pop(0)

    def expect(self, command, body=None, wait=WAIT_SECONDS):
        frame = self.next_frame(wait)
        assert frame.command == command, f"wanted {command}, got {describe(frame)}"
        if body is not None:
            body = body if isinstance(body, bytes) else str(body).encode()
            assert frame.body == body, f"wanted {command} {body!r}, got {describe(frame)}"
        return frame

    def expect_message(self, body=None, wait=WAIT_SECONDS):
        return self.expect("MESSAGE", body, wait)

    def expect_nothing(self):
        """Nothing more is coming: a receipted frame of no effect comes back alone."""
        aside = self.inbox
        self.inbox = []
        self.request("SEND", b"ping", destination="/topic/nobody.listens")
        extra, self.inbox = self.inbox, aside + self.inbox
        assert not extra and not aside, f"unwanted {describe((aside + extra)[0])}"

    def expect_error_and_close(self, *words, wait=WAIT_SECONDS):
        """An ERROR whose message or body has every word, then the end of the stream."""
        frame = self.next_frame(wait)
        assert frame.command == "ERROR", f"wanted ERROR, got {describe(frame)}"
        text = f"{frame.headers.get('message', '')} {frame.body.decode()}".lower()
        for word in words:
            assert word.lower() in text, f"the ERROR does not name {word!r}: {text!r}"
        self.expect_close(wait)
        return frame

    def expect_close(self, wait=WAIT_SECONDS):
        """The stream ends; frames before its end are collected and returned."""
        deadline = time.monotonic() + wait
        frames = []
        try:
            while (left := deadline - time.monotonic()) > 0:
                frames += self.read_some(left)
        except Closed:
            return frames
        raise AssertionError(f"the connection was not closed within {wait} s")


def describe(frame):
    return f"{frame.command} {frame.headers} {frame.body[:80]!r}"
