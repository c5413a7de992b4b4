"""STOMP within WebSocket: the request, the frames of RFC 6455, what passes, how it ends."""

import os
import socket
import struct
import time

import stompwire
import transport
from harness import test, until
from transport import (BINARY, CLOSE, CONTINUATION, PING, PONG, TEXT, Authority, WebSocketClient,
                       WebSocketRefused, frame, listener, request_lines, start)

MEBIBYTE = 1 << 20
CONNECT = stompwire.encode("CONNECT", headers={"accept-version": "1.2", "host": "/"})


def exchange(port, request):
    """What a raw request is answered with, up to the end of the connection."""
    with socket.create_connection(("127.0.0.1", port), 20) as plain:
        plain.sendall(request)
        answer = b""
        try:
            while data := plain.recv(4096):
                answer += data
        except ConnectionError:
            pass
        return answer.decode()


@test("a request that is none for WebSocket is answered in HTTP with the reason, and closed")
def refusals(environment):
    daemon = start(environment, '[stomp]\nconnect_timeout = "2s"\n' + listener("websocket"))
    port = daemon.ports[0]
    assert "protocol=websocket tls=no" in daemon.log(), daemon.log()

    def request(method="GET", version="HTTP/1.1", **changes):
        return f"{method} /ws {version}\r\n{request_lines(port, **changes)}\r\n".encode()

    cases = [
        (b"GET / HTTP/1.1\r\nHost: x\r\n\r\n", 426, "upgrade: websocket"),
        (request(method="POST"), 405, "allow: GET"),
        (request(version="HTTP/1.0"), 426, "WebSocket"),
        (request(Upgrade="h2c"), 426, "WebSocket"),
        (request(Connection="keep-alive"), 426, "WebSocket"),
        (request(Sec_WebSocket_Version="8"), 426, "sec-websocket-version: 13"),
        (request(Sec_WebSocket_Version=None), 426, "version 13"),
        (request(Sec_WebSocket_Key="short"), 400, "Sec-WebSocket-Key"),
        (request(Sec_WebSocket_Key=None), 400, "Sec-WebSocket-Key"),
        (request(Host=None), 400, "Host"),
        (request(Sec_WebSocket_Protocol="mqtt, v9.stomp"), 400, "v12.stomp"),
        (request(Origin="http://evil.example"), 403, "origin"),
        (request(Origin="null"), 403, "origin"),
        (request(Content_Length="3") + b"abc", 400, "no body"),
        (request(Cookie="x" * 20_000), 431, "16 KiB"),
        (request(**{f"X{number}": "y" for number in range(120)}), 431, "100 headers"),
        (b"GET /" + b"a" * 20_000, 431, "16 KiB"),
        (CONNECT, 400, "no HTTP request"),
        (b"\x16\x03\x01\x02\x00\x01\x00", 400, "no HTTP request"),
    ]
    for sent, status, text in cases:
        answer = exchange(port, sent)
        assert answer.startswith(f"HTTP/1.1 {status} "), (sent[:200], answer)
        assert text in answer and "connection: close" in answer, (sent[:200], answer)
    until(lambda: "WebSocket refused" in daemon.log(), what="a line in the log")
    begin = time.monotonic()
    assert exchange(port, b"GET / HTTP/1.1\r\nHost: x\r\n") == ""
    assert 1 < time.monotonic() - begin < 15
    assert "no WebSocket request within connect_timeout" in daemon.log()
    daemon.stop()


