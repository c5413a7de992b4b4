"""The configuration of a running daemon: changed, shown, explained."""

import signal
import subprocess

from harness import test, until

CONFIG = """
[storage]
fsync = "5ms"
[defaults]
max_messages = 0
[[queue]]
name = "/queue/small"
"""


def radiatord(environment, *arguments):
    done = subprocess.run([environment.options.daemon, *map(str, arguments)],
                          capture_output=True, text=True, timeout=30)
    return done.returncode, done.stdout, done.stderr


def reload(daemon, path, text):
    path.write_text(text)
    seen = daemon.log().count("reloaded")
    daemon.process.send_signal(signal.SIGHUP)
    until(lambda: daemon.log().count("reloaded") > seen, what="an answer to SIGHUP")
    return daemon.log().splitlines()[-1]


@test("SIGHUP changes limits of frames, connections and fan-outs and the log, for those who come then")
def sighup_sessions(environment):
    daemon = environment.daemon(CONFIG)
    path = environment.directory / "config-0.toml"
    early = daemon.connect()
    line = reload(daemon, path, CONFIG + """
[[fanout]]
name = "/fanout/new"
children = ["/queue/f1", "/queue/f2"]
[stomp]
max_body = "100B"
[limits]
connections = 2
[log]
format = "json"
level = "debug"
""")
    for key in ("fanout[/fanout/new]", "stomp.max_body", "limits.connections", "log.level", "log.format"):
        assert key in line, (key, line)
    assert "need_restart" not in line, line
    early.send("/queue/small", b"x" * 101)
    early.send("/fanout/new", "to both")
    with daemon.connect() as late:
        with daemon.connect(connect=False) as third:
            third.expect_error_and_close("connections = 2")
        late.subscribe("/queue/f2")
        late.expect_message("to both")
        late.write("SEND", b"x" * 101, destination="/queue/small")
        late.expect_error_and_close("max_body", "100")
    until(lambda: '"level":"info","message":"client refused"' in daemon.log(), what="a line of JSON")
    early.close()
    daemon.stop()


@test("a SIGHUP before the daemon listens neither ends it nor is lost")
def early_sighup(environment):
    daemon = environment.daemon(CONFIG)
    with daemon.connect() as client:
        for number in range(2000):
            client.write("SEND", b"x" * 1000, destination="/queue/small", receipt=number)
        client.request("SEND", destination="/queue/small")
    daemon.kill()
    path = environment.directory / "config-1.toml"
    for _ in range(5):
        path.write_text(CONFIG)
        daemon = environment.daemon(CONFIG, wait=False)
        until(lambda: "recover" in daemon.log() or daemon.process.poll() is not None,
              what="the start")
        path = environment.directory / f"config-{environment.count - 1}.toml"
        path.write_text(CONFIG.replace("max_messages = 0", "max_messages = 7"))
        daemon.process.send_signal(signal.SIGHUP)
        until(lambda: "configuration reloaded" in daemon.log(), what="the reload")
        assert "defaults.max_messages" in daemon.log(), daemon.log()
        daemon.terminate()
        daemon.wait()


@test("SIGHUP applies what it can, names what needs a restart, and changes nothing when the file is wrong")
def sighup(environment):
    daemon = environment.daemon(CONFIG)
    path = environment.directory / "config-0.toml"
    client = daemon.connect()
    client.send("/queue/small", "1")
    line = reload(daemon, path, CONFIG.replace("max_messages = 0", "max_messages = 2")
                  .replace('"5ms"', '"always"') + '[[queue]]\nname = "/queue/new"\n')
    assert "configuration reloaded" in line, line
    assert "defaults.max_messages" in line and "queue[/queue/new]" in line, line
    assert "need_restart=storage.fsync" in line, line
    client.send("/queue/small", "2")
    with daemon.connect() as other:
        other.write("SEND", b"3", destination="/queue/small")
        other.expect_error_and_close("/queue/small", "max_messages = 2")
    client.send("/queue/other", "still served")
    for wrong in (CONFIG.replace("max_messages = 0", "max_messages = -1"), "[[["):
        line = reload(daemon, path, wrong)
        assert "configuration not reloaded" in line and path.name in line, line
        with daemon.connect() as other:
            other.write("SEND", b"3", destination="/queue/small")
            other.expect_error_and_close("max_messages = 2")
    path.unlink()
    daemon.process.send_signal(signal.SIGHUP)
    until(lambda: "cannot be read" in daemon.log(), what="the missing file's name in the log")
    client.send("/queue/other", "still served")
    daemon.stop()


@test("config check, show and explain say what holds")
def commands(environment):
    path = environment.file("radiator.toml", CONFIG)
    status, output, errors = radiatord(environment, "config", "check", "--config", path)
    assert status == 0 and "configuration ok" in output, (output, errors)
    status, shown, errors = radiatord(environment, "config", "show", "--config", path)
    assert status == 0 and 'fsync = "5ms"' in shown, (shown, errors)
    again = environment.file("again.toml", shown)
    assert radiatord(environment, "config", "show", "--config", again) == (0, shown, "")
    status, output, errors = radiatord(
        environment, "config", "explain", "/queue/small", "--config", path)
    assert status == 0 and 'name = "/queue/small"' in output, (output, errors)
    for arguments in (["explain", "nonsense"], ["check", "--config", "/nowhere"]):
        status, output, errors = radiatord(environment, "config", *arguments)
        assert status == 1 and errors and not output, (status, output, errors)
    assert radiatord(environment, "config", "explain")[0] == 64
