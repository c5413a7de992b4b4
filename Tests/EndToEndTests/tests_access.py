"""Users, permissions, limits and what of them gets into the log; the commands that write the users file."""

import os
import pty
import select
import signal
import socket
import subprocess
import termios
import time

import stompwire
from harness import test, until
from transport import Authority, TLSClient, WebSocketClient, listener, start

WEB, OPS, WRONG = "correct-horse-1", "battery staple 2", "not-a-passcode-3"


def radiatord(environment, *arguments, stdin=""):
    done = subprocess.run([environment.options.daemon, *map(str, arguments)], input=stdin,
                          capture_output=True, text=True, timeout=60)
    return done.returncode, done.stdout, done.stderr


def add(environment, name, passcode):
    status, output, errors = radiatord(environment, "user", "add", name, "--users",
                                       environment.directory / "users.toml", stdin=passcode + "\n")
    assert status == 0, errors
    return output


def configuration(environment, more=""):
    return f"""
{more}
[auth]
method = "file"
users = "{environment.directory}/users.toml"
[log]
level = "trace"
"""


def with_users(environment, more=""):
    """A daemon with two users."""
    add(environment, "web", WEB)
    add(environment, "ops", OPS)
    return environment.daemon(configuration(environment, more))


def no_secrets(daemon):
    for secret in (WEB, OPS, WRONG, "$y$"):
        assert secret not in daemon.log(), f"{secret} is in the log"


def reload(daemon):
    seen = daemon.log().count("reloaded")
    daemon.process.send_signal(signal.SIGHUP)
    until(lambda: daemon.log().count("reloaded") > seen, what="an answer to SIGHUP")


def lines(daemon, *words):
    return [line for line in daemon.log().splitlines() if all(word in line for word in words)]


@test("the right passcode is let in; a wrong user and a wrong passcode get one answer, a second later")
def logins(environment):
    daemon = with_users(environment)
    with daemon.connect(login="web", passcode=WEB) as client:
        client.send("/queue/q", "x")
    for version in ("1.0", "1.1", "1.2"):
        daemon.connect(login="ops", passcode=OPS, version=version).close()
    answers = set()
    for login, passcode in (("web", WRONG), ("nobody", WEB), ("nobody", WRONG), ("web", OPS)):
        start = time.monotonic()
        client = daemon.connect(connect=False)
        client.write("CONNECT", accept_version="1.2", host="/", login=login, passcode=passcode)
        frame = client.expect_error_and_close("access refused", "login or the passcode is wrong")
        assert time.monotonic() - start >= 1, "the answer came at once"
        answers.add((str(frame.headers), frame.body))
    assert len(answers) == 1, f"the answers tell which half is wrong: {answers}"
    client = daemon.connect(connect=False)
    client.write("CONNECT", accept_version="1.2", host="/")
    client.expect_error_and_close("access refused", "wants a login")
    assert len(lines(daemon, " info login ", "user=web", "method=file", "peer=")) == 1
    assert len(lines(daemon, " info login ", "user=ops")) == 3
    assert len(lines(daemon, " notice login refused ", "reason=login_wrong")) == 4
    assert len(lines(daemon, "login refused", "user=nobody")) == 2
    assert len(lines(daemon, "login refused", "reason=login_missing")) == 1
    no_secrets(daemon)
    daemon.stop()


def stock_login(script):
    def run(environment):
        daemon = with_users(environment)
        child = environment.client(script, "check", *daemon.address, login=("web", WEB))
        output, _ = child.communicate(timeout=60)
        assert child.returncode == 0, output
        child = environment.client(script, "check", *daemon.address, login=("web", WRONG))
        output, _ = child.communicate(timeout=60)
        assert child.returncode != 0, "a wrong passcode was let in"
        assert lines(daemon, " info login ", "user=web")
        assert lines(daemon, "login refused", "user=web", "reason=login_wrong")
        no_secrets(daemon)
        daemon.stop()
    return run


for stock, name in (("stomp.py", "client_stomppy.py"), ("Net::Stomp", "client_netstomp.pl")):
    test(f"{stock} logs in with its passcode, and is refused with another")(stock_login(name))


