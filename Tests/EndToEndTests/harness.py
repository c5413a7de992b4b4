"""What every test has: real daemons, temporary directories and mounts, all gone at its end."""

import contextlib
import json
import os
import pathlib
import re
import shutil
import signal
import subprocess
import tempfile
import threading
import time

import stompwire

START_SECONDS = 30
HERE = pathlib.Path(__file__).resolve().parent
ALL_TESTS = []


class Skip(Exception):
    """The test cannot run here, and says why."""


def test(name, alone=False):
    """Registers a test; one that is `alone` does not share the machine with others."""
    def register(function):
        ALL_TESTS.append((name, function, alone))
        return function
    return register


class Daemon:
    """One process of the real daemon, listening on a port of its own."""

    def __init__(self, arguments, log_path, wait=True):
        self.log_path = log_path
        with open(log_path, "ab") as log:
            self.log_start = log.tell()
            self.process = subprocess.Popen(
                arguments, stdin=subprocess.DEVNULL, stdout=log, stderr=subprocess.STDOUT,
                start_new_session=True)
        self.address = self._wait_for_port() if wait else None

    @property
    def pid(self):
        return self.process.pid

    def log(self):
        with open(self.log_path, "rb") as log:
            log.seek(self.log_start)
            return log.read().decode(errors="replace")

    def _wait_for_port(self):
        deadline = time.monotonic() + START_SECONDS
        while time.monotonic() < deadline:
            for line in self.log().splitlines():
                port = re.search(r"127\.0\.0\.1:(\d+)", line) if "listening" in line else None
                if port:
                    return ("127.0.0.1", int(port.group(1)))
            if self.process.poll() is not None:
                break
            time.sleep(0.01)
        raise AssertionError(f"the daemon did not start: {self.log()[-2000:]!r}")

    def connect(self, **options):
        return stompwire.Client(self.address, **options)

    def kill(self):
        """SIGKILL, as in a crash."""
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self.pid, signal.SIGKILL)
        self.process.wait()

    def terminate(self):
        self.process.send_signal(signal.SIGTERM)

    def wait(self, seconds=20):
        """The exit status."""
        try:
            return self.process.wait(seconds)
        except subprocess.TimeoutExpired:
            raise AssertionError(f"the daemon still runs after {seconds} s") from None

    def stop(self):
        """SIGTERM; a clean end is part of every test that calls it."""
        self.terminate()
        status = self.wait()
        assert status == 0, f"exit status {status} after SIGTERM: {self.log()[-2000:]}"

    def memory(self, field="VmRSS"):
        """Bytes of a field of /proc/PID/status: VmRSS now, VmHWM at its highest."""
        status = pathlib.Path(f"/proc/{self.pid}/status").read_text()
        return int(re.search(rf"{field}:\s+(\d+) kB", status).group(1)) * 1024

    def descriptors(self):
        """How many files and sockets it has open."""
        return len(os.listdir(f"/proc/{self.pid}/fd"))


class Environment:
    """What one test may use and what is cleaned up after it."""

    def __init__(self, options, root, name):
        self.options = options
        self.directory = pathlib.Path(tempfile.mkdtemp(prefix=name[:24] + "-", dir=root))
        self.data = self.directory / "data"
        self.children, self.mounts = [], []
        self.count = 0

    def daemon(self, config=None, data=None, wait=True):
        """Starts a daemon on the test's data directory, with `config` as its file if given."""
        arguments = [self.options.daemon, "--data", str(data or self.data),
                     "--listen", "127.0.0.1:0"]
        if config is not None:
            arguments += ["--config", str(self.file(f"config-{self.count}.toml", config))]
        return self.run_daemon(arguments, wait)

    def run_daemon(self, arguments, wait=True):
        self.count += 1
        daemon = Daemon.__new__(Daemon)
        self.children.append(daemon)
        daemon.__init__(arguments, self.directory / f"daemon-{self.count:02}.log", wait)
        return daemon

    def file(self, name, text):
        path = self.directory / name
        path.write_text(text)
        return path

    def client(self, script, *arguments, login=None):
        """Starts a stock client's script; its output is piped. `login`: user and passcode."""
        path = HERE / "clients" / script
        interpreter = {".py": self.options.python, ".pl": "perl", ".rb": "ruby",
                       ".php": "php"}[path.suffix]
        if shutil.which(interpreter) is None:
            raise Skip(f"{interpreter} is not installed")
        child = subprocess.Popen(
            [interpreter, str(path), *map(str, arguments)], stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, start_new_session=True,
            env={**os.environ, "STOMP_LOGIN": login[0], "STOMP_PASSCODE": login[1]} if login else None)
        self.children.append(child)
        return child

    def need_module(self, name):
        """Skips the test where Python has no such module."""
        done = subprocess.run([self.options.python, "-c", f"import {name}"], capture_output=True, text=True)
        if done.returncode != 0:
            reason = (done.stderr.strip().splitlines() or ["no reason"])[-1]
            raise Skip(f"{name} is not installed or does not work: {reason}")

    def log_tool(self, *arguments):
        """Runs the offline tool; returns exit status, standard output, standard error."""
        done = subprocess.run([self.options.log_tool, *map(str, arguments)],
                              capture_output=True, text=True, timeout=60)
        return done.returncode, done.stdout, done.stderr

    def log_tool_json(self, *arguments):
        """The same with --json: exit status and the parsed value."""
        status, output, errors = self.log_tool(*arguments, "--json")
        try:
            return status, json.loads(output)
        except ValueError:
            raise AssertionError(
                f"--json printed no JSON (status {status}): {output[:300]!r} {errors[:300]!r}")

    def tmpfs(self, size):
        """A small file system of its own, mounted; skips where that is not permitted."""
        path = self.directory / f"mount-{len(self.mounts)}"
        path.mkdir()
        done = subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={size}", "tmpfs", str(path)],
                              capture_output=True, text=True)
        if done.returncode != 0:
            raise Skip(f"cannot mount a tmpfs: {done.stderr.strip()}")
        self.mounts.append(path)
        return path

    def clean_up(self):
        for child in self.children:
            process = getattr(child, "process", child)
            if isinstance(process, subprocess.Popen):
                with contextlib.suppress(ProcessLookupError):
                    os.killpg(process.pid, signal.SIGKILL)
                process.wait()
                if process.stdout:
                    process.stdout.close()
        for path in self.mounts:
            subprocess.run(["umount", "-l", str(path)], check=False)
        shutil.rmtree(self.directory, ignore_errors=True)


def until(condition, seconds=20, what="the condition"):
    """Waits for something that another process does."""
    deadline = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > deadline:
            raise AssertionError(f"{what} did not hold within {seconds} s")
        time.sleep(0.01)


class Lines:
    """Collects the numbers that a client prints, one a line, on a thread of its own.

    Other lines are warnings of the client's library, or say why it failed.
    """

    def __init__(self, child):
        self.values, self.remarks = [], []
        self.child = child
        self.thread = threading.Thread(target=self._read, daemon=True)
        self.thread.start()

    def _read(self):
        for line in self.child.stdout:
            line = line.strip()
            (self.values if line.isdigit() else self.remarks).append(line)

    def finish(self, seconds=30):
        """Every number, after the client ended by itself with status 0."""
        status = self.child.wait(seconds)
        self.thread.join(seconds)
        assert status == 0, f"the client failed: {self.remarks[-5:]}"
        return self.values
