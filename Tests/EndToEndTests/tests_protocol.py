"""STOMP itself: versions, receipts, heart-beats, escapes."""

import re
import time

from harness import test

BEATS = '[stomp]\nheart_beat_send = "200ms"\nheart_beat_receive = "200ms"\n'


@test("the highest version that both sides speak is chosen")
def versions(environment):
    daemon = environment.daemon()
    for offered, chosen in (("1.0", "1.0"), ("1.0,1.1", "1.1"), ("1.2,1.0,1.1", "1.2"),
                            ("1.1,1.3", "1.1")):
        with daemon.connect(version=offered) as client:
            assert client.connected.headers.get("version") == chosen, client.connected
    with daemon.connect(connect=False) as client:
        client.write("CONNECT", login="a", passcode="b")
        assert client.expect("CONNECTED").headers.get("version", "1.0") == "1.0"
    with daemon.connect(connect=False) as client:
        client.write("STOMP", accept_version="1.2", host="somewhere.else")
        client.expect("CONNECTED")
    with daemon.connect(connect=False) as client:
        client.write("CONNECT", accept_version="3.0", host="/")
        error = client.expect_error_and_close("version")
        assert "1.2" in error.headers.get("version", ""), error.headers
    with daemon.connect(connect=False) as client:
        client.write("SEND", b"too early", destination="/queue/q")
        client.expect_error_and_close("connect")
    daemon.stop()


@test("each version acknowledges by its own headers")
def acknowledge_by_version(environment):
    daemon = environment.daemon()
    for version in ("1.0", "1.1", "1.2"):
        queue = f"/queue/v{version}"
        with daemon.connect(version=version) as client:
            client.send(queue, "a")
            client.send(queue, "b")
            subscription = {} if version == "1.0" else {"id": "s"}
            client.request("SUBSCRIBE", destination=queue, ack="client", **subscription)
            frame = client.expect_message("a")
            if version == "1.2":
                client.request("ACK", id=frame.headers["ack"])
            elif version == "1.1":
                client.request("ACK", subscription="s", message_id=frame.headers["message-id"])
            else:
                client.request("ACK", message_id=frame.headers["message-id"])
            client.expect_message("b")
            client.expect_nothing()
    daemon.stop()


@test("receipts of every frame type come in the order of the frames")
def receipts_in_order(environment):
    daemon = environment.daemon()
    client = daemon.connect()
    client.send("/queue/q", "first")
    client.send("/queue/q", "second")
    client.subscribe("/queue/q", id="a", prefetch_count=2)
    first, second = client.expect_message("first"), client.expect_message("second")
    frames = [
        ("SUBSCRIBE", {"destination": "/topic/t", "id": "t", "ack": "auto"}),
        ("SEND", {"destination": "/queue/other", "persistent": "true"}),
        ("ACK", {"id": first.headers["ack"]}),
        ("SEND", {"destination": "/topic/nobody"}),
        ("BEGIN", {"transaction": "1"}),
        ("SEND", {"destination": "/queue/other", "transaction": "1"}),
        ("COMMIT", {"transaction": "1"}),
        ("BEGIN", {"transaction": "2"}),
        ("SEND", {"destination": "/queue/other", "transaction": "2"}),
        ("ABORT", {"transaction": "2"}),
        ("UNSUBSCRIBE", {"id": "t"}),
        ("UNSUBSCRIBE", {"id": "a"}),
        ("NACK", {"id": second.headers["ack"]}),
        ("SEND", {"destination": "/queue/other", "persistent": "true"}),
        ("DISCONNECT", {}),
    ]
    for number, (command, headers) in enumerate(frames):
        client.write(command, receipt=f"{number}-{command}", **headers)
    got = [client.expect("RECEIPT").headers["receipt-id"] for _ in frames]
    wanted = [f"{number}-{command}" for number, (command, _) in enumerate(frames)]
    assert got == wanted, got
    client.expect_close()
    daemon.stop()


@test("headers are escaped by version, bodies may hold any byte")
def escapes_and_bodies(environment):
    daemon = environment.daemon()
    body = bytes(range(256)) * 3
    with daemon.connect() as client:
        client.subscribe("/queue/q", ack="auto", id="s")
        client.send("/queue/q", body, note="a\\cb\\nc\\\\d\\re")
        frame = client.expect_message(body)
        assert frame.headers["note"] == "a\\cb\\nc\\\\d\\re", frame.headers
        assert frame.headers["content-length"] == "768"
        assert "receipt" not in frame.headers, "the sender's receipt was passed on"
        client.write_bytes(b"SEND\r\ndestination:/queue/q\r\nfirst:1\r\nfirst:2\r\n\r\nends here\0")
        frame = client.expect_message("ends here")
        assert frame.headers["first"] == "1", frame.headers
        client.write("SEND", b"", destination="/queue/q", bad="\\t")
        client.expect_error_and_close("escape")
    with daemon.connect(version="1.0") as client:
        client.request("SUBSCRIBE", destination="/queue/q", ack="auto")
        client.send("/queue/q", "x", note="a\\cb")
        assert client.expect_message("x").headers["note"] == "a\\cb"
    daemon.stop()


