"""Names that stand for many, that come and go, and that belong to one connection."""

import pathlib
import subprocess
import time

from harness import test, until

EXAMPLE = pathlib.Path(__file__).resolve().parents[2] / "examples" / "request_reply.py"


@test("a wildcard subscription covers queues and topics, also those made later, with one credit")
def wildcards(environment):
    daemon = environment.daemon()
    client, sender = daemon.connect(), daemon.connect()
    sender.send("/queue/orders.de", "1")
    sender.send("/queue/other", "no")
    client.subscribe("/queue/orders.*", id="q", prefetch_count=1)
    client.subscribe("/topic/news.>", id="t", ack="auto")
    first = client.expect_message("1")
    assert first.headers["destination"] == "/queue/orders.de"
    assert first.headers["subscription"] == "q"
    sender.send("/queue/orders.fr", "2")
    sender.send("/queue/orders.fr.paris", "no")
    sender.send("/topic/news.sport.football", "goal")
    goal = client.expect_message("goal")
    assert goal.headers["destination"] == "/topic/news.sport.football"
    client.expect_nothing()
    client.ack(first)
    client.ack(client.expect_message("2"))
    for version in ("1.0", "1.1"):
        sender.send("/queue/orders.uk", "3")
        frame = client.expect_message("3")
        client.ack(frame)
    for name in ("/queue/a*", "/queue/>.a", "/fanout/*"):
        with daemon.connect() as bad:
            bad.write("SUBSCRIBE", destination=name, id="1")
            bad.expect_error_and_close(name)
    with daemon.connect() as bad:
        bad.write("SEND", b"x", destination="/queue/orders.*")
        bad.expect_error_and_close("wildcards")
    daemon.stop()


@test("1.1 acknowledges by subscription and message-id what came by a wildcard")
def wildcards_of_eleven(environment):
    daemon = environment.daemon()
    client = daemon.connect(version="1.1")
    for number in range(3):
        client.send(f"/queue/w.{number}", number)
    client.subscribe("/queue/w.*", id="w", ack="client", prefetch_count=10)
    frames = [client.expect_message() for _ in range(3)]
    client.request("ACK", subscription="w", message_id=frames[2].headers["message-id"])
    client.close()
    with daemon.connect() as other:
        other.subscribe("/queue/w.*")
        other.expect_nothing()
    daemon.stop()


@test("reply-to becomes an address that others can send to; replies come as RabbitMQ's clients expect them")
def replies(environment):
    daemon = environment.daemon()
    asker, worker = daemon.connect(), daemon.connect()
    worker.subscribe("/queue/requests")
    asker.request("SEND", b"what?", destination="/queue/requests",
                  reply_to="/temp-queue/mine", correlation_id="c:7".replace(":", "\\c"))
    question = worker.expect_message("what?")
    address = question.headers["reply-to"]
    assert address.startswith("/temp-queue/@") and "mine" not in address, address
    worker.send(address, "that", correlation_id=question.headers["correlation-id"])
    reply = asker.expect_message("that")
    assert reply.headers["subscription"] == "/temp-queue/mine", reply.headers
    assert reply.headers["correlation-id"] == "c\\c7"
    # An explicit subscription takes the place of the automatic one.
    asker.subscribe("/temp-queue/mine", id="own", ack="client")
    worker.send(address, "more")
    more = asker.expect_message("more")
    assert more.headers["subscription"] == "own", more.headers
    asker.ack(more)
    asker.expect_nothing()
    # Passed on unchanged by somebody else.
    worker.send("/queue/further", "x", reply_to=address)
    asker.subscribe("/queue/further", id="f")
    assert asker.expect_message("x").headers["reply-to"] == address
    asker.close()
    with daemon.connect() as thief:
        thief.write("SUBSCRIBE", destination=address, id="1")
        thief.expect_error_and_close(address)

    def is_gone():
        client = daemon.connect()
        client.write("SEND", b"too late", destination=address, receipt="1")
        frame = client.next_frame()
        client.close()
        return frame.command == "ERROR" and b"has ended" in frame.body
    until(is_gone, what="an ERROR for the asker that is gone")
    daemon.stop()


@test("the example of a synchronous call works, and its timeout too")
def example(environment):
    daemon = environment.daemon()
    python = environment.options.python
    call = [python, str(EXAMPLE), "call", *map(str, daemon.address), "6", "7"]
    worker = subprocess.Popen([python, str(EXAMPLE), "serve", *map(str, daemon.address)],
                              stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    try:
        assert worker.stdout.readline() == "serving\n"
        done = subprocess.run(call, capture_output=True, text=True, timeout=60)
        assert done.stdout == "42\n", done
    finally:
        worker.kill()
        worker.wait()
        worker.stdin.close()
        worker.stdout.close()
    done = subprocess.run(call, capture_output=True, text=True, timeout=60)
    assert "no reply within 5 s" in done.stderr, done
    daemon.stop()


@test("what clients created goes when nobody uses it, and what is declared stays")
def unused(environment):
    daemon = environment.daemon("""
[create]
auto_delete_after = "1s"
[[queue]]
name = "/queue/declared"
""")
    client = daemon.connect()
    client.send("/queue/full", "x")
    client.send("/queue/used.up", "x")
    client.subscribe("/queue/used.up")
    client.ack(client.expect_message("x"))
    client.request("UNSUBSCRIBE", id="s")

    def names():
        status, report = environment.log_tool_json("inspect", environment.data, "--live")
        return {queue["name"] for queue in report["queues"]}
    until(lambda: "/queue/used.up" not in names(), what="the unused queue's end")
    time.sleep(1)
    assert names() >= {"/queue/declared", "/queue/full"}, names()
    client.send("/queue/used.up", "again")
    client.subscribe("/queue/used.up")
    client.expect_message("again")
    daemon.stop()
