"""What plot-bars and plot-curve share: reading results, the look of the pictures, writing them."""

import json
import sys

# The pictures follow the reader's light or dark theme. c0 is radiator, c1 another server, c2 a limit.
THEME = """
  text { font: 12px system-ui, sans-serif; fill: #59636e }
  .title { font-weight: 600; fill: #1f2328 }
  .grid { stroke: #d1d9e0; stroke-width: 1 }
  .c0 { stroke: #0969da } text.c0, circle.c0, rect.c0 { stroke: none; fill: #0969da }
  .c1 { stroke: #bc4c00 } text.c1, circle.c1, rect.c1 { stroke: none; fill: #bc4c00 }
  rect.c2 { stroke: none; fill: #8c959f }
  text.c0, text.c1 { font-weight: 600 }
  @media (prefers-color-scheme: dark) {
    text { fill: #9198a1 } .title { fill: #f0f6fc } .grid { stroke: #3d444d }
    .c0 { stroke: #4493f8 } text.c0, circle.c0, rect.c0 { fill: #4493f8 }
    .c1 { stroke: #f0883e } text.c1, circle.c1, rect.c1 { fill: #f0883e }
    rect.c2 { fill: #656c76 }
  }
"""


class BadInput(Exception):
    """The file does not hold what the picture needs."""


def read_rows(path, key, numbers):
    """The results under `key`, all with their workload, peer and these numbers."""
    try:
        with open(path, encoding="utf-8") as file:
            report = json.load(file)
    except OSError as error:
        raise BadInput(f"cannot read it: {error.strerror}") from error
    except ValueError as error:
        raise BadInput(f"no JSON: {error}") from error
    rows = report.get(key) if isinstance(report, dict) else None
    if not isinstance(rows, list) or not rows:
        raise BadInput(f'no results under "{key}"')
    for number, row in enumerate(rows, 1):
        wanted = ["workload", "peer", *numbers]
        missing = [name for name in wanted if not isinstance(row, dict) or name not in row]
        if missing:
            raise BadInput(f"result {number} lacks {', '.join(missing)}")
        for name in numbers:
            if isinstance(row[name], bool) or not isinstance(row[name], (int, float)):
                raise BadInput(f"result {number}: {name} is no number")
    return rows


def frame(width, height, title, style, parts):
    """The whole SVG around its parts; `title` is for readers who cannot see it."""
    start = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}" '
        f'width="{width}" height="{height}" role="img">',
        f"<title>{title}</title>",
        f"<style>{THEME}{style}</style>",
    ]
    return "\n".join([*start, *parts, "</svg>", ""])


def write(parser, arguments, make):
    """Writes what `make` returns to the file of the arguments, or to standard output."""
    try:
        text = make()
    except BadInput as error:
        sys.exit(f"{parser.prog}: {arguments.results}: {error}")
    if arguments.svg is None:
        sys.stdout.write(text)
        return
    try:
        with open(arguments.svg, "w", encoding="utf-8") as file:
            file.write(text)
    except OSError as error:
        sys.exit(f"{parser.prog}: {arguments.svg}: {error.strerror}")