@test("what the specification forbids gets an ERROR and a close, with the receipt's id")
def forbidden(environment):
    daemon = environment.daemon()
    cases = [
        (b"SEND\ndestination:/queue/q\nno colon here\nreceipt:r\n\n\0", "header"),
        (b"SEND\ndestination:/queue/q\ncontent-length:-1\nreceipt:r\n\n\0", "content-length"),
        (b"SEND\nreceipt:r\n\nbody\0", "destination"),
        (b"SUBSCRIBE\ndestination:/queue/q\nreceipt:r\n\n\0", "id"),
        (b"SUBSCRIBE\ndestination:/queue/q\nid:1\nack:perhaps\nreceipt:r\n\n\0", "ack"),
        (b"SUBSCRIBE\ndestination:/queue/q\nid:1\nselector:a=1\nreceipt:r\n\n\0", "selector"),
        (b"COMMIT\ntransaction:none\nreceipt:r\n\n\0", "transaction"),
        (b"DANCE\nreceipt:r\n\n\0", "command"),
        (b"SEND\ndestination:/queue/a.*\nreceipt:r\n\nbody\0", "destination"),
    ]
    for data, word in cases:
        with daemon.connect() as client:
            client.write_bytes(data)
            error = client.expect_error_and_close(word)
            if b"no colon" not in data and b"-1" not in data and b"DANCE" not in data:
                assert error.headers.get("receipt-id") == "r", (data, error.headers)
    with daemon.connect() as client:
        client.request("BEGIN", transaction="t")
        client.write("BEGIN", transaction="t")
        client.expect_error_and_close("transaction")
    with daemon.connect() as client:
        client.subscribe("/queue/q", id="1")
        client.write("SUBSCRIBE", destination="/queue/q", id="1")
        client.expect_error_and_close("id")
    daemon.stop()


@test("heart-beats go both ways; a client that falls silent is dropped")
def heart_beats(environment):
    daemon = environment.daemon(BEATS)
    client = daemon.connect(heart_beat="200,200")
    ours, theirs = map(int, client.connected.headers["heart-beat"].split(","))
    assert 0 < ours <= 200 and 0 < theirs <= 200, client.connected.headers
    end = time.monotonic() + 1.6
    while time.monotonic() < end:
        client.write_bytes(b"\n")
        assert client.read_some(0.1) == []
    assert client.parser.beats >= 5, f"{client.parser.beats} beats in 1.6 s"
    silent_since = time.monotonic()
    client.expect_close(wait=5)
    silence = time.monotonic() - silent_since
    assert 0.2 <= silence <= 2, f"dropped after {silence:.2f} s"
    daemon.stop()


@test("a heart-beat in the middle of a long frame keeps the connection, a stall ends it")
def heart_beat_inside_a_frame(environment):
    daemon = environment.daemon(BEATS)
    client = daemon.connect(heart_beat="200,0")
    client.write_bytes(b"SEND\ndestination:/queue/q\ncontent-length:15\nreceipt:slow\n\n")
    for _ in range(15):
        client.write_bytes(b"x")
        time.sleep(0.1)
    client.write_bytes(b"\0")
    assert client.expect("RECEIPT").headers["receipt-id"] == "slow"
    client.write_bytes(b"SEND\ndestination:/queue/q\ncontent-length:15\n\nxxx")
    client.expect_close(wait=5)
    with daemon.connect() as other:
        other.subscribe("/queue/q", prefetch_count=5)
        other.expect_message(b"x" * 15)
        other.expect_nothing()
    daemon.stop()


@test("a client that wants no heart-beats gets none and is not dropped")
def no_heart_beats(environment):
    daemon = environment.daemon(BEATS)
    clients = [daemon.connect(heart_beat="0,0"), daemon.connect()]  # no header is the same
    time.sleep(1.5)
    for client in clients:
        client.expect_nothing()
        assert client.parser.beats == 0
    daemon.stop()


@test("sessions, message-ids and ack ids are unique, and nothing in them needs an escape")
def ids(environment):
    daemon = environment.daemon()
    clients = [daemon.connect() for _ in range(4)]
    sessions = [client.connected.headers["session"] for client in clients]
    assert len(set(sessions)) == 4 and not any(":" in session for session in sessions), sessions
    frames = []
    for number, client in enumerate(clients):
        client.subscribe("/queue/own%d" % number, id="q", prefetch_count=100)
        client.subscribe("/topic/t", id="t", ack="client")
        for body in range(20):
            client.write("SEND", b"%d" % body, destination="/queue/own%d" % number)
        frames.append([client.expect_message(body) for body in range(20)])
    everything = [frame for mine in frames for frame in mine]
    ids = [frame.headers["message-id"] for frame in everything]
    assert len(set(ids)) == 80, ids
    for mine in frames:
        acks = [frame.headers["ack"] for frame in mine]
        assert len(set(acks)) == 20, acks
        assert all(re.fullmatch("[0-9-]+", text) for text in acks + ids), (acks, ids)
    clients[0].send("/topic/t", "1")
    clients[0].send("/topic/t", "2")
    topic = [clients[1].expect_message(body).headers["message-id"] for body in "12"]
    assert topic[0] != topic[1] and not set(topic) & set(ids), topic
    daemon.stop()


@test("what came before a client went away is processed to the last frame")
def gone_after_sending(environment):
    daemon = environment.daemon()
    with daemon.connect() as client:
        for number in range(3000):
            client.write("SEND", b"%d" % number, destination="/queue/q")
    with daemon.connect() as client:
        client.subscribe("/queue/q", ack="auto")
        for number in range(3000):
            client.expect_message(number)
    daemon.stop()


@test("who connects is answered by a frame: accepted by CONNECTED, refused by an ERROR that says why")
def refused(environment):
    daemon = environment.daemon("[limits]\nconnections = 1\n")
    first = daemon.connect()
    with daemon.connect(connect=False) as second:
        second.expect_error_and_close("connections")
    first.expect_nothing()
    daemon.stop()