@test("a flood of wrong logins is worked off one by one, and others are let in and served meanwhile")
def flood(environment):
    daemon = with_users(environment)
    inside = daemon.connect(login="web", passcode=WEB)
    crowd = []
    for _ in range(100):
        client = daemon.connect(connect=False)
        client.write("CONNECT", accept_version="1.2", host="/", login="web", passcode=WRONG)
        crowd.append(client)
    inside.send("/queue/q", "while they wait")
    # From another address, so that it need not stand in the same line.
    other = socket.create_connection(daemon.address, timeout=20, source_address=("127.0.0.2", 0))
    other.sendall(stompwire.encode("CONNECT", headers={
        "accept-version": "1.2", "host": "/", "login": "ops", "passcode": OPS}))
    assert other.recv(1000).startswith(b"CONNECTED"), "another address was not let in"
    waiting = 100 - len(lines(daemon, "login refused"))
    assert waiting > 0, "it stood behind the flood"
    before = len(lines(daemon, "login refused"))
    for client in crowd:
        client.close()
    # Those that have gone are not hashed any more: this one is let in at once.
    daemon.connect(login="web", passcode=WEB).close()
    assert len(lines(daemon, "login refused")) < before + 50
    no_secrets(daemon)
    daemon.stop()


PERMITS = """
[[fanout]]
name = "/fanout/orders"
children = ["/queue/orders.audit"]
[[permit]]
user = "web"
send = ["/queue/email", "/fanout/orders"]
subscribe = ["/queue/orders.>"]
create = ["/queue/email"]
"""


@test("permissions hold for sending, subscribing, patterns and creating; refusals say where and are logged")
def permissions(environment):
    daemon = with_users(environment, PERMITS)

    def refused(*words, **frame):
        with daemon.connect(login="web", passcode=WEB) as client:
            client.write(frame.pop("command"), **frame)
            client.expect_error_and_close("not allowed", "user web may not", "[[permit]]", *words)

    web = daemon.connect(login="web", passcode=WEB)
    web.send("/queue/email", "1")
    web.send("/fanout/orders", "2")
    web.subscribe("/queue/orders.*")
    web.expect_message("2")
    web.write("SEND", b"ask", destination="/queue/email", reply_to="/temp-queue/r", receipt="r")
    web.expect("RECEIPT")
    refused("send to /queue/other", command="SEND", destination="/queue/other")
    refused("send to /queue/orders.audit", command="SEND", destination="/queue/orders.audit")
    refused("subscribe to /queue/email", command="SUBSCRIBE", destination="/queue/email", id="1")
    refused("subscribe to /queue/>", command="SUBSCRIBE", destination="/queue/>", id="1")
    with daemon.connect(login="ops", passcode=OPS) as ops:
        ops.write("SEND", destination="/queue/email")
        ops.expect_error_and_close("user ops may not send to /queue/email")
    refusals = lines(daemon, "notice access refused", "user=web", "peer=")
    assert len(refusals) == 4, refusals
    assert lines(daemon, "access refused", "right=subscribe", "destination=/queue/>")
    daemon.stop()


@test("SIGHUP ends the sessions of users that are gone, changed or permitted something else; no other")
def reloading(environment):
    daemon = with_users(environment)
    config = environment.directory / "config-0.toml"
    web = daemon.connect(login="web", passcode=WEB)
    ops = daemon.connect(login="ops", passcode=OPS)
    reload(daemon)
    ops.send("/queue/q", "nothing has changed")
    web.send("/queue/q", "nothing has changed")

    assert "changed" in add(environment, "web", "another-passcode")
    reload(daemon)
    web.expect_error_and_close("access changed", "connect again")
    ops.send("/queue/q", "still here")
    assert lines(daemon, "configuration reloaded", "ended=1", "users=2")
    client = daemon.connect(connect=False)
    client.write("CONNECT", accept_version="1.2", host="/", login="web", passcode=WEB)
    client.expect_error_and_close("access refused")
    web = daemon.connect(login="web", passcode="another-passcode")

    right = (environment.directory / "users.toml").read_text()
    (environment.directory / "users.toml").write_text(right + 'passcode = "plain-text"\n')
    reload(daemon)
    assert lines(daemon, "configuration not reloaded", "users.toml:10"), daemon.log()[-500:]
    assert "plain-text" not in daemon.log()
    web.send("/queue/q", "not a hair was touched")
    (environment.directory / "users.toml").write_text(right)

    config.write_text(configuration(environment, '[[permit]]\nuser = "ops"\nsend = ["/queue/>"]\n'
                                    '[[permit]]\nuser = "*"\nsend = ["/queue/>"]\n'))
    reload(daemon)
    web.expect_error_and_close("access changed")
    ops.expect_error_and_close("access changed")
    ops = daemon.connect(login="ops", passcode=OPS)
    radiatord(environment, "user", "remove", "ops", "--users", environment.directory / "users.toml")
    reload(daemon)
    ops.expect_error_and_close("access changed")
    no_secrets(daemon)
    daemon.stop()


