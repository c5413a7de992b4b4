"""Who gets which message when, over the wire."""

from harness import test


@test("the worked example of flow control")
def worked_example(environment):
    daemon = environment.daemon()
    c1, sender = daemon.connect(), daemon.connect()
    c1.subscribe("/queue/q1", id="1", ack="client")
    c1.subscribe("/queue/q2", id="2", ack="client")
    c1.subscribe("/topic/t1", id="3", ack="auto")
    sender.send("/queue/q1", "M1")
    sender.send("/queue/q1", "M2")
    m1 = c1.expect_message("M1")
    sender.send("/queue/q2", "M3")
    c1.expect_nothing()
    c1.write("ACK", id=m1.headers["ack"])
    m3 = c1.expect_message("M3")
    sender.send("/topic/t1", "M4")
    c1.expect_message("M4")
    c1.write("ACK", id=m3.headers["ack"])
    m2 = c1.expect_message("M2")
    c1.expect_nothing()
    c1.ack(m2)
    c1.expect_nothing()
    daemon.stop()


@test("prefetch-count gives a subscription its own credit")
def own_credit(environment):
    daemon = environment.daemon()
    client = daemon.connect()
    for number in range(5):
        client.send("/queue/q", number)
    client.subscribe("/queue/q", prefetch_count=3)
    frames = [client.expect_message(number) for number in range(3)]
    client.expect_nothing()
    client.write("ACK", id=frames[1].headers["ack"])
    client.expect_message(3)
    daemon.stop()


@test("a message of a lost connection comes back to its place, marked")
def redelivery(environment):
    daemon = environment.daemon()
    first = daemon.connect()
    for number in range(3):
        first.send("/queue/q", number)
    first.subscribe("/queue/q", prefetch_count=2)
    before = [first.expect_message(0), first.expect_message(1)]
    assert before[0].headers.get("redelivered", "false") == "false"
    first.close()
    second = daemon.connect()
    second.subscribe("/queue/q", prefetch_count=10)
    after = [second.expect_message(number) for number in range(3)]
    for old, new in zip(before, after):
        assert new.headers.get("redelivered") == "true", new.headers
        assert new.headers.get("delivery-count") == "2", new.headers
        assert new.headers["message-id"] == old.headers["message-id"]
    assert after[2].headers.get("redelivered", "false") == "false", after[2].headers
    daemon.stop()


@test("NACK and UNSUBSCRIBE give messages back, each with a new ack id")
def give_back(environment):
    daemon = environment.daemon()
    client = daemon.connect()
    client.send("/queue/q", "a")
    client.subscribe("/queue/q", id="1")
    first = client.expect_message("a")
    client.write("NACK", id=first.headers["ack"])
    second = client.expect_message("a")
    assert second.headers["ack"] != first.headers["ack"]
    assert second.headers["redelivered"] == "true"
    client.request("UNSUBSCRIBE", id="1")
    client.subscribe("/queue/q", id="2")
    third = client.expect_message("a")
    assert third.headers["delivery-count"] == "3", third.headers
    client.ack(second)  # of a delivery that has ended: no effect, no ERROR
    client.ack(third)
    client.close()
    with daemon.connect() as other:
        other.subscribe("/queue/q")
        other.expect_nothing()
    daemon.stop()


@test("ack:client is cumulative, ack:client-individual is not")
def cumulative(environment):
    daemon = environment.daemon()
    for mode, left in (("client", [3]), ("client-individual", [0, 1, 3])):
        queue = f"/queue/{mode}"
        with daemon.connect() as client:
            for number in range(4):
                client.send(queue, number)
            client.subscribe(queue, ack=mode, prefetch_count=4)
            frames = [client.expect_message(number) for number in range(4)]
            client.ack(frames[2])
            client.request("DISCONNECT")
        with daemon.connect() as client:
            client.subscribe(queue, prefetch_count=10)
            for number in left:
                client.expect_message(number)
            client.expect_nothing()
    daemon.stop()


@test("two consumers of a queue share its messages, two subscribers of a topic get all")
def sharing(environment):
    daemon = environment.daemon()
    sender, one, two = daemon.connect(), daemon.connect(), daemon.connect()
    for client in (one, two):
        client.subscribe("/queue/q", id="q")
        client.subscribe("/topic/t", id="t", ack="auto")
    sender.send("/queue/q", "a")
    sender.send("/queue/q", "b")
    sender.send("/topic/t", "news")
    got = [sorted(client.expect("MESSAGE").body for _ in range(2)) for client in (one, two)]
    assert sorted(got) == [[b"a", b"news"], [b"b", b"news"]], got
    daemon.stop()


@test("a topic keeps nothing for those who come later")
def topic_keeps_nothing(environment):
    daemon = environment.daemon()
    client = daemon.connect()
    client.send("/topic/t", "early")
    client.subscribe("/topic/t", ack="auto")
    client.expect_nothing()
    client.send("/topic/t", "late")
    client.expect_message("late")
    daemon.stop()


