"""Stock clients of four languages, each as its users would write it."""

from harness import Lines, test, until

from load import browse

SCRIPTS = {"stomp.py": "client_stomppy.py", "Net::Stomp": "client_netstomp.pl",
           "ruby stomp": "client_ruby.rb", "php Stomp": "client_php.php",
           "stompman": "client_stompman.py", "aiostomp": "client_aiostomp.py"}
# Those that connect again by themselves, whose ACKs have no receipts.
RECONNECTING = ["stompman", "aiostomp"]


def check(client):
    def run(environment):
        script = SCRIPTS[client]
        if client in RECONNECTING:
            environment.need_module(client)
        daemon = environment.daemon()
        child = environment.client(script, "check", *daemon.address)
        output, _ = child.communicate(timeout=60)
        assert child.returncode == 0, output
        daemon.stop()
    return run


def survives_a_kill(script):
    def run(environment):
        queue = "/queue/numbers"
        daemon = environment.daemon()
        sent = Lines(environment.client(script, "produce", *daemon.address, queue, 1))
        until(lambda: len(sent.values) >= 100, what="100 receipts")
        settled = Lines(environment.client(script, "settle", *daemon.address, queue))
        until(lambda: len(settled.values) >= 60, what="60 acknowledgements")
        until(lambda: len(sent.values) >= 250, what="250 receipts")
        daemon.kill()
        receipted = [int(number) for number in sent.finish()]
        gone = [int(number) for number in settled.finish()]

        daemon = environment.daemon()
        found = browse(daemon.address, queue)
        # One SEND and a few ACKs may have been on their way, without their receipts.
        acked = {int(line[4:]) for line in settled.remarks if line.startswith("ack ")}
        in_doubt = acked - set(gone) | {len(receipted) + 1}
        assert receipted == list(range(1, len(receipted) + 1)), receipted
        assert gone == list(range(1, len(gone) + 1)), gone
        lost = set(receipted) - set(gone) - set(found) - in_doubt
        assert not lost, f"receipted and lost: {sorted(lost)}"
        assert not set(found) & set(gone), f"settled and back: {sorted(set(found) & set(gone))}"
        assert found == sorted(set(found)), f"out of order: {found}"
        assert set(found) <= set(receipted) | in_doubt, "messages that nobody sent"
        daemon.stop()
    return run


def follows_a_restart(client):
    def run(environment):
        environment.need_module(client)
        queue, first, second = "/queue/numbers", 200, 300
        daemon = environment.daemon()
        with daemon.connect() as sender:
            for number in range(1, first + 1):
                sender.send(queue, number)
        follower = Lines(environment.client(SCRIPTS[client], "follow", *daemon.address, queue, second))
        until(lambda: len(follower.values) >= 60, what="60 messages")
        daemon.kill()
        _, port = daemon.address
        daemon = environment.run_daemon(
            [environment.options.daemon, "--data", str(environment.data), "--listen", f"127.0.0.1:{port}"])
        with daemon.connect() as sender:
            for number in range(first + 1, second + 1):
                sender.send(queue, number)
        seen = [int(number) for number in follower.finish(60)]
        assert sorted(set(seen)) == list(range(1, second + 1)), f"missing or strange: {seen}"
        # ACKs without receipts: the last before the crash may not have become durable, no others.
        again = sorted(number for number in set(seen) if seen.count(number) > 1)
        assert again == list(range(min(again, default=0), max(again, default=-1) + 1)), f"again: {again}"
        assert len(seen) - len(set(seen)) == len(again) < first, f"more than twice: {seen}"
        with daemon.connect() as reader:
            reader.subscribe(queue)
            reader.expect_nothing()
        daemon.stop()
    return run


def sends_over_a_kill(environment):
    environment.need_module("stompman")
    queue = "/queue/numbers"
    daemon = environment.daemon()
    sent = Lines(environment.client(SCRIPTS["stompman"], "produce", *daemon.address, queue, 1))
    until(lambda: len(sent.values) >= 100, what="100 receipts")
    daemon.kill()
    receipted = [int(number) for number in sent.finish()]
    daemon = environment.daemon()
    found = browse(daemon.address, queue)
    assert receipted == list(range(1, len(receipted) + 1)), receipted
    # One more may have been on its way, without its receipt.
    assert found in (receipted, receipted + [len(receipted) + 1]), (receipted, found)
    daemon.stop()


for client, script in SCRIPTS.items():
    if client == "aiostomp":
        test("aiostomp connects, sends, settles, broadcasts and leaves")(check(client))
    else:
        test(f"{client} connects, sends, settles, commits, aborts, broadcasts and leaves")(check(client))
    if client in RECONNECTING:
        test(f"{client} goes on by itself after kill -9 and a start, and misses nothing")(
            follows_a_restart(client))
    elif client != "php Stomp":  # see its script
        test(f"{client} finds every receipted message after kill -9")(survives_a_kill(script))
test("stompman finds every receipted message after kill -9")(sends_over_a_kill)
