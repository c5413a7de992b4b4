"""Stock clients of four languages, each as its users would write it."""

from harness import Lines, test, until

from load import browse

SCRIPTS = {"stomp.py": "client_stomppy.py", "Net::Stomp": "client_netstomp.pl",
           "ruby stomp": "client_ruby.rb", "php Stomp": "client_php.php"}


def check(script):
    def run(environment):
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


for client, script in SCRIPTS.items():
    test(f"{client} connects, sends, settles, commits, aborts, broadcasts and leaves")(
        check(script))
    if client == "php Stomp":
        continue  # see its script
    test(f"{client} finds every receipted message after kill -9")(survives_a_kill(script))
