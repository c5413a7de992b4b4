"""STOMP frame by frame: every case of conformance_cases.py, whole, byte by byte and glued to others.

docs/protocol-stomp.md says which case shows which sentence of the specification.
"""

import itertools

from conformance_cases import CASES
from conformance_frames import ALL, StrictReader, Words, receipt
from harness import test
from stompwire import Closed

CONNECT = "CONNECT\naccept-version:{}\nhost:h\n\n\0"
NUMBERS = itertools.count(1)


class Conversation:
    """A bare connection, read by the strict reader."""

    def __init__(self, daemon, is_split=False):
        self.client = daemon.connect(connect=False)
        self.client.parser = StrictReader()
        self.is_split = is_split

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.client.close()

    def write(self, data):
        try:
            for piece in ([data[at:at + 1] for at in range(len(data))] if self.is_split else [data]):
                self.client.write_bytes(piece)
        except OSError:
            pass  # closed before all was written; what was answered is still to be read

    def frames(self, count):
        return [self.client.next_frame() for _ in range(count)]

    def connect(self, version):
        self.write(CONNECT.format(version).encode())
        (frame,) = self.frames(1)
        assert (frame.command, frame.values("version")) == ("CONNECTED", [version]), frame

    def expect_no_more(self):
        """Nothing comes after what came: a message that was to come would be here before this one."""
        word = f"end{next(NUMBERS)}"
        self.write(f"SUBSCRIBE\ndestination:/queue/{word}\nid:{word}\nack:auto\n\n\0"
                   f"SEND\ndestination:/queue/{word}\nreceipt:{word}\n\nx\0".encode())
        for frame in self.frames(2):
            names = frame.values("receipt-id") + frame.values("destination")
            assert names in ([word], [f"/queue/{word}"]), f"unwanted {frame}"

    def expect_end(self):
        assert self.client.expect_close() == [], "a frame after the last one"


def named(case, version, function):
    """Runs a part of a case; its name stands in the failure."""
    try:
        return function()
    except (AssertionError, Closed) as error:
        raise AssertionError(f"'{case.name}' in {version or 'any'}: {error}") from error


def run_alone(daemon, case, version, is_split):
    """One connection for the case and nothing else."""
    words = Words(f"c{next(NUMBERS):05}")

    def steps():
        with Conversation(daemon, is_split) as conversation:
            if version:
                conversation.connect(version)
            for data, patterns in case.steps:
                conversation.write(words.fill(data))
                words.check_all(patterns, conversation.frames(len(patterns)))
            if case.is_end:
                conversation.expect_end()
            else:
                conversation.expect_no_more()
    named(case, version, steps)


def run_glued_end(daemon, case, version):
    """Good frames before and behind, all in one write: those before hold, those behind do not."""
    words = Words(f"c{next(NUMBERS):05}")
    ((data, patterns),) = case.steps
    before = b"SEND\ndestination:/queue/before\nreceipt:before\n\nx\0" if version else b""
    behind = b"\nSEND\ndestination:/queue/after.all\nreceipt:behind\n\nx\0"

    def run():
        with Conversation(daemon) as conversation:
            start = CONNECT.format(version).encode() if version else b""
            conversation.write(start + before + words.fill(data) + behind)
            if version:
                connected, first = conversation.frames(2)
                assert connected.command == "CONNECTED", connected
                words.check(receipt("before"), first)
            words.check_all(patterns, conversation.frames(len(patterns)))
            conversation.expect_end()
    named(case, version, run)


def run_glued_first(daemon, case):
    """A CONNECT with the next frames in the same write."""
    words = Words(f"c{next(NUMBERS):05}")
    ((data, patterns),) = case.steps

    def run():
        with Conversation(daemon) as conversation:
            conversation.write(words.fill(data) + b"\n\nBEGIN\ntransaction:t\nreceipt:behind\n\n\0")
            words.check_all([*patterns, receipt("behind")], conversation.frames(len(patterns) + 1))
            conversation.expect_no_more()
    named(case, None, run)


def run_glued_open(daemon, cases, version):
    """All cases on one connection: the first steps of all in one write, then the second ones."""
    words = [Words(f"c{next(NUMBERS):05}") for _ in cases]
    owners = {word.tag: index for index, word in enumerate(words)}
    with Conversation(daemon) as conversation:
        conversation.connect(version)
        for number in range(max(len(case.steps) for case in cases)):
            parts = [case.steps[number] if number < len(case.steps) else (b"", []) for case in cases]
            conversation.write(b"".join(word.fill(data) for word, (data, _) in zip(words, parts)))
            wanted = [word.fill(pattern.headers["receipt-id"]) for word, (_, patterns) in zip(words, parts)
                      for pattern in patterns if pattern.command == "RECEIPT"]
            got = [[] for _ in cases]
            receipts = []
            for frame in conversation.frames(sum(len(patterns) for _, patterns in parts)):
                assert frame.command in ("RECEIPT", "MESSAGE"), f"{frame} in {version}"
                (name,) = frame.values("receipt-id") or frame.values("destination")
                if frame.command == "RECEIPT":
                    receipts.append(name)
                got[next(owners[tag] for tag in owners if tag in name)].append(frame)
            for case, word, (_, patterns), frames in zip(cases, words, parts, got):
                named(case, version, lambda: word.check_all(patterns, frames))
            assert receipts == wanted, f"receipts out of order: {receipts}"
        conversation.expect_no_more()


def expect_nothing_behind(daemon):
    """What came behind the end of a connection, or in a refused frame, had no effect."""
    with daemon.connect() as client:
        client.subscribe("/queue/after.>", prefetch_count=10)
        client.expect_nothing()


class Failures:
    """Collects what goes wrong, up to a number, so that one run tells of every case."""

    COUNT_MAX = 10

    def __init__(self):
        self.texts = []

    def __enter__(self):
        return self

    def __exit__(self, kind, error, _):
        if not isinstance(error, (AssertionError, Closed)):
            return False
        self.texts.append(str(error))
        if len(self.texts) == self.COUNT_MAX:
            self.judge()
        return True

    def judge(self):
        assert not self.texts, "\n    ".join(self.texts)


def every_pair(chosen):
    return [(case, version) for case in chosen for version in case.versions or [None]]


for mode, is_split in (("whole", False), ("byte by byte", True)):
    @test(f"every conformance case holds, fed {mode}")
    def alone(environment, is_split=is_split):
        daemon = environment.daemon('[storage]\nfsync = "never"\n')
        failures = Failures()
        for case, version in every_pair(CASES):
            with failures:
                run_alone(daemon, case, version, is_split)
        failures.judge()
        expect_nothing_behind(daemon)
        daemon.stop()


@test("every conformance case holds, glued to its neighbours in one write")
def glued(environment):
    daemon = environment.daemon('[storage]\nfsync = "never"\n')
    failures = Failures()
    for version in ALL:
        chosen = [case for case in CASES if version in case.versions and not case.is_end]
        with failures:
            run_glued_open(daemon, chosen, version)
    for case, version in every_pair([case for case in CASES if case.is_end]):
        with failures:
            run_glued_end(daemon, case, version)
    for case in CASES:
        if not case.versions and not case.is_end:
            with failures:
                run_glued_first(daemon, case)
    failures.judge()
    expect_nothing_behind(daemon)
    daemon.stop()


assert len({case.name for case in CASES}) == len(CASES), "two cases of one name"
