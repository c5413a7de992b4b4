"""Random frames, right and wrong, from several clients at once, judged by the model of fuzz_model.py."""

import random
import time

import stompwire
from fuzz_model import DEAD, EXPIRING, FANOUT, PATTERNS, QUEUES, Model

GARBAGE = [
    b"\0\n\n\0", b"NONSENSE\n\n\0", b"SEND\n\n\0", b"SEND\ndestination\n\n\0", b"\xff\xfe\n\n\0", b"ACK\n\n\0",
    b"SEND\ndestination:/queue/\n\nx\0", b"SEND\ndestination:/queue/f.*\n\nx\0",
    b"SUBSCRIBE\ndestination:/queue/f.a\nid:z\nack:perhaps\n\n\0", b"COMMIT\ntransaction:none\n\n\0",
    b"SEND\ndestination:/queue/f.a\ncontent-length:-1\n\nx\0", b"CONNECT\naccept-version:1.2\n\n\0",
    b"SUBSCRIBE\ndestination:/queue/f.a\nid:z\nprefetch-count:0\n\n\0", b"BEGIN\n\n\0",
    b"SEND\ndestination:/queue/f.a\na:\\x\n\nx\0", b"UNSUBSCRIBE\nid:none\n\n\0",
    b"SEND\ndestination:/temp-queue/@gone\n\nx\0", b"NACK\nid:1-1\nrequeue:maybe\n\n\0",
    b"SEND\n" + b"h:x\n" * 200 + b"\n\0", b"SEND\na:" + b"x" * 70000 + b"\n\n\0",
    b"SUBSCRIBE\ndestination:/queue/f.a\nid:y\nselector:a=1\n\n\0", b"MESSAGE\n\n\0",
]


