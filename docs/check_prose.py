"""Checks the prose of the project: banned phrases, long sentences and lines, references that lead nowhere.

python docs/check_prose.py            # everything; exit 1 when something is found
python docs/check_prose.py FILE ...   # these files only

The lists are in docs/prose.yaml. Tables, code, generated tables and addresses are not prose.
"""

from __future__ import annotations

import ast
import re
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import NamedTuple

import yaml

ROOT = Path(__file__).parents[1]
RULES = Path(__file__).with_name("prose.yaml")
COMMANDS = Path(__file__).parent / "reference" / "cli.md"
GLOSSARY = Path(__file__).with_name("glossary.md")
MOST_WORDS, MOST_CHARACTERS = 25, 100
#: Code that users do not read: only its references are checked.
INTERNAL = ("tests", "benchmarks", "docs")
SEARCHED = (".md", ".py", ".yaml", ".toml", ".ipynb")

#: A sentence ends with a stop before a space; not after these abbreviations.
ABBREVIATIONS = re.compile(r"((?:\b(?:et al|e\.g|i\.e|cf|vs|Eqs?|Figs?|approx)|(?<![\w-])[A-Z]))\.(?= )")
INLINE = re.compile(r"`[^`]*`")
LINK = re.compile(r"!?\[([^\]]*)\]\([^)]*\)")
#: What skills begin with: values that programs read, a line each.
FRONT_MATTER = re.compile(r"\A---\n.*?\n---\n", re.DOTALL)
ADDRESS = re.compile(r"<?https?://\S+")


class Found(NamedTuple):
    """What is wrong, and where."""

    path: Path
    line: int
    message: str

    def __str__(self) -> str:
        """``path:line: message``, as editors read it."""
        path = self.path.relative_to(ROOT) if self.path.is_relative_to(ROOT) else self.path
        return f"{path}:{self.line}: {self.message}"


def rules() -> dict[str, dict[re.Pattern[str], str]]:
    """The lists of prose.yaml, with compiled patterns."""
    lists = yaml.safe_load(RULES.read_text())
    lists["vocabulary"] = {rf"\b{word}s?\b": word for word in lists["vocabulary"]}
    return {name: {re.compile(p, re.IGNORECASE): s for p, s in rows.items()} for name, rows in lists.items()}


# ---------------------------------------------------------------- Markdown
def paragraphs(lines: list[str]) -> Iterator[tuple[int, list[str], str]]:
    """First line number, lines, and kind (``text``, ``heading``, ``table``, ``generated``) of all that is no code."""
    start, gathered, fenced, generated = 0, list[str](), False, False
    code = False
    for number, line in enumerate([*lines, ""], 1):
        begins_code = line.startswith("    ") and (code or not gathered)
        fence = line.lstrip().startswith("```")
        breaks = fence or fenced or begins_code or not line.strip() or re.match(r"\s*([-*|#>]|\d+\.|<!--) ?", line)
        if gathered and breaks:
            yield start, gathered, "generated" if generated else "text"
            gathered = []
        code = begins_code or (code and not line.strip())
        if fence:
            fenced = not fenced
        elif line.startswith("<!--"):
            generated = "<!-- end" not in line and bool(re.match(r"<!-- (dabench |Generated|\S+\.csv)", line))
        elif fenced or begins_code or not line.strip():
            continue
        elif line.lstrip().startswith(("#", "|")):
            kind = "table" if line.lstrip().startswith("|") else "heading"
            yield number, [line], "generated" if generated else kind
        else:
            start, gathered = (start, [*gathered, line]) if gathered else (number, [line])


def prose(line: str) -> str:
    """A line without code, addresses and marks."""
    line = INLINE.sub("Code", ADDRESS.sub("Address", line))
    return re.sub(r"^\s*(?:[-*>#]+|\d+\.)? ?|\*\*|(?<!\w)\*|\*(?!\w)", "", LINK.sub(r"\1", line))


def sentences(text: str) -> list[str]:
    """The sentences of a paragraph."""
    return re.split(r"(?<=[.?!])[)\"*]*\s+(?=[\"(*\[]?(?:[^a-z\s]|dabench))", ABBREVIATIONS.sub(r"\1", text))


