"""The programs of docs/clients.md, as they stand."""

import pathlib
import re
import shutil
import subprocess

from harness import Skip, test
from transport import listener, start

DOCUMENTS = pathlib.Path(__file__).resolve().parents[2] / "docs"
DOCUMENT = DOCUMENTS / "clients.md"
# Above each program: its language and, for a client that .ci/deps may have been unable to install, the
# Python module that it needs.
PROGRAMS = re.findall(r"<!-- run: ([\w-]+)(?: (\w+))? -->\n```\w+\n(.*?)```", DOCUMENT.read_text(), re.DOTALL)
SUFFIXES = {"python": ".py", "perl": ".pl", "ruby": ".rb", "php": ".php"}


def runs(language, module, text):
    def run(environment):
        program = environment.options.python if language == "python" else language
        if shutil.which(program) is None:
            raise Skip(f"{language} is not installed")
        if module:
            environment.need_module(module)
        daemon = environment.daemon()
        assert "127.0.0.1" in text and "61613" in text
        wanted = re.search(r"hello from [\w:.]+", text)[0]
        path = environment.file("program" + SUFFIXES[language],
                                text.replace("61613", str(daemon.address[1])))
        done = subprocess.run([program, str(path)], capture_output=True, text=True, timeout=60)
        assert f"{wanted}\n" in done.stdout, (done.stdout, done.stderr)
        daemon.stop()
    return run


[TLS_PROGRAM] = [text for name, _, text in PROGRAMS if name == "python-tls"]
[TLS_COMMANDS] = re.findall(r"<!-- run: openssl -->\n((?:    .*\n)+)",
                            (DOCUMENTS / "operating.md").read_text())


@test("the certificates of docs/operating.md are good for TLS, and stomp.py's program in docs/clients.md uses them")
def tls(environment):
    if shutil.which("openssl") is None:
        raise Skip("openssl is not installed")
    directory = environment.directory
    subprocess.run(["sh", "-euc", TLS_COMMANDS], cwd=directory, check=True, capture_output=True,
                   timeout=60)
    daemon = start(environment, listener(
        "stomp", (directory / "server.pem", directory / "server.key"),
        client_ca=directory / "ca.pem"))
    path = environment.file("tls.py", TLS_PROGRAM.replace("61614", str(daemon.ports[0])))
    done = subprocess.run([environment.options.python, str(path)], cwd=directory,
                          capture_output=True, text=True, timeout=60)
    assert "hello from TLS\n" in done.stdout, (done.stdout, done.stderr)
    daemon.stop()


@test("the program for python in docs/clients.md works through WebSocket, too")
def websocket(environment):
    [text] = [text for name, module, text in PROGRAMS if name == "python" and not module]
    daemon = start(environment, listener("websocket"))
    plain = 'stomp.Connection12([("127.0.0.1", 61613)]'
    assert plain in text
    path = environment.file("through_websocket.py", text.replace(
        plain, f'stomp.WSConnection([("127.0.0.1", {daemon.ports[0]})]'))
    done = subprocess.run([environment.options.python, str(path)], capture_output=True, text=True,
                          timeout=60)
    assert "hello from Python\n" in done.stdout, (done.stdout, done.stderr)
    daemon.stop()


assert {language for language, _, _ in PROGRAMS} == set(SUFFIXES) | {"python-tls"}
for language, module, text in PROGRAMS:
    if language != "python-tls":
        test(f"the program for {module or language} in docs/clients.md works")(
            runs(language, module, text))
