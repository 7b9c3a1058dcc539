"""Writes the tables of docs/methods/results.md and docs/papers: what the command, or CSV file, above each says.

python docs/generate_results.py           # write
python docs/generate_results.py --check   # exit 1 when a page is out of date
"""

from __future__ import annotations

import csv
import re
import shlex
import sys
from contextlib import chdir
from pathlib import Path
from tempfile import TemporaryDirectory

from typer.testing import CliRunner

from dabench.cli.main import app

DOCS = Path(__file__).parent
ROOT = DOCS.parent
PAGES = (DOCS / "methods" / "results.md", *sorted((DOCS / "papers").glob("*.md")))
#: A command, what it printed, and the end of that.
BLOCK = re.compile(r"(<!-- dabench (.+?) -->\n)(.*?)(<!-- end -->)", re.DOTALL)

#: A CSV file, the table of its rows, and the end of that.
FILE = re.compile(r"(<!-- (\S+\.csv) -->\n)(.*?)(<!-- end -->)", re.DOTALL)


def printed(command: str) -> str:
    """What a command prints in a workspace without runs. Raises RuntimeError where it fails."""
    with TemporaryDirectory() as workspace, chdir(ROOT):
        done = CliRunner().invoke(app, ["--workspace", workspace, *shlex.split(command)])
    if done.exit_code:
        raise RuntimeError(f"dabench {command}: {done.exception or done.output}")
    return done.stdout  # what is said of plugins that load slowly goes to stderr


def table(path: Path) -> str:
    """The rows of a CSV file as a Markdown table; columns of numbers to the right."""
    with path.open(newline="", encoding="utf-8") as file:
        columns, *rows = csv.reader(file)
    numbers = [all(re.fullmatch(r"-?[\d.]*", row[index]) for row in rows) for index in range(len(columns))]
    lines = [columns, ["---:" if number else "---" for number in numbers], *rows]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def made(page: str) -> str:
    """The page with every table made again."""
    page = BLOCK.sub(lambda found: f"{found[1]}\n{printed(found[2]).strip()}\n\n{found[4]}", page)
    return FILE.sub(lambda found: f"{found[1]}\n{table(ROOT / found[2])}\n\n{found[4]}", page)


def main() -> None:
    """Write the pages, or compare them."""
    texts = {page: page.read_text() for page in PAGES}
    if "--check" in sys.argv[1:]:
        sys.exit(0 if all(made(text) == text for text in texts.values()) else 1)
    for page, text in texts.items():
        page.write_text(made(text))


if __name__ == "__main__":
    main()