@test("origins say whose pages may connect; without any, those of the same host and port")
def origins(environment):
    config = listener("websocket")
    daemon = start(environment, config + listener(
        "websocket", origins='["https://app.example", "http://localhost:8080"]')
        + listener("websocket", origins='["*"]'))
    same, listed, everybody = daemon.ports

    def comes_in(port, origin, **more):
        try:
            WebSocketClient(port, upgrade={"Origin": origin, **more}).close()
            return True
        except WebSocketRefused as refused:
            assert refused.status == 403, refused
            return False

    cases = [
        (same, f"http://127.0.0.1:{same}", True), (same, None, True),
        (same, f"http://127.0.0.1:{listed}", False), (same, "http://127.0.0.1", False),
        (same, f"http://localhost:{same}", False), (same, "https://app.example", False),
        (listed, "https://app.example", True), (listed, "HTTPS://App.Example", True),
        (listed, "http://localhost:8080", True), (listed, None, True),
        (listed, "http://app.example", False), (listed, "https://app.example.evil", False),
        (listed, "https://app.example:8443", False), (listed, f"http://127.0.0.1:{listed}", False),
        (everybody, "http://evil.example", True), (everybody, "null", True),
    ]
    for port, origin, is_allowed in cases:
        assert comes_in(port, origin) == is_allowed, (origin, is_allowed)
    assert comes_in(same, "https://broker.example", Host="broker.example:443")
    assert not comes_in(same, "https://broker.example", Host="broker.example:80")
    # They change without a restart.
    daemon.config_path.write_text(
        daemon.config_path.read_text().replace("https://app.example", "https://new.example"))
    daemon.process.send_signal(1)
    until(lambda: "configuration reloaded" in daemon.log(), what="the reload")
    line = [line for line in daemon.log().splitlines() if "configuration reloaded" in line][0]
    assert ".origins" in line and "need_restart" not in line, line
    assert comes_in(listed, "https://new.example") and not comes_in(listed, "https://app.example")
    daemon.stop()


@test("the sub-protocol names the version, and CONNECT must agree")
def sub_protocols(environment):
    daemon = start(environment, listener("websocket"))
    port = daemon.ports[0]
    for offered, version, chosen in (
            ("v12.stomp", "1.0,1.1,1.2", "1.2"), ("v10.stomp, v11.stomp", "1.0,1.1,1.2", "1.1"),
            ("v10.stomp", "1.0,1.2", "1.0"), ("mqtt,v11.stomp", "1.1", "1.1"),
            (None, "1.1", "1.1")):
        with WebSocketClient(port, protocol=offered, version=version) as client:
            assert client.connected.headers["version"] == chosen, (offered, client.connected)
            named = f"sec-websocket-protocol: v{chosen.replace('.', '')}.stomp"
            assert (named in client.head) == (offered is not None), client.head
    with WebSocketClient(port, protocol="v11.stomp", connect=False) as client:
        client.write("CONNECT", accept_version="1.0,1.2", host="/")
        client.expect_error_and_close("no common version", "1.1")
    daemon.stop()


@test("STOMP frames pass however messages cut them, and come one in each message, as text or binary")
def messages(environment):
    daemon = start(environment, listener("websocket"))
    port = daemon.ports[0]
    send = stompwire.encode("SEND", b"\xff\x00 not text", {"destination": "/queue/q"})
    text = stompwire.encode("SEND", "tränen \u20ac".encode(), {"destination": "/queue/q"})
    subscribe = stompwire.encode("SUBSCRIBE", headers={
        "destination": "/queue/q", "id": "s", "ack": "auto"})
    with WebSocketClient(port) as client:
        # Byte by byte, in fragments with control frames between, all in one message.
        for byte in subscribe:
            client.write_raw(frame(TEXT, bytes([byte])))
        client.write_raw(frame(BINARY, send[:10], final=False) + frame(PING, b"are you there")
                         + frame(CONTINUATION, final=False) + frame(PONG)
                         + frame(CONTINUATION, send[10:]))
        client.expect_message(b"\xff\x00 not text")
        assert client.messages[-1][0] == BINARY and (PONG, b"are you there") in client.messages
        client.write_raw(frame(TEXT, text + b"\n" + text))
        assert client.expect_message().body == client.expect_message().body
        assert [opcode for opcode, _ in client.messages[-2:]] == [TEXT, TEXT]
        # A character cut in two by fragments is text all the same.
        cut = text.index("\u20ac".encode()) + 1
        client.write_raw(frame(TEXT, text[:cut], final=False) + frame(CONTINUATION, text[cut:]))
        client.expect_message("tränen \u20ac".encode())
        for _, payload in client.messages:
            assert payload.count(b"MESSAGE\n") <= 1, payload
    with WebSocketClient(port, opcode=BINARY) as client:
        client.send("/queue/other", "text")
        assert {opcode for opcode, _ in client.messages} == {BINARY}
    daemon.stop()


