"""TLS on a STOMP listener: who may connect, what goes through, certificates that change."""

import os
import signal
import socket
import ssl
import threading
import time

import stompwire
from harness import test, until
from tests_configuration import radiatord
from transport import Authority, HalfClosingClient, TLSClient, listener, run_openssl, start

MEBIBYTE = 1 << 20


def secured(environment, **options):
    authority = Authority(environment)
    files = authority.issue("server", "localhost", server=True)
    daemon = start(environment, options.pop("config", "") + listener("stomp", files, **options))
    return authority, daemon


def handshake_fails(port, context, reason, daemon):
    """A client that is not let in: an error at once, or (TLS 1.3) at its first read."""
    failed = None
    try:
        with TLSClient(port, context) as client:
            client.send("/queue/q", "x")
    except (OSError, stompwire.Closed) as error:
        failed = error
    assert failed is not None, "it was let in"
    until(lambda: reason in daemon.log(), what=f"{reason!r} in the log")
    line = next(line for line in daemon.log().splitlines() if reason in line)
    assert "TLS handshake failed" in line and "127.0.0.1" in line, line


@test("TLS 1.2 and 1.3 are spoken, TLS 1.1, plain STOMP and plain HTTP are not")
def versions(environment):
    authority, daemon = secured(environment)
    port = daemon.ports[0]
    assert "protocol=stomp tls=yes" in daemon.log(), daemon.log()
    for version in (ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3):
        context = authority.context()
        context.minimum_version = context.maximum_version = version
        with TLSClient(port, context) as client:
            assert client.socket.version() == version.name.replace("_", "."), client.socket.version()
            client.subscribe("/queue/q")
            client.send("/queue/q", version.name)
            client.ack(client.expect_message(version.name))
    old = authority.context()
    old.set_ciphers("ALL:@SECLEVEL=0")
    old.minimum_version = ssl.TLSVersion.TLSv1
    old.maximum_version = ssl.TLSVersion.TLSv1_1
    handshake_fails(port, old, "speaks neither TLS 1.2 nor 1.3", daemon)
    for text, reason in ((b"GET / HTTP/1.1\r\nHost: x\r\n\r\n", "speaks plain HTTP"),
                         (b"CONNECT\naccept-version:1.2\n\n\0", "speaks plain STOMP"),
                         (b"STOMP\naccept-version:1.2\n\n\0", "does not speak TLS")):
        with socket.create_connection(("127.0.0.1", port), 20) as plain:
            plain.sendall(text)
            try:
                while plain.recv(1000):
                    pass
            except ConnectionError:
                pass
        until(lambda: reason in daemon.log(), what=f"{reason!r} in the log")
    daemon.stop()


@test("a client that does not trust the certificate stays away, and with client_ca only known clients come in")
def authorities(environment):
    authority, other = Authority(environment), Authority(environment, "other")
    files = authority.issue("server", "localhost", server=True)
    daemon = start(environment, listener("stomp", files)
                   + listener("stomp", files, client_ca=authority.certificate))
    try:
        TLSClient(daemon.ports[0], other.context())
        raise AssertionError("a certificate of an unknown issuer was trusted")
    except ssl.SSLCertVerificationError:
        pass
    until(lambda: "does not accept" in daemon.log(), what="the client's reason in the log")
    port = daemon.ports[1]
    handshake_fails(port, authority.context(), "shows no certificate", daemon)
    stranger = other.issue("stranger", "stranger")
    handshake_fails(port, authority.context(client=stranger), "does not vouch", daemon)
    known = authority.issue("client", "alice")
    with TLSClient(port, authority.context(client=known)) as client:
        client.send("/queue/q", "from alice")
    daemon.stop()