def words(sentence: str) -> int:
    """How many words a sentence has; numbers, symbols and code count as one each."""
    return sum(bool(re.search(r"\w", word)) for word in sentence.split())


def check_page(path: Path, lists: Mapping[str, Mapping[re.Pattern[str], str]]) -> Iterator[Found]:
    """All that is wrong with the prose of a page."""
    glossary = GLOSSARY.read_text().lower()
    if path == COMMANDS:
        return  # help texts, which are checked where they stand in the code
    page = FRONT_MATTER.sub(lambda found: "\n" * found[0].count("\n"), path.read_text())
    for start, lines, kind in paragraphs(page.splitlines()):
        plain = [prose(line) for line in lines]
        text = " ".join(plain)
        for pattern, instead in [*lists["everywhere"].items(), *lists["pages"].items()]:
            for match in pattern.finditer(text):
                yield Found(path, start + _row(plain, match.start()), f'"{match[0]}": {instead}')
        for pattern, word in lists["vocabulary"].items():
            if pattern.search(text) and word not in glossary:
                yield Found(path, start, f'"{word}" is not in docs/glossary.md')
        if kind != "text":
            continue
        for offset, line in enumerate(lines):
            if len(ADDRESS.sub("", re.sub(r"\]\([^)]*\)", "]", line))) > MOST_CHARACTERS:
                yield Found(path, start + offset, f"{len(line)} characters (at most {MOST_CHARACTERS})")
        for sentence in sentences(text):
            if words(sentence) > MOST_WORDS:
                row = _row(plain, text.find(sentence[:40]))
                yield Found(path, start + row, f"{words(sentence)} words (at most {MOST_WORDS}): {sentence[:60]} ...")


def _row(lines: list[str], offset: int) -> int:
    """In which of the lines, joined by spaces, a character is."""
    for row, line in enumerate(lines):
        if offset <= len(line):
            return row
        offset -= len(line) + 1
    return 0


# ---------------------------------------------------------------- code
def check_strings(path: Path, lists: Mapping[str, Mapping[re.Pattern[str], str]]) -> Iterator[Found]:
    """Banned phrases in the strings and docstrings of a module."""
    for node in ast.walk(ast.parse(path.read_text())):
        if not (isinstance(node, ast.Constant) and isinstance(node.value, str) and " " in node.value):
            continue
        rows = [INLINE.sub("Code", line.strip()) for line in node.value.replace("``", "`").splitlines()]
        for pattern, instead in lists["everywhere"].items():
            for match in pattern.finditer(" ".join(rows)):
                yield Found(path, node.lineno + _row(rows, match.start()), f'"{match[0]}": {instead}')


def check_outside(path: Path, lists: Mapping[str, Mapping[re.Pattern[str], str]]) -> Iterator[Found]:
    """References to documents that are not in the repository."""
    for number, line in enumerate(path.read_text(errors="ignore").splitlines(), 1):
        for pattern, instead in lists["outside"].items():
            if match := re.search(pattern.pattern, line):
                yield Found(path, number, f'"{match[0]}": {instead}')


def check(paths: list[Path]) -> list[Found]:
    """All that is wrong in these files, by the rules for their kind."""
    lists, found = rules(), list[Found]()
    for path in paths:
        found += check_outside(path, lists)
        if path.suffix == ".md":
            found += check_page(path, lists)
        elif path.suffix == ".py" and not any(path.is_relative_to(ROOT / name) for name in INTERNAL):
            found += check_strings(path, lists)
    return found


def files() -> list[Path]:
    """Every page and source file of the project."""
    folders = ("dabench", "plugins", "docs", "tests", "benchmarks")
    below = [p for name in folders for p in sorted((ROOT / name).rglob("*")) if p.suffix in SEARCHED]
    return [ROOT / "README.md", *(p for p in below if p != RULES)]


def main() -> None:
    """Print what was found."""
    found = check([Path(name).resolve() for name in sys.argv[1:]] or files())
    sys.stdout.writelines(f"{one}\n" for one in found)
    sys.exit(1 if found else 0)


if __name__ == "__main__":
    main()