@test("a frame that RFC 6455 forbids closes the connection with the right code")
def broken_frames(environment):
    daemon = start(environment, '[stomp]\nmax_body = "1MiB"\n' + listener("websocket"))
    port = daemon.ports[0]
    cases = [
        ("not masked", frame(TEXT, b"x", masked=False), 1002),
        ("reserved bit", frame(TEXT, b"x", reserved=4), 1002),
        ("opcode 3", frame(3, b"x"), 1002),
        ("opcode 11", frame(11, b"x"), 1002),
        ("no message to go on with", frame(CONTINUATION, b"x"), 1002),
        ("within another", frame(TEXT, b"\n", final=False) + frame(TEXT, b"\n"), 1002),
        ("control frame is fragmented", frame(PING, b"x", final=False), 1002),
        ("more than 125", frame(PING, b"x" * 126), 1002),
        ("shortest", frame(TEXT, b"x", length=2), 1002),
        ("shortest", frame(TEXT, b"x" * 300, length=8), 1002),
        ("shortest", bytes([0x81, 0xFF]) + b"\xff" * 8, 1002),
        ("half a code", frame(CLOSE, b"\x03"), 1002),
        ("1005", frame(CLOSE, struct.pack(">H", 1005)), 1002),
        ("999", frame(CLOSE, struct.pack(">H", 999)), 1002),
        ("5000", frame(CLOSE, struct.pack(">H", 5000)), 1002),
        ("no UTF-8", frame(CLOSE, struct.pack(">H", 1000) + b"\xff"), 1007),
        ("no UTF-8", frame(TEXT, b"\xc0\x80"), 1007),
        ("no UTF-8", frame(TEXT, b"\n\xe2\x82", final=False) + frame(CONTINUATION), 1007),
        ("more than", bytes([0x82, 0xFF]) + struct.pack(">Q", 1 << 40) + b"mask", 1009),
    ]
    with WebSocketClient(port) as bystander:
        for text, sent, code in cases:
            with WebSocketClient(port) as client:
                client.write_raw(sent)
                client.expect_error_and_close("bad websocket frame", text)
                assert client.close_code == code, (text, client.close_code)
        bystander.send("/queue/q", "undisturbed")
    daemon.stop()


@test("both sides close as RFC 6455 has it; receipts come before the end, an ERROR before the close frame")
def ends(environment):
    authority = Authority(environment)
    files = authority.issue("server", "localhost", server=True)
    daemon = start(environment, listener("websocket") + listener("websocket", files))
    for port, context in zip(daemon.ports, (None, authority.context())):
        with WebSocketClient(port, context) as client:
            for number in range(100):
                client.write("SEND", b"m", destination="/queue/q", receipt=number)
            client.write_raw(frame(CLOSE, struct.pack(">H", 4321) + b"enough"))
            frames = client.expect_close()
            assert [f.headers["receipt-id"] for f in frames] == [str(n) for n in range(100)]
            assert client.close_code == 4321 and client.messages[-1][0] == CLOSE
        with WebSocketClient(port, context) as client:
            client.write("DISCONNECT", receipt="bye")
            assert client.expect("RECEIPT").headers["receipt-id"] == "bye"
            client.expect_close()
            assert client.close_code == 1000
        with WebSocketClient(port, context) as client:
            client.write("SEND", b"x", destination="/nonsense")
            client.expect_error_and_close("/nonsense")
            assert client.close_code == 1000, client.close_code
        # Without a close frame, in the middle of a message.
        with WebSocketClient(port, context) as client:
            client.write("SEND", b"x", destination="/queue/q", receipt="r")
            client.write_raw(frame(TEXT, b"SEND\n", final=False))
            socket.socket.shutdown(client.socket, socket.SHUT_WR)
            assert [f.headers["receipt-id"] for f in client.expect_close()] == ["r"]
        kept = WebSocketClient(port, context)
        kept.send("/queue/q", "x")
        kept.close()
    waiting = WebSocketClient(daemon.ports[0])
    daemon.terminate()
    waiting.expect_error_and_close("stopping")
    assert waiting.close_code == 1000
    assert daemon.wait() == 0


