"""The programs of docs/clients.md, as they stand."""

import pathlib
import re
import shutil
import subprocess

from harness import Skip, test

DOCUMENT = pathlib.Path(__file__).resolve().parents[2] / "docs" / "clients.md"
PROGRAMS = re.findall(r"<!-- run: (\w+) -->\n```\w+\n(.*?)```", DOCUMENT.read_text(), re.DOTALL)
LANGUAGES = {"python": (".py", "Python"), "perl": (".pl", "Perl"), "ruby": (".rb", "Ruby"),
             "php": (".php", "PHP")}


def runs(language, text):
    def run(environment):
        suffix, name = LANGUAGES[language]
        program = environment.options.python if language == "python" else language
        if shutil.which(program) is None:
            raise Skip(f"{language} is not installed")
        daemon = environment.daemon()
        assert "127.0.0.1" in text and "61613" in text
        path = environment.file("program" + suffix, text.replace("61613", str(daemon.address[1])))
        done = subprocess.run([program, str(path)], capture_output=True, text=True, timeout=60)
        assert f"hello from {name}\n" in done.stdout, (done.stdout, done.stderr)
        daemon.stop()
    return run


assert {language for language, _ in PROGRAMS} == set(LANGUAGES)
for language, text in PROGRAMS:
    test(f"the program for {language} in docs/clients.md works")(runs(language, text))