@test("connections per user and per address end at their limits, which the ERROR and the log name")
def limits(environment):
    daemon = with_users(
        environment, "[limits]\nconnections_per_user = 2\nconnections_per_address = 3")
    kept = [daemon.connect(login="web", passcode=WEB) for _ in range(2)]
    third = daemon.connect(connect=False)
    third.write("CONNECT", accept_version="1.2", host="/", login="web", passcode=WEB)
    third.expect_error_and_close("user web", "connections_per_user = 2")
    third.close()
    kept.append(daemon.connect(login="ops", passcode=OPS))
    fourth = daemon.connect(connect=False)
    fourth.expect_error_and_close("connections_per_address = 3")
    fourth.close()
    other = socket.create_connection(daemon.address, timeout=20, source_address=("127.0.0.2", 0))
    other.sendall(stompwire.encode("CONNECT", headers={
        "accept-version": "1.2", "host": "/", "login": "ops", "passcode": OPS}))
    assert other.recv(1000).startswith(b"CONNECTED"), "another address was not let in"
    kept.pop(0).close()

    def again():
        client = daemon.connect(connect=False)
        client.write("CONNECT", accept_version="1.2", host="/", login="web", passcode=WEB)
        return client.next_frame().command == "CONNECTED"
    until(again, what="room after a connection was closed")
    assert lines(daemon, "notice connection refused", '"connections_per_user = 2"', "user=web")
    assert lines(daemon, "notice connection refused", '"connections_per_address = 3"')
    daemon.stop()


@test("a login name with line ends, escape codes and 60 KB forges nothing in the log")
def forged(environment):
    daemon = with_users(environment)
    for name in ("x\r\\n2026 info login user=root", "\x1b[2J\x1b[31mred", "\u2028next", "z" * 60_000):
        client = daemon.connect(connect=False)
        client.write("CONNECT", accept_version="1.2", host="/", login=name, passcode=WRONG)
        client.expect_error_and_close("access refused")
    assert all(line.startswith("20") for line in daemon.log().splitlines()), "a line was forged"
    assert "\x1b" not in daemon.log() and "\u2028" not in daemon.log()
    assert max(map(len, daemon.log().splitlines())) < 1000
    no_secrets(daemon)
    daemon.stop()


@test("radiatord user adds, changes, lists and removes; names and passcodes have rules, files are looked at")
def user_command(environment):
    path = environment.directory / "users.toml"
    assert add(environment, "web", WEB) == f"user web added to {path}\n"
    assert path.stat().st_mode & 0o777 == 0o600
    first = path.read_text()
    assert WEB not in first and "$y$j9T$" in first
    assert add(environment, "web", WEB) == f"passcode of user web changed in {path}\n"
    assert path.read_text() != first, "the same salt twice"
    add(environment, "Jürgen", WEB)
    config = environment.file("r.toml", configuration(environment))
    for source in (("--users", path), ("--config", config)):
        assert radiatord(environment, "user", "list", *source) == (0, "Jürgen\nweb\n", "")
    before = path.read_text()
    for name, passcode, word in (
            ("a:b", WEB, "colon"), ("", WEB, "128"), ("*", WEB, "every user"), ("x", "short", "8 to 511"),
            ("x", "y" * 512, "8 to 511"), ("x", "y" * 5000, "4096"), ("x", "", "8 to 511"),
            ("x", " begins-with-space", "space"), ("x", "control\x01character", "control")):
        status, output, errors = radiatord(environment, "user", "add", name, "--users", path,
                                           stdin=passcode + "\n")
        assert status == 1 and word in errors and not output, (name, status, output, errors)
        assert not passcode or passcode not in errors
    status, _, errors = radiatord(environment, "user", "remove", "wbe", "--users", path)
    assert status == 1 and "has no user wbe" in errors, errors
    link = environment.directory / "link.toml"
    link.symlink_to(path)
    assert radiatord(environment, "user", "add", "x", "--users", link, stdin=WEB + "\n")[0] == 1
    assert path.read_text() == before
    assert radiatord(environment, "user", "remove", "web", "--users", path)[0] == 0
    assert radiatord(environment, "user", "list", "--users", path)[1] == "Jürgen\n"
    assert radiatord(environment, "user", "add", "x", WEB, "--users", path)[0] == 64, \
        "a passcode was taken as an argument"
    assert radiatord(environment, "user", "list", "--users", "/nowhere/u")[0] == 1
    writers = [subprocess.Popen([environment.options.daemon, "user", "add", f"u{n}", "--users",
                                 str(path)], stdin=subprocess.PIPE, stdout=subprocess.DEVNULL)
               for n in range(8)]
    for writer in writers:
        writer.communicate(WEB.encode() + b"\n", timeout=60)
        assert writer.returncode == 0
    assert len(radiatord(environment, "user", "list", "--users", path)[1].split()) == 9


