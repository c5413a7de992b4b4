"""TLS and WebSocket for tests: certificates made on the spot, sockets that speak either, a listener each.

The certificates are made by the `openssl` program, hold for a day, and are gone with the test.
"""

import base64
import contextlib
import os
import shutil
import ssl
import struct
import subprocess

import stompwire
from harness import Skip, until

KEY_OPTIONS = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes"]


def run_openssl(*arguments):
    if shutil.which("openssl") is None:
        raise Skip("openssl is not installed")
    done = subprocess.run(["openssl", *map(str, arguments)], capture_output=True, text=True,
                          timeout=30)
    assert done.returncode == 0, done.stderr


class Authority:
    """A certificate that vouches for others, in a directory of its own."""

    def __init__(self, environment, name="ca"):
        self.directory = environment.directory / name
        self.directory.mkdir()
        self.certificate = self.directory / "ca.pem"
        self.key = self.directory / "ca.key"
        run_openssl("req", "-x509", *KEY_OPTIONS, "-keyout", self.key, "-out", self.certificate,
                    "-days", "1", "-subj", f"/CN=radiator test {name}")

    def issue(self, name, common_name, server=False):
        """The files of a certificate and its key; a server's is for 127.0.0.1 and localhost."""
        certificate, key = self.directory / f"{name}.pem", self.directory / f"{name}.key"
        request, extensions = self.directory / f"{name}.csr", self.directory / f"{name}.ext"
        run_openssl("req", *KEY_OPTIONS, "-keyout", key, "-out", request,
                    "-subj", f"/O=tests/CN={common_name}")
        extensions.write_text("subjectAltName=DNS:localhost,IP:127.0.0.1\n" if server else
                              "extendedKeyUsage=clientAuth\n")
        run_openssl("x509", "-req", "-in", request, "-CA", self.certificate, "-CAkey", self.key,
                    "-CAcreateserial", "-days", "1", "-extfile", extensions, "-out", certificate)
        return certificate, key

    def context(self, client=None):
        """What a client of this authority uses; `client` is the pair of files that it shows."""
        context = ssl.create_default_context(cafile=str(self.certificate))
        if client:
            context.load_cert_chain(*map(str, client))
        return context


def listener(protocol, files=None, client_ca="", **more):
    """One [[listen]] on a free port, as text."""
    lines = ["[[listen]]", f'protocol = "{protocol}"', 'address = "127.0.0.1:0"']
    if files:
        certificate, key = files
        lines.append(f'tls = {{ certificate = "{certificate}", key = "{key}", '
                     f'client_ca = "{client_ca}" }}')
    lines += [f"{name} = {value}" for name, value in more.items()]
    return "\n".join(lines) + "\n"


def start(environment, config):
    """A daemon on the listeners of `config`; `ports` has theirs in order, `config_path` the file."""
    path = environment.file(f"listen-{environment.count}.toml", config)
    daemon = environment.run_daemon(
        [environment.options.daemon, "--data", str(environment.data), "--config", str(path)])
    count = config.count("[[listen]]")
    until(lambda: len(ports(daemon)) == count, what="all listeners in the log")
    daemon.ports, daemon.config_path = ports(daemon), path
    return daemon


def ports(daemon):
    return [int(line.split("127.0.0.1:")[1].split()[0]) for line in daemon.log().splitlines()
            if "listening" in line and "127.0.0.1:" in line]


class TLSClient(stompwire.Client):
    """The client of bare frames through TLS."""

    def __init__(self, port, context, **options):
        self.context = context
        super().__init__(("127.0.0.1", port), **options)

    def opened(self, plain):
        return self.context.wrap_socket(plain, server_hostname="localhost")


class HalfClosingSocket:
    """TLS whose sending side can end alone.

    `SSLSocket.unwrap` cannot do that: it reads at once, and fails where it finds data of a frame.
    """

    def __init__(self, plain, context):
        self.plain, self.read_bio, self.write_bio = plain, ssl.MemoryBIO(), ssl.MemoryBIO()
        self.tls = context.wrap_bio(self.read_bio, self.write_bio, server_hostname="localhost")
        self.with_input(self.tls.do_handshake)

    def with_input(self, operation):
        """Does it, with as much from the network as it takes."""
        while True:
            try:
                return operation()
            except ssl.SSLWantReadError:
                self.flush()
                data = self.plain.recv(1 << 16)
                self.read_bio.write(data) if data else self.read_bio.write_eof()
            finally:
                self.flush()

    def flush(self):
        self.plain.sendall(self.write_bio.read())

    def sendall(self, data):
        self.tls.write(data)
        self.flush()

    def recv(self, size):
        try:
            return self.with_input(lambda: self.tls.read(size))
        except (ssl.SSLZeroReturnError, ssl.SSLEOFError):
            return b""

    def send_close_notify(self):
        try:
            self.tls.unwrap()
        except ssl.SSLWantReadError:
            pass  # it waits for the other side's
        self.flush()

    def pending(self):
        return self.tls.pending() + self.read_bio.pending

    def fileno(self):
        return self.plain.fileno()

    def close(self):
        self.plain.close()


