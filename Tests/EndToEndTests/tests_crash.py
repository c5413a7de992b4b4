"""kill -9 in the middle of everything: what has a receipt is there, what was settled is gone."""

import random
import time

from harness import test
from load import Producer, Settler, browse, drain, pump

QUEUES = ("/queue/left", "/queue/right")
ROUNDS = 4
# Producers wait when they are this far ahead, so that a slow build of the daemon is tested as well.
AHEAD_MAX = 4000


class Ledger:
    """What one queue may and must hold after a crash."""

    def __init__(self, queue):
        self.queue = queue
        self.waiting = []      # numbers found after the last crash
        self.next = 0

    def check(self, found, producer, settler):
        gone = set(settler.settled)
        in_doubt = set(settler.taken) - gone
        must = (set(self.waiting) | set(range(self.next, producer.receipted))) - gone - in_doubt
        may = must | in_doubt | set(range(producer.receipted, producer.next))
        lost, back, strange = must - set(found), gone & set(found), set(found) - may - gone
        assert not lost, f"{self.queue}: receipted and lost: {len(lost)}, {sorted(lost)[:5]}"
        assert not back, f"{self.queue}: settled and back: {len(back)}, {sorted(back)[:5]}"
        assert not strange, f"{self.queue}: never sent: {sorted(strange)[:5]}"
        assert found == sorted(set(found)), f"{self.queue}: out of order or doubled"
        self.waiting, self.next = found, producer.next


def run_rounds(environment, config=None):
    seed = time.time_ns() % 1_000_000
    generator = random.Random(seed)
    ledgers = [Ledger(queue) for queue in QUEUES]
    daemon = environment.daemon(config)
    try:
        for _ in range(ROUNDS):
            producers = [Producer(daemon.address, ledger.queue, ledger.next) for ledger in ledgers]
            settlers = [Settler(daemon.address, ledger.queue) for ledger in ledgers]
            wanted = generator.randrange(300, 3000)

            def is_enough():
                for ledger, producer, settler in zip(ledgers, producers, settlers):
                    ahead = producer.next - ledger.next - len(settler.settled)
                    producer.paused = ahead > AHEAD_MAX
                return len(settlers[0].settled) >= wanted

            pump(producers + settlers, is_enough)
            daemon.kill()
            drain(producers + settlers)
            daemon = environment.daemon(config)
            for ledger, producer, settler in zip(ledgers, producers, settlers):
                ledger.check(browse(daemon.address, ledger.queue), producer, settler)
    except AssertionError as error:
        raise AssertionError(f"seed {seed}: {error}") from error
    for ledger in ledgers:
        settler = Settler(daemon.address, ledger.queue)
        pump([settler], lambda: len(settler.settled) == len(ledger.waiting))
    daemon.kill()
    daemon = environment.daemon(config)
    for ledger in ledgers:
        assert browse(daemon.address, ledger.queue) == [], "settled messages came back"
    daemon.stop()


@test("kill -9 with thousands of frames in flight loses nothing receipted, round after round")
def kill_rounds(environment):
    run_rounds(environment)


@test("kill -9 over many small segments loses nothing receipted")
def kill_rounds_small_segments(environment):
    run_rounds(environment, '[storage]\nsegment_size = "1MiB"\n')


@test("kill -9 with fsync = never loses nothing that was written")
def kill_rounds_without_sync(environment):
    run_rounds(environment, '[storage]\nfsync = "never"\n')


@test("kill -9 before COMMIT: nothing of the transaction is visible")
def kill_before_commit(environment):
    daemon = environment.daemon()
    client = daemon.connect()
    client.send("/queue/tx", 1)
    client.subscribe("/queue/tx")
    delivered = client.expect_message(1)
    client.request("BEGIN", transaction="t")
    client.ack(delivered, transaction="t")
    for number in (2, 3):
        client.send("/queue/tx", number, transaction="t")
    daemon.kill()
    client.close()
    daemon = environment.daemon()
    assert browse(daemon.address, "/queue/tx") == [1]
    daemon.stop()


@test("kill -9 after the receipt of COMMIT: all of the transaction holds")
def kill_after_commit(environment):
    daemon = environment.daemon()
    client = daemon.connect()
    client.send("/queue/tx", 1)
    client.subscribe("/queue/tx")
    delivered = client.expect_message(1)
    client.request("BEGIN", transaction="t")
    client.ack(delivered, transaction="t")
    for number in (2, 3):
        client.send("/queue/tx", number, transaction="t")
    client.send("/queue/other", 4, transaction="t")
    client.request("COMMIT", transaction="t")
    daemon.kill()
    client.close()
    daemon = environment.daemon()
    assert browse(daemon.address, "/queue/tx") == [2, 3]
    assert browse(daemon.address, "/queue/other") == [4]
    daemon.stop()


@test("kill -9 among pipelined transactions: each is there whole or not at all")
def kill_among_transactions(environment):
    daemon = environment.daemon()
    client = daemon.connect()
    committed = 0
    for number in range(400):
        client.write("BEGIN", transaction=number)
        for part in range(5):
            client.write("SEND", str(number * 5 + part).encode(), destination="/queue/tx",
                         transaction=number, persistent="true")
        client.write("COMMIT", transaction=number, receipt=number)
    while committed < 100:
        client.expect("RECEIPT")
        committed += 1
    daemon.kill()
    committed += len([frame for frame in client.expect_close()
                      if frame.command == "RECEIPT"])
    client.close()
    daemon = environment.daemon()
    found = browse(daemon.address, "/queue/tx")
    assert found == list(range(len(found))), "a hole or a wrong order"
    assert len(found) % 5 == 0, f"a part of a transaction: {len(found)} messages"
    assert len(found) >= committed * 5, f"{committed} commits receipted, {len(found)} messages"
    daemon.stop()


@test("messages of a fan-out are in every child after kill -9")
def fanout_after_kill(environment):
    config = ('[[fanout]]\nname = "/fanout/orders"\n'
              'children = ["/queue/orders.billing", "/queue/orders.audit"]\n')
    daemon = environment.daemon(config)
    with daemon.connect() as client:
        for number in range(50):
            client.send("/fanout/orders", number)
    daemon.kill()
    daemon = environment.daemon(config)
    for child in ("/queue/orders.billing", "/queue/orders.audit"):
        assert browse(daemon.address, child) == list(range(50)), child
    daemon.stop()