@test("a client that never begins TLS, or stops in the middle, is closed within connect_timeout")
def slow_handshake(environment):
    authority, daemon = secured(environment, config='[stomp]\nconnect_timeout = "700ms"\n')
    port = daemon.ports[0]
    hello = ssl.MemoryBIO()
    half = authority.context().wrap_bio(ssl.MemoryBIO(), hello, server_hostname="localhost")
    try:
        half.do_handshake()
    except ssl.SSLWantReadError:
        pass
    flight = hello.read()
    starts = [b"", flight[:1], flight[:40], flight]
    begin = time.monotonic()
    idle = [socket.create_connection(("127.0.0.1", port), 20) for _ in starts]
    for connection, data in zip(idle, starts):
        connection.sendall(data)
    for connection in idle:
        try:
            while connection.recv(10_000):
                pass
        except ConnectionError:
            pass
        connection.close()
    took = time.monotonic() - begin
    assert 0.5 < took < 15, f"closed after {took:.1f} s"
    assert "no TLS handshake within connect_timeout = 700 ms" in daemon.log(), daemon.log()
    with TLSClient(port, authority.context(), connect=False) as client:
        client.expect_error_and_close("no CONNECT", "connect_timeout")
    daemon.stop()


@test("through TLS megabytes pass both ways, half-closed clients get their receipts, ERRORs are readable")
def bodies_and_ends(environment):
    authority, daemon = secured(environment)
    port, context = daemon.ports[0], authority.context()
    before = daemon.descriptors()
    body = os.urandom(5 * MEBIBYTE)
    # Two clients: nothing is read from one that writes and does not read what it is sent.
    with TLSClient(port, context) as client, TLSClient(port, context) as sender:
        client.subscribe("/queue/large", prefetch_count=10)
        for _ in range(3):
            sender.send("/queue/large", body)
        for _ in range(3):
            client.ack(client.expect_message(body))
        client.write("SEND", b"x", destination="/nonsense")
        client.expect_error_and_close("bad destination", "/nonsense")
    # Some clients end TCP without a word in TLS, others tell it there first.
    for client, end in (
            (TLSClient(port, context), lambda tls: socket.socket.shutdown(tls, socket.SHUT_WR)),
            (HalfClosingClient(port, context), lambda tls: tls.send_close_notify())):
        for number in range(200):
            client.write("SEND", b"m", destination="/queue/half", receipt=number)
        end(client.socket)
        frames = client.expect_close()
        ids = [frame.headers["receipt-id"] for frame in frames]
        assert ids == [str(number) for number in range(200)], ids[-3:]
        client.close()
    until(lambda: daemon.descriptors() <= before + 2, what="the sockets closed")
    assert "connection failed" not in daemon.log(), daemon.log()
    daemon.stop()


@test("a client behind TLS that does not read holds up nobody, and gets all when it reads")
def slow_reader(environment):
    authority, daemon = secured(environment)
    port, context = daemon.ports[0], authority.context()
    slow = TLSClient(port, context, receive_buffer=4096)
    slow.subscribe("/queue/slow", ack="auto")
    with TLSClient(port, context) as sender:
        for number in range(64):
            sender.send("/queue/slow", f"{number} ".encode() + b"x" * 100_000)
        assert daemon.memory() < 300 * MEBIBYTE, daemon.memory()
    for number in range(64):
        assert slow.expect_message().body.startswith(f"{number} ".encode())
    slow.close()
    daemon.stop()


def reload(daemon):
    seen = daemon.log().count("reloaded")
    daemon.process.send_signal(signal.SIGHUP)
    until(lambda: daemon.log().count("reloaded") > seen, what="an answer to SIGHUP")
    return [line for line in daemon.log().splitlines() if "reloaded" in line][-1]


def serial(port, context):
    with TLSClient(port, context) as client:
        return client.socket.getpeercert()["serialNumber"]