class HalfClosingClient(TLSClient):
    def opened(self, plain):
        return HalfClosingSocket(plain, self.context)


# WebSocket

TEXT, BINARY, CLOSE, PING, PONG, CONTINUATION = 1, 2, 8, 9, 10, 0


def frame(opcode, payload=b"", final=True, masked=True, reserved=0, length=None):
    """The bytes of one WebSocket frame; `length` = how many bytes write the length, if not fewest."""
    size = len(payload)
    if length is None:
        length = 0 if size < 126 else 2 if size < 65536 else 8
    code = {0: size, 2: 126, 8: 127}[length]
    head = bytes([(0x80 if final else 0) | reserved << 4 | opcode, (0x80 if masked else 0) | code])
    head += size.to_bytes(length, "big") if length else b""
    if not masked:
        return head + payload
    mask = os.urandom(4)
    key = int.from_bytes((mask * (size // 4 + 1))[:size], "big")
    return head + mask + (int.from_bytes(payload, "big") ^ key).to_bytes(size, "big")


def request_lines(port, **changes):
    """The head of an upgrade request; a header set to None is left out, '_' stands for '-'."""
    headers = {"Host": f"127.0.0.1:{port}", "Upgrade": "websocket", "Connection": "Upgrade",
               "Sec-WebSocket-Key": base64.b64encode(os.urandom(16)).decode(),
               "Sec-WebSocket-Version": "13"}
    headers.update({name.replace("_", "-"): value for name, value in changes.items()})
    return "".join(f"{name}: {value}\r\n" for name, value in headers.items() if value is not None)


class WebSocketRefused(Exception):
    def __init__(self, status, head, body):
        super().__init__(f"{status}: {head!r} {body!r}")
        self.status, self.head, self.body = status, head, body


class WebSocketClient(stompwire.Client):
    """The client of bare STOMP frames in WebSocket messages, one message for each write.

    `messages` has what came: (opcode, payload) of each message or control frame.
    """

    def __init__(self, port, context=None, opcode=TEXT, protocol="v12.stomp", upgrade=None,
                 **options):
        self.context, self.opcode, self.port = context, opcode, port
        self.upgrade = {"Sec_WebSocket_Protocol": protocol, **(upgrade or {})}
        self.messages, self.rest, self.close_code = [], bytearray(), None
        super().__init__(("127.0.0.1", port), **options)

    def opened(self, plain):
        if self.context:
            plain = self.context.wrap_socket(plain, server_hostname="localhost")
        head = request_lines(self.port, **self.upgrade)
        plain.sendall(f"GET /any/path HTTP/1.1\r\n{head}\r\n".encode())
        answer = bytearray()
        while b"\r\n\r\n" not in answer:
            data = plain.recv(4096)
            if not data:
                raise stompwire.Closed(f"no answer: {bytes(answer)!r}")
            answer += data
        self.head, _, rest = bytes(answer).decode("latin-1").partition("\r\n\r\n")
        status = int(self.head.split()[1])
        if status != 101:
            body = rest.encode("latin-1")
            with contextlib.suppress(OSError):
                while data := plain.recv(4096):
                    body += data
            plain.close()
            raise WebSocketRefused(status, self.head, body.decode())
        self.rest += rest.encode("latin-1")
        return plain

    def write_bytes(self, data):
        self.socket.sendall(frame(self.opcode, data))

    def write_raw(self, data):
        self.socket.sendall(data)

    def received(self, data):
        """STOMP bytes of what the socket gave."""
        self.rest += data
        payloads = b""
        while len(self.rest) >= 2:
            size, at = self.rest[1] & 0x7F, 2
            assert not self.rest[1] & 0x80, "a server's frame is masked"
            if size >= 126:
                width = 2 if size == 126 else 8
                if len(self.rest) < 2 + width:
                    break
                size, at = int.from_bytes(self.rest[2:2 + width], "big"), 2 + width
            if len(self.rest) < at + size:
                break
            opcode, payload = self.rest[0] & 0x0F, bytes(self.rest[at:at + size])
            assert self.rest[0] & 0xF0 == 0x80, "fragments or reserved bits"
            del self.rest[:at + size]
            self.messages.append((opcode, payload))
            if opcode == CLOSE:
                self.close_code = struct.unpack(">H", payload[:2])[0]
            elif opcode in (TEXT, BINARY):
                if opcode == TEXT:
                    payload.decode()
                payloads += payload
        return payloads
