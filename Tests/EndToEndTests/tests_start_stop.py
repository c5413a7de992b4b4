"""Starting, refusing to start, and stopping."""

import os
import re
import signal
import subprocess
import time

import stompwire
from harness import test, until
from load import Producer, Settler, browse, drain, pump


@test("a second daemon on the same directory ends with an error that names the lock")
def second_daemon(environment):
    first = environment.daemon()
    second = environment.daemon(wait=False)
    status = second.wait()
    assert status not in (0, -6, -11, -4), f"exit status {status}: {second.log()}"
    assert "lock" in second.log().lower() and str(environment.data) in second.log(), second.log()
    with first.connect() as client:
        client.send("/queue/q", "unharmed")
    first.stop()


@test("the start says where it listens, where the data lies and what recovery found")
def start_report(environment):
    daemon = environment.daemon()
    with daemon.connect() as client:
        client.send("/queue/q", "a")
    daemon.kill()
    daemon = environment.daemon()
    log = daemon.log()
    assert "listening" in log and str(environment.data) in log, log
    assert re.search(r"recovered.* messages=1\b", log) and re.search(r" ms=\d+", log), log
    daemon.stop()


@test("SIGTERM under load: exit 0 within 5 seconds, nothing receipted is lost")
def terminate_under_load(environment):
    daemon = environment.daemon()
    producers = [Producer(daemon.address, f"/queue/q{number}", window=1000) for number in range(4)]
    settler = Settler(daemon.address, "/queue/q0")
    everybody = [*producers, settler]
    pump(everybody, lambda: min(producer.receipted for producer in producers) > 1000)
    start = time.monotonic()
    daemon.terminate()
    pump(everybody, lambda: False, 10, "closing of the connections")
    status = daemon.wait(10)
    seconds = time.monotonic() - start
    drain(everybody)
    assert status == 0, f"exit status {status}: {daemon.log()[-2000:]}"
    assert seconds <= 5, f"it took {seconds:.1f} s"
    daemon = environment.daemon()
    for number, producer in enumerate(producers):
        found = browse(daemon.address, f"/queue/q{number}")
        gone = set(settler.taken) if number == 0 else set()
        lost = set(range(producer.receipted)) - gone - set(found)
        assert not lost, f"q{number}: receipted and lost: {sorted(lost)[:5]}"
        assert found == sorted(found)
        if number == 0:
            assert not set(settler.settled) & set(found), "settled and back"
    daemon.stop()


@test("SIGTERM with idle and half-open connections ends at once")
def terminate_idle(environment):
    daemon = environment.daemon()
    clients = [daemon.connect(connect=number % 2 == 0) for number in range(20)]
    clients[0].subscribe("/queue/q")
    start = time.monotonic()
    daemon.stop()
    assert time.monotonic() - start < 5
    for client in clients:
        client.expect_close()


@test("SIGTERM right after the start is announced is a clean stop")
def terminate_at_once(environment):
    for _ in range(10):
        environment.daemon().stop()


@test("every mistake in the configuration is told at once, with file, line and suggestion")
def configuration_mistakes(environment):
    path = environment.file("broken.toml", (
        '[storage]\nfsnyc = "always"\nsegment_size = "a lot"\n\n[stomp]\nmax_headers = "many"\n'))
    for extra in ([], ["--check"]):
        daemon = environment.run_daemon(
            [environment.options.daemon, "--config", str(path), "--data",
             str(environment.data), "--listen", "127.0.0.1:0", *extra], wait=False)
        assert daemon.wait() == 1, daemon.log()
        log = daemon.log()
        assert "broken.toml" in log, log
        assert "fsync" in log, f"no suggestion: {log}"
        for line, word in ((2, "fsnyc"), (3, "segment_size"), (6, "max_headers")):
            assert re.search(rf"(:|line ){line}\b.*{word}", log), f"line {line}, {word}: {log}"
        assert not environment.data.exists(), "a refused configuration touched the disk"