@test("SIGHUP changes the certificate for new connections; old ones go on; a broken file changes nothing")
def renewal(environment):
    authority, daemon = secured(environment)
    port, context = daemon.ports[0], authority.context()
    certificate, key = (authority.directory / name for name in ("server.pem", "server.key"))
    old_serial = serial(port, context)
    kept = TLSClient(port, context)
    kept.subscribe("/queue/kept", ack="auto")
    new = authority.issue("new", "localhost", server=True)
    # In place, with the configuration as it was.
    certificate.write_bytes(new[0].read_bytes())
    key.write_bytes(new[1].read_bytes())
    assert serial(port, context) == old_serial, "read again before SIGHUP"
    line = reload(daemon)
    assert "configuration reloaded" in line and "applied=certificates" in line, line
    new_serial = serial(port, context)
    assert new_serial != old_serial
    kept.send("/queue/kept", "through the old one")
    kept.expect_message("through the old one")
    secret = key.read_text().splitlines()[1]
    other = authority.issue("other", "localhost", server=True)
    for break_it, word in ((lambda: certificate.write_text("nonsense\n"), "server.pem"),
                           (lambda: key.write_bytes(other[1].read_bytes()), "does not fit"),
                           (lambda: key.write_text("-----BEGIN PRIVATE KEY-----\nAA"), "server.key"),
                           (certificate.unlink, "No such file")):
        kept_files = certificate.read_bytes(), key.read_bytes()
        break_it()
        line = reload(daemon)
        assert "configuration not reloaded" in line and word in line, line
        assert daemon.config_path.name + ":4" in line, line
        assert serial(port, context) == new_serial
        certificate.write_bytes(kept_files[0])
        key.write_bytes(kept_files[1])
    # Other files by name are taken, too.
    text = daemon.config_path.read_text()
    daemon.config_path.write_text(text.replace("server.pem", "other.pem")
                                  .replace("server.key", "other.key"))
    line = reload(daemon)
    assert "listen[127.0.0.1:0].tls" in line and "need_restart" not in line, line
    assert serial(port, context) not in (old_serial, new_serial)
    kept.send("/queue/kept", "still")
    kept.expect_message("still")
    assert secret not in daemon.log()
    daemon.stop()


@test("config check, --check and the start name the file that TLS cannot use, with its line")
def checks(environment):
    authority = Authority(environment)
    server = authority.issue("server", "localhost", server=True)
    other = authority.issue("other", "localhost", server=True)
    locked = authority.directory / "locked.key"
    run_openssl("pkey", "-in", server[1], "-aes256", "-passout", "pass:secret", "-out", locked)
    path = environment.file("tls.toml", listener("stomp", server))
    for arguments in (["config", "check"], ["--check"]):
        status, output, errors = radiatord(environment, *arguments, "--config", path)
        assert status == 0 and "stomp 127.0.0.1:0 with TLS" in output, (output, errors)
    cases = [((authority.directory / "no.pem", server[1]), "no.pem\": cannot be read: No such file"),
             ((server[1], server[1]), "server.key\": holds no certificate"),
             ((server[0], server[0]), "server.pem\": holds no private key"),
             ((server[0], other[1]), "other.key\": does not fit the certificate"),
             ((server[0], locked), "locked.key\": is encrypted"),
             ((authority.directory, server[1]), "cannot be read: Is a directory")]
    for files, text in cases:
        path.write_text(listener("stomp", files))
        for arguments in (["config", "check"], ["--check"], []):
            status, output, errors = radiatord(environment, *arguments, "--config", path)
            assert status == 1 and text in errors and "tls.toml:4" in errors, (arguments, errors)
    path.write_text(listener("stomp", (authority.directory / "a.pem", authority.directory / "b.key"),
                             client_ca=authority.directory / "c.pem") + "wrong = 1\n")
    status, _, errors = radiatord(environment, "config", "check", "--config", path)
    assert status == 1 and all(name in errors for name in ("a.pem", "b.key", "c.pem", "wrong")), errors
    status, shown, errors = radiatord(environment, "config", "show", "--config",
                                      environment.file("show.toml", listener("stomp", server)))
    assert status == 0 and f'tls = {{ certificate = "{server[0]}"' in shown, (shown, errors)


@test("a thousand TLS clients that come and go leave no descriptors and no memory behind")
def come_and_go(environment):
    authority, daemon = secured(environment)
    port, context = daemon.ports[0], authority.context()

    def round_of(count):
        for _ in range(count):
            with TLSClient(port, context) as client:
                client.send("/queue/q", "x")
                client.write("DISCONNECT", receipt="bye")
                client.expect("RECEIPT")

    round_of(50)
    before, descriptors = daemon.memory(), daemon.descriptors()
    threads = [threading.Thread(target=round_of, args=(250,)) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    until(lambda: daemon.descriptors() <= descriptors + 2, what="the sockets closed")
    assert daemon.memory() - before < 32 * MEBIBYTE, daemon.memory() - before
    daemon.stop()