@test("megabytes pass through WebSocket both ways, whole, in fragments, plain and with TLS")
def large(environment):
    authority = Authority(environment)
    files = authority.issue("server", "localhost", server=True)
    daemon = start(environment, listener("websocket") + listener("websocket", files))
    for port, context in zip(daemon.ports, (None, authority.context())):
        body = os.urandom(5 * MEBIBYTE)
        text = ("tränen " * 700_000).encode()
        with WebSocketClient(port, context) as client:
            client.subscribe("/queue/large", ack="auto")
            client.opcode = BINARY
            client.send("/queue/large", body)
            client.expect_message(body)
            assert client.messages[-1][0] == BINARY
            client.opcode = TEXT
            client.send("/queue/large", text)
            client.expect_message(text)
            assert client.messages[-1][0] == TEXT
            whole = stompwire.encode("SEND", body, {"destination": "/queue/large"})
            parts = [whole[at:at + 70_000] for at in range(0, len(whole), 70_000)]
            for index, part in enumerate(parts):
                client.write_raw(frame(CONTINUATION if index else BINARY, part,
                                       final=index == len(parts) - 1))
            client.expect_message(body)
            client.messages.clear()
    daemon.stop()


@test("what a WebSocket client announces, fragments or asks to be answered piles up no memory")
def memory(environment):
    daemon = start(environment, listener("websocket"))
    port = daemon.ports[0]
    announced = [WebSocketClient(port) for _ in range(50)]
    unconnected = [WebSocketClient(port, connect=False) for _ in range(50)]
    before = daemon.memory()
    for client in announced:
        client.write_raw(bytes([0x82, 0xFF]) + struct.pack(">Q", 16 * MEBIBYTE) + b"mask" + b"x")
    for client in unconnected:
        # Before CONNECT a STOMP frame may be 8 KiB; the message goes on for ever.
        client.write_raw(frame(BINARY, b"\n" * 4096, final=False) * 4)
        client.write_raw(frame(CONTINUATION, b"\n" * 65536, final=False) * 4)
    # Pings without end from one who reads no answer: reading from him stops.
    flooder = WebSocketClient(port, receive_buffer=4096)
    flooder.socket.settimeout(1)
    sent = 0
    pings = frame(PING, b"p" * 125) * 500
    begin = time.monotonic()
    try:
        while time.monotonic() - begin < 5 and sent < 256 * MEBIBYTE:
            sent += flooder.socket.send(pings)
    except TimeoutError:
        pass
    with WebSocketClient(port) as client:
        client.send("/queue/q", "still served")
    assert daemon.memory() - before < 64 * MEBIBYTE, f"{daemon.memory() - before} bytes more"
    daemon.stop()


@test("heart-beats pass through WebSocket, and a client may be late by what browsers' hidden tabs need")
def heart_beats(environment):
    daemon = start(environment, '[stomp]\nheart_beat_send = "200ms"\nheart_beat_receive = "200ms"\n'
                   + listener("websocket") + listener("stomp"))
    with WebSocketClient(daemon.ports[0], heart_beat="200,200") as client, \
            stompwire.Client(("127.0.0.1", daemon.ports[1]), heart_beat="200,200") as plain:
        until(lambda: not client.read_some(0.1) and client.parser.beats >= 5, what="five beats")
        assert (TEXT, b"\n") in client.messages
        # The plain one is silent as long, and dropped.
        plain.expect_error_and_close("no heart-beat")
        client.send("/queue/q", "still here")
    daemon.stop()


@test("wss needs the client's certificate where client_ca says so")
def client_certificates(environment):
    authority = Authority(environment)
    files = authority.issue("server", "localhost", server=True)
    known = authority.issue("client", "alice")
    daemon = start(environment, listener("websocket", files, client_ca=authority.certificate))
    port = daemon.ports[0]
    try:
        WebSocketClient(port, authority.context())
        raise AssertionError("let in without a certificate")
    except (OSError, stompwire.Closed):
        pass
    with WebSocketClient(port, authority.context(client=known)) as client:
        client.send("/queue/q", "from alice")
    assert transport.ports(daemon) == [port]
    daemon.stop()