@test("--check accepts a good configuration and starts nothing")
def configuration_check(environment):
    path = environment.file("good.toml", '[storage]\nfsync = "50ms"\n\n[defaults]\nprefetch = 5\n')
    daemon = environment.run_daemon(
        [environment.options.daemon, "--config", str(path), "--data", str(environment.data),
         "--check"], wait=False)
    assert daemon.wait() == 0, daemon.log()
    assert not environment.data.exists()


@test("a configuration file that is not there ends with an error that names it")
def configuration_missing(environment):
    daemon = environment.run_daemon(
        [environment.options.daemon, "--config", str(environment.directory / "none.toml")],
        wait=False)
    assert daemon.wait() == 1, daemon.log()
    assert "none.toml" in daemon.log(), daemon.log()


@test("a port in use ends with an error that names the address")
def port_in_use(environment):
    first = environment.daemon()
    address = "{}:{}".format(*first.address)
    second = environment.run_daemon(
        [environment.options.daemon, "--data", str(environment.directory / "other"),
         "--listen", address], wait=False)
    assert second.wait() not in (0, -4, -6, -11), second.log()
    assert address in second.log(), second.log()
    first.stop()


@test("files of others in the data directory stay, also those that end in .tmp")
def foreign_files(environment):
    environment.data.mkdir()
    names = ["notes.txt", "mine.tmp", "spare-1.tmp", "segment-0000000001.log.bak"]
    for name in names:
        (environment.data / name).write_text("mine")
    (environment.data / "directory.tmp").mkdir()
    for _ in range(2):
        environment.daemon().stop()
    for name in names:
        assert (environment.data / name).read_text() == "mine", name
    assert (environment.data / "directory.tmp").is_dir()


@test("a hang-up does not stop a daemon without a terminal; a second SIGTERM changes nothing")
def hang_up(environment):
    daemon = environment.daemon()
    daemon.process.send_signal(signal.SIGHUP)
    with daemon.connect() as client:
        client.send("/queue/q", "after the hang-up")
    daemon.terminate()
    daemon.stop()


@test("a flood of refusals writes few lines, and tells how many there were")
def log_flood(environment):
    daemon = environment.daemon()
    for _ in range(200):
        with daemon.connect(connect=False) as client:
            client.write_bytes(b"NONSENSE\n\n\0")
            client.expect_error_and_close()
    until(lambda: total(daemon.log()) == 200, what="every refusal was told or counted")
    assert daemon.log().count(" client refused ") < 200, daemon.log()
    daemon.stop()


def total(log):
    counted = re.findall(r"more clients refused lines=(\d+)", log)
    return log.count(" client refused ") + sum(map(int, counted))


@test("nobody reads the log: clients are served, SIGTERM works, the loss is told later")
def log_not_read(environment):
    read_end, write_end = os.pipe()
    arguments = [environment.options.daemon, "--data", str(environment.data),
                 "--listen", "127.0.0.1:0"]
    process = subprocess.Popen(arguments, stdout=write_end, stdin=subprocess.DEVNULL,
                               start_new_session=True,
                               env=os.environ | {"RADIATOR_LOG_LEVEL": "debug"})
    environment.children.append(process)
    os.close(write_end)
    text = b""
    while not (found := re.search(rb"listening.*127\.0\.0\.1:(\d+)\b[^\n]*\n", text)):
        text += os.read(read_end, 4096)
    address = ("127.0.0.1", int(found[1]))

    def refused(count):
        for _ in range(count):
            with stompwire.Client(address, connect=False) as client:
                client.write_bytes(b"NONSENSE\n\n\0")
                client.expect_error_and_close()

    refused(1000)  # each is a line of the log at this level; a pipe holds 64 KiB
    os.set_blocking(read_end, False)
    text = b""
    while part := read(read_end):
        text += part
    refused(1)
    os.set_blocking(read_end, True)
    while not re.search(rb"lines were lost.* lines=\d+\n[^\n]+client refused[^\n]+\n", text):
        text += os.read(read_end, 65536)
    refused(1000)
    process.terminate()
    assert process.wait(10) == 0
    os.close(read_end)


def read(descriptor):
    try:
        return os.read(descriptor, 65536)
    except BlockingIOError:
        return b""