@test("a transaction shows nothing before COMMIT, all after it, and nothing after ABORT")
def transactions(environment):
    daemon = environment.daemon()
    client, other = daemon.connect(), daemon.connect()
    other.subscribe("/queue/q", prefetch_count=10)
    for name in ("kept", "dropped"):
        client.request("BEGIN", transaction=name)
        client.send("/queue/q", f"{name} 1", transaction=name)
        client.send("/queue/q", f"{name} 2", transaction=name)
    other.expect_nothing()
    client.request("ABORT", transaction="dropped")
    client.request("COMMIT", transaction="kept")
    frames = [other.expect_message("kept 1"), other.expect_message("kept 2")]
    other.expect_nothing()

    other.request("BEGIN", transaction="t")
    other.ack(frames[0], transaction="t")
    other.request("ABORT", transaction="t")
    other.close()
    client.subscribe("/queue/q", prefetch_count=10)
    client.expect_message("kept 1")
    client.expect_message("kept 2")
    daemon.stop()


@test("a transaction ends with its connection")
def transaction_of_a_lost_connection(environment):
    daemon = environment.daemon()
    with daemon.connect() as client:
        client.request("BEGIN", transaction="t")
        client.send("/queue/q", "never", transaction="t")
    with daemon.connect() as client:
        client.subscribe("/queue/q")
        client.expect_nothing()
        client.write("COMMIT", transaction="t", receipt="c")
        client.expect_error_and_close("transaction")
    daemon.stop()


@test("a fan-out puts a message into every child, each settled by itself")
def fanout(environment):
    daemon = environment.daemon('[[fanout]]\nname = "/fanout/orders"\n'
                                'children = ["/queue/o.billing", "/queue/o.audit"]\n')
    client = daemon.connect()
    client.send("/fanout/orders", "order 1", colour="blue")
    client.subscribe("/queue/o.billing", id="b")
    frame = client.expect_message("order 1")
    assert frame.headers["colour"] == "blue"
    assert frame.headers["destination"] == "/queue/o.billing"
    client.ack(frame)
    client.subscribe("/queue/o.audit", id="a")
    client.expect_message("order 1")
    daemon.stop()


@test("a full memory queue rejects with an ERROR that names the limit, or drops the oldest")
def memory_limits(environment):
    config = ('[[queue]]\nname = "/queue/strict"\nstorage = "memory"\nmax_messages = 3\n'
              '[[queue]]\nname = "/queue/loose"\nstorage = "memory"\nmax_messages = 3\n'
              'overflow = "drop_oldest"\n'
              '[[queue]]\nname = "/queue/heavy"\nstorage = "memory"\nmax_bytes = "1KiB"\n')
    daemon = environment.daemon(config)
    sender, client = daemon.connect(), daemon.connect()
    for number in range(3):
        sender.send("/queue/strict", number)
    sender.write("SEND", b"3", destination="/queue/strict", receipt="full")
    sender.expect_error_and_close("max_messages", "/queue/strict")
    sender = daemon.connect()
    sender.write("SEND", b"x" * 2000, destination="/queue/heavy", receipt="full")
    sender.expect_error_and_close("max_bytes", "/queue/heavy")
    sender = daemon.connect()
    for number in range(5):
        sender.send("/queue/loose", number)
    client.subscribe("/queue/strict", id="strict", prefetch_count=10)
    for number in range(3):
        client.expect_message(number)
    client.subscribe("/queue/loose", id="loose", prefetch_count=10)
    for number in range(2, 5):
        client.expect_message(number)
    client.expect_nothing()
    daemon.stop()
    daemon = environment.daemon(config)
    with daemon.connect() as client:
        client.subscribe("/queue/strict")
        client.expect_nothing()
    daemon.stop()


@test("[create] allow says which destinations clients may create")
def create_allow(environment):
    daemon = environment.daemon('[create]\nallow = ["/queue/open.>"]\n')
    client = daemon.connect()
    client.send("/queue/open.a", "fine")
    client.write("SEND", b"no", destination="/queue/closed")
    client.expect_error_and_close("/queue/closed", "allow")
    client = daemon.connect()
    client.write("SUBSCRIBE", id="1", destination="/topic/closed")
    client.expect_error_and_close("/topic/closed", "allow")
    daemon.stop()


@test("a clean restart keeps every message, its headers and its place")
def clean_restart(environment):
    daemon = environment.daemon()
    with daemon.connect() as client:
        for number in range(20):
            client.send("/queue/q", number, colour=f"c{number}")
        client.subscribe("/queue/q", prefetch_count=2)
        client.ack(client.expect_message(0))
        client.request("DISCONNECT")
    daemon.stop()
    daemon = environment.daemon()
    with daemon.connect() as client:
        client.subscribe("/queue/q", prefetch_count=100)
        for number in range(1, 20):
            frame = client.expect_message(number)
            assert frame.headers["colour"] == f"c{number}"
        client.expect_nothing()
    daemon.stop()