class Session:
    """One connection with what the model knows of it."""

    def __init__(self, address, generator, model):
        self.random, self.model = generator, model
        self.version = generator.choice(["1.0", "1.1", "1.2", "1.2"])
        self.client = stompwire.Client(address, version=self.version)
        self.subscriptions = {}  # id: (ack mode, credit)
        self.leased = set()      # those of them whose messages may be taken back at any time
        self.held = []           # (subscription id, key, headers), in the order of delivery
        self.transactions = {}   # name: ([(number, destination)], [(held, what the answer does)])
        self.receipts = {}       # id: what its answer means
        self.count = self.named = 0
        self.is_open = True
        self.empty_at = time.time()  # when nothing was left to read

    # Frames

    def write(self, command, body=b"", then=None, **headers):
        if then is not None or self.random.random() < 0.2:
            self.count += 1
            headers["receipt"] = f"r{self.count}"
            self.receipts[headers["receipt"]] = then or (lambda: None)
        try:
            self.client.write(command, body, **headers)
        except OSError:
            self.lose()

    def poll(self, wait=0):
        while self.is_open:
            asked = time.time()
            try:
                frames = self.client.read_some(wait)
            except (stompwire.Closed, OSError):
                return self.lose()
            if not frames:
                # What comes from now on was delivered later than this. A half frame was begun before.
                if not self.client.parser.pending:
                    self.empty_at = asked
                return
            for frame in frames:
                self.take(frame)

    def take(self, frame):
        if frame.command == "RECEIPT":
            self.receipts.pop(frame.headers["receipt-id"])()
        elif frame.command == "MESSAGE":
            self.take_message(frame)
        else:
            assert frame.command == "ERROR" and frame.headers.get("message"), frame
            self.lose()

    def take_message(self, frame):
        if frame.headers["destination"].startswith("/topic/"):
            return
        if frame.headers["destination"].startswith("/temp-queue/"):
            return self.model.hear(int(frame.body), self)
        key = self.model.meet(frame, self.empty_at)
        name = frame.headers.get("subscription", frame.headers["destination"])
        mode, credit = self.subscriptions.get(name, ("gone", None))
        if mode == "auto" or mode == "gone" and self.model.has_auto:
            self.model.maybe_settled.add(key)
        elif mode != "gone":
            self.held.append((name, key, frame.headers))
            self.check_credit(name, credit)

    def check_credit(self, name, credit):
        mine = [entry for entry in self.held if entry[0] == name]
        assert credit is None or name in self.leased or len(mine) <= credit, (
            f"{len(mine)} of credit {credit}, {self.version}: {[entry[1] for entry in mine]}")
        shared = [entry for entry in self.held
                  if self.subscriptions.get(entry[0], ("", 1))[1] is None]
        # What an open transaction answered does not give credit back before its end.
        assert len(shared) <= 1, f"{len(shared)} without credit of their own"

    def lose(self):
        """The connection is over: what it had under way may have happened or not."""
        if not self.is_open:
            return
        self.is_open = False
        self.client.close()
        if self.model.has_auto:
            self.model.maybe_settled |= self.model.confirmed | self.model.maybe
        self.subscriptions.clear()
        self.held.clear()

    # Actions

    def act(self):
        actions = [self.send] * 8 + [self.answer] * 8 + [self.subscribe] * 2 + [
            self.unsubscribe, self.begin, self.end, self.end, self.topic, self.late, self.beat, self.reply]
        self.random.choice(actions)()

    def send(self):
        destination = self.random.choice(QUEUES + [FANOUT])
        headers = {"destination": destination, "persistent": "true"}
        expires = None
        if destination != FANOUT and self.random.random() < (0.5 if destination == EXPIRING else 0.15):
            after = self.random.choice([0, 100, 500, 1500])
            expires = time.time() + after / 1000 if after else None
            headers["expiration"] = after
            if self.random.random() < 0.5:
                del headers["expiration"]
                headers["expires"] = int(expires * 1000) if expires else 0
        number = self.model.new(destination, expires)
        if self.random.random() < 0.2:
            headers["reply_to"] = "/temp-queue/mine"
            self.model.askers[number] = self
        if self.transactions and self.random.random() < 0.4:
            name = self.random.choice(list(self.transactions))
            self.transactions[name][0].append((number, destination))
            return self.write("SEND", b"%d" % number, transaction=name, **headers)
        self.write("SEND", b"%d" % number, then=lambda: self.model.confirm(number, destination), **headers)

    def reply(self):
        open_addresses = [address for address, owner in self.model.owners.items() if owner.is_open]
        if open_addresses:
            address = self.random.choice(open_addresses)
            number = self.model.new_reply(address)
            self.write("SEND", b"%d" % number, then=lambda: self.model.owe(number), destination=address)

    def subscribe(self):
        if len(self.subscriptions) >= 3:
            return
        destination = self.random.choice(QUEUES + PATTERNS * 2)
        # Never used again, so that what is on its way to an old one is not taken for a new one's.
        self.named += 1
        name = f"s{self.named}"
        mode = self.random.choice(["client", "client-individual", "client-individual", "auto"])
        if mode == "auto" and not self.model.has_auto:
            return
        if self.version == "1.0" and mode == "client-individual":
            mode = "client"
        credit = self.random.choice([None, 1, 3, 10])
        headers = {} if credit is None else {"prefetch_count": credit}
        # By message-id an ACK means the latest delivery, with all before it: unread ones after a lease, too.
        is_exact = self.version == "1.2" or self.version == "1.1" and mode == "client-individual"
        if credit and mode != "auto" and is_exact and self.random.random() < 0.2:
            headers["ack_timeout"] = self.random.choice([50, 300])
            self.leased.add(name)
        self.subscriptions[name] = (mode, credit)
        self.write("SUBSCRIBE", destination=destination, id=name, ack=mode, **headers)

    def unsubscribe(self):
        if not self.subscriptions:
            return
        name = self.random.choice(list(self.subscriptions))
        del self.subscriptions[name]
        self.held = [entry for entry in self.held if entry[0] != name]
        self.write("UNSUBSCRIBE", id=name)

    def answer(self):
        # By delivery, not by message: it may have come again since a transaction answered it.
        claimed = {id(entry) for _, answers in self.transactions.values() for entry, _ in answers}
        free = [entry for entry in self.held if id(entry) not in claimed]
        if not free:
            return
        chosen = self.random.choice(free)
        mode = self.subscriptions[chosen[0]][0]
        reached = [chosen]
        if mode == "client":
            place = next(index for index, entry in enumerate(free) if entry is chosen)
            reached = [entry for entry in free[:place + 1] if entry[0] == chosen[0]]
        kind = self.random.choice(["ACK", "ACK", "ACK", "NACK"])
        if self.version == "1.0":
            kind = "ACK"
        headers = {}
        if kind == "NACK" and self.random.random() < 0.2:
            headers["requeue"] = "false"
        if self.version == "1.2":
            headers["id"] = chosen[2]["ack"]
        else:
            headers["message_id"] = chosen[2]["message-id"]
            if self.version == "1.1":
                headers["subscription"] = chosen[0]
        effect = "give back" if kind == "NACK" else "settle"
        if "requeue" in headers:
            effect = "reject"
        if self.version != "1.0" and self.transactions and self.random.random() < 0.3:
            name = self.random.choice(list(self.transactions))
            self.transactions[name][1].extend((entry, effect) for entry in reached)
            return self.write(kind, transaction=name, **headers)
        self.let_go(reached)
        self.write(kind, then=self.effects([(entry, effect) for entry in reached]), **headers)

    def effects(self, answers):
        """What the receipt of these answers will mean. Those to a lease that is over mean nothing."""
        for effect in ("settle", "reject", "give back"):
            self.model.note([entry[1] for entry, other in answers if other == effect],
                            f"{effect} by {self.version}")
        keys = {effect: {entry[1] for entry, other in answers
                         if other == effect and entry[0] not in self.leased}
                for effect in ("settle", "reject")}
        self.model.maybe_settled |= {entry[1] for entry, effect in answers if effect == "settle"}

        def done():
            self.model.settle(keys["settle"])
            self.model.reject(keys["reject"])
        return done

    def let_go(self, entries):
        gone = {id(entry) for entry in entries}
        self.held = [entry for entry in self.held if id(entry) not in gone]

    def begin(self):
        name = f"t{self.random.randrange(3)}"
        if name not in self.transactions:
            self.transactions[name] = ([], [])
            self.write("BEGIN", transaction=name)

    def end(self):
        if not self.transactions:
            return
        name = self.random.choice(list(self.transactions))
        sent, answers = self.transactions.pop(name)
        if self.random.random() < 0.3:
            # What it answered is the client's to answer again.
            return self.write("ABORT", transaction=name)
        self.let_go([entry for entry, _ in answers])
        effects = self.effects([answer for answer in answers if answer[0][0] in self.subscriptions])

        def done():
            for number, destination in sent:
                self.model.confirm(number, destination)
            effects()
        self.write("COMMIT", transaction=name, then=done)

    def topic(self):
        self.write("SEND", b"x", destination="/topic/f", expiration="5000")

    def late(self):
        if self.version == "1.2":
            self.write("ACK", id="99-99")

    def beat(self):
        try:
            self.client.write_bytes(b"\n" * self.random.randrange(4))
        except OSError:
            self.lose()

    def spoil(self):
        """Something that no client may send; the connection ends."""
        try:
            garbage = self.random.choice(GARBAGE)
            if self.version == "1.0" and b"\\x" in garbage:
                garbage = b"NONSENSE\n\n\0"  # 1.0 has no escapes
            self.client.write_bytes(garbage)
        except OSError:
            pass
        for _ in range(200):
            if not self.is_open:
                return
            self.poll(0.05)
        raise AssertionError(f"{self.version} stays open after {garbage[:60]!r}")