class Terminal:
    """A command on a terminal of its own."""

    def __init__(self, *arguments):
        self.shown = ""
        self.pid, self.terminal = pty.fork()
        if self.pid == 0:
            os.execv(arguments[0], [str(argument) for argument in arguments])

    def wait_for(self, text):
        def is_shown():
            if select.select([self.terminal], [], [], 0)[0]:
                self.shown += os.read(self.terminal, 1000).decode()
            return text in self.shown
        until(is_shown, what=f"{text!r} on the terminal")

    @property
    def echoes(self):
        return bool(termios.tcgetattr(self.terminal)[3] & termios.ECHO)

    def type(self, text):
        os.write(self.terminal, text.encode())

    def end(self):
        try:
            while data := os.read(self.terminal, 1000):
                self.shown += data.decode()
        except OSError:
            pass  # the other side has closed
        status = os.waitpid(self.pid, 0)[1]
        os.close(self.terminal)
        return os.waitstatus_to_exitcode(status)


@test("on a terminal the passcode is asked for twice and never shown; Ctrl-C brings the echo back")
def prompt(environment):
    path = environment.directory / "users.toml"
    command = (environment.options.daemon, "user", "add", "web", "--users", path)

    def answer(*answers):
        terminal = Terminal(*command)
        for prompt, text in zip(("passcode of web: ", "again: "), answers):
            terminal.wait_for(prompt)
            assert not terminal.echoes
            terminal.type(text)
        return terminal
    terminal = answer(WEB + "\n", WEB + "\n")
    assert terminal.end() == 0 and "user web added" in terminal.shown, terminal.shown
    assert WEB not in terminal.shown
    terminal = answer(WEB + "\n", WRONG + "\n")
    assert terminal.end() == 1 and "differ" in terminal.shown, terminal.shown
    before = path.read_text()
    terminal = answer("abc\x03")
    until(lambda: terminal.echoes, what="the echo after Ctrl-C")
    assert terminal.end() == -signal.SIGINT
    assert path.read_text() == before
    daemon = environment.daemon(configuration(environment))
    daemon.connect(login="web", passcode=WEB).close()
    daemon.stop()


