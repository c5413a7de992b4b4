"""The programs of docs/clients.md, as they stand."""

import pathlib
import re
import shutil
import subprocess

from harness import Skip, test

DOCUMENT = pathlib.Path(__file__).resolve().parents[2] / "docs" / "clients.md"
# Above each program: its language and, for a client that .ci/deps may have been unable to install, the
# Python module that it needs.
PROGRAMS = re.findall(r"<!-- run: (\w+)(?: (\w+))? -->\n```\w+\n(.*?)```", DOCUMENT.read_text(), re.DOTALL)
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


assert {language for language, _, _ in PROGRAMS} == set(SUFFIXES)
for language, module, text in PROGRAMS:
    test(f"the program for {module or language} in docs/clients.md works")(runs(language, module, text))
