"""docs/protocol-stomp.md names a test for every promise; here is whether those tests exist."""

import pathlib
import re

import harness
from conformance_cases import CASES
from harness import test

ROOT = pathlib.Path(__file__).resolve().parents[2]
DOCUMENT = ROOT / "docs" / "protocol-stomp.md"
FOLDERS = {"E": "Tests/EndToEndTests", "S": "Tests/ServerTests", "C": "Tests/StompCodecTests",
           "B": "Tests/BrokerTests"}
# Heading of the table: how many columns it has.
TABLES = {"The specifications and their tests": 4, "What clients rely on beyond that, and its tests": 2}
REFERENCE = re.compile(r'\b([ESCB]) `([^`]+)`|"([^"]+)"')


def rows(text, heading):
    """The cells of each row of the first tables below a heading, without their heads."""
    _, found, below = text.partition(f"\n## {heading}\n")
    assert found, f"{DOCUMENT.name} has no section '{heading}'"
    section = below.split("\n## ")[0]
    lines = [line for line in section.splitlines() if line.startswith("|")]
    cells = [[cell.strip() for cell in line.strip("|").split("|")] for line in lines]
    heads = [index + shift for index, row in enumerate(cells) if set(row[0]) == {"-"} for shift in (-1, 0)]
    return [row for index, row in enumerate(cells) if index not in heads]


def names_of(path):
    """The names of all tests in a file."""
    if path.suffix == ".py":
        names = {name for name, function, _ in harness.ALL_TESTS
                 if pathlib.Path(function.__code__.co_filename).name == path.name}
        return names | ({case.name for case in CASES} if path.name == "tests_conformance.py" else set())
    found = re.findall(r'@Test\(\s*"((?:[^"\\]|\\.)*)"', path.read_text())
    return {re.sub(r"\\(.)", r"\1", name) for name in found}


def problems_of(row):
    """What is wrong with the last cell of a row: tests that are not there, or nothing named at all."""
    tests, _, choice = row[-1].partition("choice:")
    path, problems, count = None, [], 0
    for letter, file, name in REFERENCE.findall(tests):
        if file:
            folder, name_of_file = ROOT / FOLDERS[letter], file if file.endswith(".py") else file + ".swift"
            path = next(folder.rglob(name_of_file), folder / name_of_file)
            if not path.exists():
                problems.append(f"no file {name_of_file} in {FOLDERS[letter]}")
        elif path is None:
            problems.append(f"'{name}' without a file")
        elif path.exists() and name not in names_of(path):
            problems.append(f"no test '{name}' in {path.name}")
        count += 1
    if count == 0 and not choice.strip():
        problems.append("neither test nor choice")
    return problems


@test("every test that docs/protocol-stomp.md names exists, and every line of its tables names one")
def named_tests_exist(_):
    text = DOCUMENT.read_text()
    problems = []
    for heading, columns in TABLES.items():
        found = rows(text, heading)
        assert len(found) >= 20, f"{len(found)} rows below '{heading}'"
        for row in found:
            wrong = problems_of(row) if len(row) == columns else [f"{len(row)} columns"]
            problems += [f"{row[0][:60]}: {problem}" for problem in wrong]
    assert not problems, "\n    ".join(problems)


@test("a name in the tables that no test has is found")
def missing_names_are_found(_):
    good = ["x", 'E `tests_documents.py` "a name in the tables that no test has is found"']
    assert problems_of(good) == []
    assert problems_of(["x", "choice: it is so"]) == []
    assert problems_of(["x", "S `StompReceiptTests`"]) == []
    for cell in ("", "choice:", '"no file"', "B `NoSuchTests`", 'E `tests_documents.py` "no such test"',
                 'C `StompParserTests` "no such test"'):
        assert problems_of(["x", cell]), cell
