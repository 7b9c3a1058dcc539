"""The prose check: it passes on the project, and finds what is planted."""

from __future__ import annotations

import importlib.util
import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
spec = importlib.util.spec_from_file_location("check_prose", ROOT / "docs" / "check_prose.py")
prose = importlib.util.module_from_spec(spec)
spec.loader.exec_module(prose)

HALF = " ".join(["word"] * 13)
LONG = f"{HALF}\n{HALF}"  # 26 words
OUTSIDE = "See FAC" + "TS 13."  # in two parts: this file is searched too
FAULTS = [
    (f"{LONG.capitalize()}.", "26 words"),
    ("A" * 101, "101 characters"),
    ("The stage is trained anew.", "anew"),
    ("It takes 3 ms a slice.", "3 ms a slice"),
    ("A checkpoint that\nis chosen, and nobody knows.", "nobody"),
    ("| column |\n|---|\n| one row a mitochondrion |", "one row a mitochondrion"),
    ("## Who predicts", "Who predicts"),
    (OUTSIDE, "docs/facts.md"),
    ("Labels are beside the images.", "beside"),
]
FINE = [
    f"{HALF.capitalize()}\nby Wu et al. 2021 and word word word word.",
    f"Short. {HALF.capitalize()}\n{HALF.removesuffix(' word')}.",
    f"```\n{LONG}. nobody\n```",
    f"    {HALF} {HALF} nobody {'a' * 60}\n",
    f"See [a page](https://example.org/{'a' * 90}#anew).",
    "`nobody` is a value. dabench reads it.",
    f"| {HALF} {HALF} |\n|---|",
    f"<!-- dabench leaderboard -->\n\n- {HALF} {HALF}.\n\n<!-- end -->",
]


def messages(tmp_path: Path, text: str, name: str = "page.md") -> list[str]:
    path = tmp_path / name
    path.write_text(text)
    return [f"{found.line}: {found.message}" for found in prose.check([path])]


def test_the_project_passes():
    assert [str(found) for found in prose.check(prose.files())] == []


@pytest.mark.parametrize(("text", "found"), FAULTS)
def test_faults_of_a_page_are_found(tmp_path, text, found):
    (message,) = messages(tmp_path, text)
    assert found in message


@pytest.mark.parametrize("text", FINE)
def test_what_is_fine_passes(tmp_path, text):
    assert messages(tmp_path, text) == []


def test_faults_are_named_with_their_line(tmp_path):
    text = "# Title\n\nA first line\nof prose that is trained anew.\n\n- An item.\n- Nobody.\n"
    assert [m.split(":")[0] for m in messages(tmp_path, text)] == ["4", "7"]


def test_strings_and_docstrings_are_checked_and_code_is_not(tmp_path):
    code = '"""One row a slice."""\n\nanew = "x"  # nobody\nprint(f"trained {anew}, by nobody but us")\n'
    found = messages(tmp_path, code, "module.py")
    assert [re.match(r'(\d+): "(.+?)"', message).groups() for message in found] == [
        ("1", "One row a slice"),
        ("4", "nobody"),
    ]


def test_a_word_of_the_house_needs_the_glossary(tmp_path, monkeypatch):
    glossary = tmp_path / "glossary.md"
    monkeypatch.setattr(prose, "GLOSSARY", glossary)
    glossary.write_text("| cell | one run |")
    assert messages(tmp_path, "A cell has a receipt.") == ['1: "receipt" is not in docs/glossary.md']


def test_the_command_fails_on_a_fault(tmp_path, monkeypatch, capsys):
    page = tmp_path / "page.md"
    page.write_text("Trained anew.")
    monkeypatch.setattr("sys.argv", ["check_prose.py", str(page)])
    with pytest.raises(SystemExit) as stop:
        prose.main()
    assert stop.value.code == 1
    assert f"{page}:1:" in capsys.readouterr().out