class Fuzz:
    """Several sessions of one seed."""

    def __init__(self, seed, model=None):
        self.random = random.Random(seed)
        self.model = model or Model(has_auto=self.random.random() < 0.25)
        self.sessions = []

    def step(self, address):
        self.sessions = [session for session in self.sessions if session.is_open]
        if len(self.sessions) < 2 or len(self.sessions) < 6 and self.random.random() < 0.05:
            self.sessions.append(Session(address, self.random, self.model))
        session = self.random.choice(self.sessions)
        session.act()
        fate = self.random.random()
        if fate < 0.004:
            session.spoil()
        elif fate < 0.008:
            session.lose()
        elif fate < 0.012 and session.is_open:
            session.poll()
            session.write("DISCONNECT")
            session.lose()
        for other in self.sessions:
            other.poll()

    def finish(self):
        """Waits for what is under way, and ends every session."""
        for _ in range(400):
            waiting = [session for session in self.sessions if session.is_open and session.receipts]
            owed = [number for number, owner in self.model.owed.items() if owner.is_open]
            if not waiting and not owed:
                break
            for session in self.sessions:
                session.poll(0.05 / len(self.sessions))
        assert not waiting, f"{len(waiting)} sessions miss receipts"
        assert not owed, f"replies with receipts did not come: {owed}"
        for session in self.sessions:
            session.lose()
        self.sessions = []

    def lose_all(self):
        """The daemon is gone."""
        for session in self.sessions:
            session.poll()
            session.lose()
        self.sessions = []


def drain(address):
    """Everything that is left, each once, as one consumer gets it; and the time when it began."""
    found, since = [], time.time()
    with stompwire.Client(address) as client:
        for index, queue in enumerate(QUEUES + [DEAD]):
            client.subscribe(queue, id=str(index), prefetch_count=1000)
        quiet = 0
        while quiet < 3:
            frames = client.read_some(0.3)
            quiet = 0 if frames else quiet + 1
            for frame in frames:
                if frame.command == "MESSAGE":
                    found.append(frame)
                    client.write("ACK", id=frame.headers["ack"])
        client.request("DISCONNECT")
    return found, since
