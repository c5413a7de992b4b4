"""What a plain model knows of messages that random sessions sent and took.

A message whose SEND or COMMIT has its receipt is there until an ACK of it has one, and then never again. What
was under way when a connection ended may be either way. A message in one queue is a key: its number and the
queue that it was sent to, which its dead letter still names; a fan-out makes one for each child.
"""

import collections
import time

PLAIN = ["/queue/f.a", "/queue/f.b", "/queue/f.c"]
MEMORY = "/queue/f.memory"
EXPIRING = "/queue/f.expiring"      # what expires here becomes a dead letter
CHILDREN = ["/queue/f.x", "/queue/f.y"]
FANOUT = "/fanout/f"
DEAD = "/queue/dead"
QUEUES = PLAIN + [MEMORY, EXPIRING] + CHILDREN
PATTERNS = ["/queue/f.*", "/queue/f.>"]
# How much later than its time a message may come, for what the broker has in hand at that moment.
LATE_SECONDS = 1

CONFIG = f"""
[storage]
fsync = "5ms"
segment_size = "256KiB"
min_free_disk = "16MiB"
[defaults]
max_deliveries = 0
[[queue]]
name = "{PLAIN[1]}"
requeue_delay = ["100ms", "200ms"]
[[queue]]
name = "{PLAIN[2]}"
max_deliveries = 2
[[queue]]
name = "{MEMORY}"
storage = "memory"
[[queue]]
name = "{EXPIRING}"
dead_letter_expired = true
[[queue]]
name = "{CHILDREN[0]}"
[[queue]]
name = "{CHILDREN[1]}"
[[fanout]]
name = "{FANOUT}"
children = ["{CHILDREN[0]}", "{CHILDREN[1]}"]
"""


def origin(frame):
    """The queue that a message was sent to."""
    return frame.headers.get("dead-letter-from", frame.headers["destination"])


def keys_of(number, destination):
    return {(number, queue) for queue in (CHILDREN if destination == FANOUT else [destination])}


class Model:
    """What is known of every message."""

    def __init__(self, has_auto=False):
        # What was written to an auto subscription is settled, read or not: then little can be told of
        # what a lost connection took along.
        self.has_auto = has_auto
        self.next = 0
        self.confirmed, self.maybe = set(), set()
        self.settled, self.maybe_settled = set(), set()
        self.rejected = set()     # dead letters: never from their queue again
        self.forgotten = set()    # were in memory when the daemon ended
        self.met = set()
        self.fanned = set()       # went through the fan-out
        self.history = {}         # key: what happened to it, for the failure's text
        self.expires = {}         # key: time by the wall clock
        self.counts = set()       # (key, whether a dead letter, delivery count)
        self.kinds = collections.Counter()  # what was met, so that a run can tell what it covered
        self.askers = {}          # number of a request: the session that asked
        self.owners = {}          # address for replies: the session that it belongs to
        self.reply_owners = {}    # number of a reply: the session that it was sent to
        self.heard = set()        # replies that came
        self.owed = {}            # replies that have their receipts: to whom

    def new(self, destination, expires=None):
        """A message that is about to be sent."""
        self.next += 1
        keys = keys_of(self.next, destination)
        if destination == FANOUT:
            self.fanned |= keys
        self.note(keys, "sent")
        self.maybe |= keys
        if expires:
            self.expires |= {key: expires for key in keys}
        return self.next

    def note(self, keys, event):
        for key in keys:
            self.history.setdefault(key, []).append(event)

    def confirm(self, number, destination):
        keys = keys_of(number, destination)
        self.note(keys, "confirmed")
        self.maybe -= keys
        self.confirmed |= keys - self.forgotten

    def meet(self, frame, since):
        """A message that was delivered, not before `since`: its key."""
        key = (int(frame.body), origin(frame))
        is_dead = "dead-letter-from" in frame.headers
        assert key in self.confirmed or key in self.maybe or key in self.forgotten, f"nobody sent {key}"
        assert key not in self.settled, f"{key} was settled, and is back"
        assert is_dead or key not in self.rejected, f"{key} was rejected, and came from its queue again"
        assert is_dead or key not in self.forgotten, f"{key} was in memory, and outlived the daemon"
        assert is_dead or self.expires.get(key, since) >= since - LATE_SECONDS, (
            f"{key} was delivered {since - self.expires[key]:.1f} s after its time")
        count = int(frame.headers.get("delivery-count", 1))
        assert (count > 1) == (frame.headers.get("redelivered") == "true"), frame.headers
        assert (key, is_dead, count) not in self.counts, f"{key} came twice as delivery {count}"
        self.counts.add((key, is_dead, count))
        self.met.add(key)
        self.kinds.update([key[1], frame.headers.get("dead-letter-reason", "delivery")])
        self.kinds["again"] += count > 1
        self.note([key], f"{'dead letter' if is_dead else 'delivery'} {count}")
        if "reply-to" in frame.headers and key[0] in self.askers:
            owner = self.owners.setdefault(frame.headers["reply-to"], self.askers[key[0]])
            assert owner is self.askers[key[0]], f"{frame.headers['reply-to']} belongs to two"
        return key

    def settle(self, keys):
        self.note(keys, "settled")
        self.settled |= keys

    def reject(self, keys):
        self.note(keys, "rejected")
        self.rejected |= keys

    # Replies

    def new_reply(self, address):
        self.next += 1
        self.reply_owners[self.next] = self.owners[address]
        return self.next

    def hear(self, number, session):
        """A reply that came."""
        assert self.reply_owners.get(number) is session, f"reply {number} is not for this connection"
        assert number not in self.heard, f"reply {number} came twice"
        self.heard.add(number)
        self.owed.pop(number, None)
        self.kinds["reply"] += 1

    def owe(self, number):
        if number not in self.heard:
            self.owed[number] = self.reply_owners[number]

    # Ends

    def restart(self):
        """The daemon ended, gracefully or not: memory queues are empty, counts of late may be lost."""
        in_memory = {key for key in self.confirmed | self.maybe if key[1] == MEMORY}
        self.forgotten |= in_memory
        self.confirmed -= in_memory
        self.maybe -= in_memory
        self.counts.clear()
        self.note(list(self.history), "restart")

    def judge(self, frames, since):
        """What is left in all queues, as one consumer took it, who began at `since`."""
        found = [(int(frame.body), origin(frame)) for frame in frames]
        assert len(found) == len(set(found)), f"doubled: {sorted(found)}"
        for frame in frames:
            self.meet(frame, since)
        found = set(found)
        may_be_gone = {key for key in self.expires if key[1] != EXPIRING and self.expires[key] < time.time()}
        lost = self.confirmed - self.settled - self.maybe_settled - found - may_be_gone
        assert not lost, f"confirmed and lost: {[(key, self.history[key]) for key in sorted(lost)[:10]]}"
        seen = self.met | self.maybe_settled
        halves = [key for key in self.met & self.fanned if not keys_of(key[0], FANOUT) <= seen]
        assert not halves, f"of a fan-out only {sorted(halves)[:10]}"
