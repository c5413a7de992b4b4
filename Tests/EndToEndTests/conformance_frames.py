"""What a conformance case is made of: bytes to send, patterns of frames to get, a strict reader.

In bytes and patterns `<tag>` stands for text that no other case has, and `<ack:2>` or `<message-id:2>` for
that header of the second MESSAGE that the case got in an earlier step.
"""

import re
from typing import NamedTuple

COMMANDS = {"CONNECTED", "MESSAGE", "RECEIPT", "ERROR"}
ALL = ("1.0", "1.1", "1.2")
NEW = ("1.1", "1.2")
SOME = object()  # a header that is there, with any value but an empty one


class Case(NamedTuple):
    """A conversation on one connection; with `versions` empty it begins before CONNECT."""

    name: str
    versions: tuple
    steps: list       # (bytes to send, patterns of the frames to get)
    is_end: bool      # whether the broker closes the connection after it


class Pattern(NamedTuple):
    command: str
    headers: dict     # name: the first value, None (not there), SOME, or a list of all values
    body: bytes


class Frame(NamedTuple):
    command: str
    headers: list     # (name, value), as on the wire
    body: bytes

    def values(self, name):
        return [value for other, value in self.headers if other == name]


class StrictReader:
    """Bytes in, frames out, by the grammar of the specification and nothing else."""

    def __init__(self):
        self.pending = b""

    def feed(self, data):
        self.pending += data
        frames = []
        while True:
            rest = self.pending.lstrip(b"\n")
            head, blank, after = rest.partition(b"\n\n")
            if not blank:
                return frames
            command, *lines = head.decode().split("\n")
            assert command in COMMANDS, f"no command of a server: {command!r}"
            assert all(":" in line[1:] for line in lines), f"no header: {lines}"
            headers = [tuple(line.split(":", 1)) for line in lines]
            lengths = [int(value) for name, value in headers if name == "content-length"]
            length = lengths[0] if lengths else after.find(b"\0")
            if length < 0 or length >= len(after):
                return frames
            assert after[length] == 0, f"{command} is not ended by NUL"
            frames.append(Frame(command, headers, after[:length]))
            self.pending = after[length + 1:]


def receipt(id="<tag>"):
    return Pattern("RECEIPT", {"receipt-id": id}, b"")


def message(body, **headers):
    """A MESSAGE to `/queue/<tag>`; header names with '_' for '-'."""
    headers = {name.replace("_", "-"): value for name, value in headers.items()}
    length = {"content-length": str(len(body))}
    return Pattern("MESSAGE", {"destination": "/queue/<tag>", "message-id": SOME} | length | headers, body)


def error(message, receipt_id=None, **headers):
    """An ERROR with all that the specification says it should have; its body is not compared."""
    return Pattern("ERROR", {"message": message, "receipt-id": receipt_id, "content-length": SOME,
                             "content-type": "text/plain", **headers}, SOME)


def connected(version, **headers):
    return Pattern("CONNECTED", {"version": version, "session": SOME, "server": SOME,
                                 "heart-beat": SOME, **headers}, b"")


class Words:
    """What the placeholders of one case stand for by now."""

    def __init__(self, tag):
        self.tag, self.messages = tag, []

    def fill(self, text):
        if isinstance(text, bytes):
            return self.fill(text.decode("latin-1")).encode("latin-1")
        return re.sub(r"<(tag|ack|message-id)(?::(\d+))?>", self._value, text)

    def _value(self, found):
        if found[1] == "tag":
            return self.tag
        return self.messages[int(found[2]) - 1].values(found[1])[0]

    def check(self, pattern, frame):
        """Compares a frame that came with what should come."""
        what = f"{frame.command} {frame.headers} {frame.body[:80]!r}"
        assert frame.command == pattern.command, f"wanted {pattern}, got {what}"
        for name, wanted in pattern.headers.items():
            values = frame.values(name)
            if wanted is None:
                assert not values, f"{name} should not be there: {what}"
            elif wanted is SOME:
                assert values and values[0], f"{name} is missing: {what}"
            elif isinstance(wanted, list):
                assert values == [self.fill(value) for value in wanted], f"{name} not {wanted}: {what}"
            else:
                assert values[:1] == [self.fill(wanted)], f"{name} not {wanted!r}: {what}"
        if pattern.body is SOME:
            assert frame.body, f"no body: {what}"
        else:
            assert frame.body == pattern.body, f"body not {pattern.body[:80]!r}: {what}"
        if frame.command == "MESSAGE":
            self.messages.append(frame)

    def check_all(self, patterns, frames):
        """Compares the frames of one step; receipts and the rest each in their order."""
        for is_receipt in (True, False):
            wanted = [entry for entry in patterns if (entry.command == "RECEIPT") == is_receipt]
            got = [entry for entry in frames if (entry.command == "RECEIPT") == is_receipt]
            assert len(wanted) == len(got), f"wanted {wanted}, got {got}"
            for pattern, frame in zip(wanted, got):
                self.check(pattern, frame)