@test("start and config check warn of what is open, in clear or without effect; errors have lines")
def warnings(environment):
    def check(text):
        path = environment.file("r.toml", text)
        status, output, errors = radiatord(environment, "config", "check", "--config", path)
        return status, output + errors
    open_to_all = '[[listen]]\naddress = "0.0.0.0:0"\n'
    status, output = check(open_to_all)
    assert status == 0 and "0.0.0.0:0 is open without authentication" in output, output
    assert "create /queue/>, /topic/>" in output
    assert "warning" not in check('[[listen]]\naddress = "[::1]:0"\n')[1]
    status, output = check(open_to_all + configuration(environment))
    assert status == 1 and "users.toml: does not exist" in output and "user add" in output, output
    add(environment, "web", WEB)
    permit = '[[permit]]\nuser = "wbe"\n'
    status, output = check(open_to_all + configuration(environment, permit))
    assert status == 0 and "passcodes cross the network in clear" in output, output
    assert 'user "wbe" is not in' in output and 'did you mean "web"' in output
    (environment.directory / "users.toml").chmod(0o644)
    assert "is open to others" in check(configuration(environment))[1]
    assert "[[permit]] has no effect" in check(permit)[1]
    assert "nobody can log in" in check('[auth]\nmethod = "certificate"\n')[1]
    status, output = check(configuration(environment).replace('"file"', '"fiel"'))
    assert status == 1 and "r.toml:4" in output and 'did you mean "file"' in output, output
    status, shown, _ = radiatord(environment, "config", "show", "--config",
                                 environment.file("r.toml", configuration(environment)))
    assert status == 0 and "$y$" not in shown and 'method = "file"' in shown
    daemon = environment.daemon(configuration(environment))
    assert lines(daemon, "warning", "is open to others")
    daemon.stop()
    daemon = environment.run_daemon([environment.options.daemon, "--data", str(environment.data),
                                     "--listen", "0.0.0.0:0"], wait=False)
    until(lambda: lines(daemon, " listening "), what="the listener")
    assert lines(daemon, "warning", "0.0.0.0:0 is open without authentication")
    daemon.stop()


@test("with method certificate the verified common name is the user: rights, login header, limits, reload")
def certificates(environment):
    authority = Authority(environment)
    server = authority.issue("server", "localhost", server=True)
    text = listener("stomp", server, client_ca=authority.certificate) + listener("stomp") + """
[auth]
method = "certificate"
[[permit]]
user = "web"
send = ["/queue/web"]
create = ["/queue/>"]
[limits]
connections_per_user = 1
"""
    daemon = start(environment, text)
    web = authority.context(authority.issue("web", "web"))
    other = authority.context(authority.issue("other", "other"))
    with TLSClient(daemon.ports[0], web, login="web") as client:
        client.send("/queue/web", "by certificate")
        with TLSClient(daemon.ports[0], web, connect=False) as second:
            second.write("CONNECT", accept_version="1.2", host="/")
            second.expect_error_and_close("connections_per_user = 1")
        client.write("SUBSCRIBE", destination="/queue/web", id="1")
        client.expect_error_and_close("user web", "subscribe", "/queue/web")
    for context, login, word in ((web, "other", "common name"), (other, "", None)):
        with TLSClient(daemon.ports[0], context, connect=False) as client:
            client.write("CONNECT", accept_version="1.2", host="/", login=login)
            if word:
                client.expect_error_and_close("access refused", word)
                continue
            client.expect("CONNECTED")
            client.write("SEND", destination="/queue/web")
            client.expect_error_and_close("user other", "send")
    # A listener that asks for no certificate lets nobody in.
    with stompwire.Client(("127.0.0.1", daemon.ports[1]), connect=False) as client:
        client.write("CONNECT", accept_version="1.2", host="/", login="web", passcode="x")
        client.expect_error_and_close("access refused", "client certificate")
    assert lines(daemon, " login ", "method=certificate", "user=web")
    # A permit that changes ends the session, as with passcodes.
    with TLSClient(daemon.ports[0], web, login="web") as client:
        daemon.config_path.write_text(text.replace('send = ["/queue/web"]', "send = []"))
        reload(daemon)
        client.expect_error_and_close("access changed")
    daemon.stop()


@test("passcodes are asked for through WebSocket and TLS as well")
def passcodes_elsewhere(environment):
    add(environment, "web", WEB)
    authority = Authority(environment)
    server = authority.issue("server", "localhost", server=True)
    daemon = start(environment, listener("websocket") + listener("stomp", server)
                   + configuration(environment))
    context = authority.context()
    for connect in (lambda **options: WebSocketClient(daemon.ports[0], connect=False, **options),
                    lambda **options: TLSClient(daemon.ports[1], context, connect=False, **options)):
        for passcode, answer in ((WRONG, "ERROR"), (WEB, "CONNECTED")):
            with connect() as client:
                client.write("CONNECT", accept_version="1.2", host="/", login="web",
                             passcode=passcode)
                assert client.next_frame().command == answer
    no_secrets(daemon)
    daemon.stop()
