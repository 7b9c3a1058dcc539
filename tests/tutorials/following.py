"""Follows a page of the documentation to the letter: types its commands, saves its files, makes its changes."""

from __future__ import annotations

import importlib
import multiprocessing
import os
import re
import runpy
import shlex
import site
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

#: A fenced block: its language and the file that it is; one with a language and without a file is for reading.
_BLOCK = re.compile(r"^```(\w*)(?: title=\"(\S+)\")?\n(.*?)^```$", re.MULTILINE | re.DOTALL)
#: pip as the page types it, without an index: what the package needs is here already.
_OFFLINE = {
    "PIP_NO_DEPS": "1",
    "PIP_NO_BUILD_ISOLATION": "0",
    "PIP_NO_INDEX": "1",
    "PIP_DISABLE_PIP_VERSION_CHECK": "1",
}
#: What is typed, and the module behind it.
_PROGRAMS = {"dabench": "dabench.cli.main", "pytest": "pytest", "pip": "pip"}
#: Importing these takes seconds: once for all commands that run `beside`.
_PRELOAD = ["dabench.testing", "dabench.runs.runner", "dabench.ops.augmentation", "timm", "pytest"]


def steps(page: Path) -> Iterator[tuple[str, str]]:
    """What a reader does, in order: ("type", commands), ("change", diff) and ("save", name and content)."""
    for language, file, body in _BLOCK.findall(page.read_text()):
        if file:
            yield "save", f"{file}\n{body}"
        elif language in ("", "diff"):
            yield ("change" if language else "type"), body


def commands(page: Path) -> list[str]:
    """The commands that a page types, without comments."""
    typed = (body for what, body in steps(page) if what == "type")
    return [words[0] for body in typed for line in body.splitlines() if (words := re.split(r" +(?:#|\|\|) ", line))[0]]


def change(diff: str, folder: Path) -> None:
    """Make a change that is shown as a diff: ``--- FILE``, then hunks (split by ``@@``) that must fit in one place."""
    header, _, body = diff.partition("\n")
    path = folder / header.removeprefix("--- ")
    text = path.read_text()
    for hunk in body.split("@@\n"):
        lines = hunk.splitlines()
        old, new = ("".join(f"{line[1:]}\n" for line in lines if line[:1] in kinds) for kinds in ("- ", "+ "))
        assert text.count(old) == 1, f"{path.name} holds this {text.count(old)} times:\n{old}"
        text = text.replace(old, new)
    path.write_text(text)


# ------------------------------------------------------------------------------------------------------------ readers
@dataclass(frozen=True)
class Reader:
    """Somebody with an installed dabench, an empty folder and a shell.

    Their virtual environment sees this one's packages, and what they install stays in theirs.
    """

    home: Path
    environment: Path
    #: Which shell it is.
    shell: ClassVar[Sequence[str]] = ("bash",)

    @classmethod
    def arrives(cls, folder: Path) -> Reader:
        """Make the environment and the empty folder."""
        home, environment = folder / "home", folder / "environment"
        home.mkdir()
        subprocess.run([sys.executable, "-m", "venv", "--without-pip", environment], check=True)
        above = [f"import site; site.addsitedir({path!r})" for path in site.getsitepackages()]
        reader = cls(home, environment)
        (reader.packages / "above.pth").write_text("\n".join(above))
        for name, module in _PROGRAMS.items():
            script = environment / "bin" / name
            script.write_text(
                f"#!{environment}/bin/python\nimport runpy\n"
                f"runpy.run_module({module!r}, run_name='__main__', alter_sys=True)\n"
            )
            script.chmod(0o755)
        return reader

    @property
    def packages(self) -> Path:
        """Where pip installs."""
        return next(self.environment.glob("lib/python*/site-packages"))

    def variables(self) -> dict[str, str]:
        """This process's environment, but for what is said about dabench in it."""
        kept = {k: v for k, v in os.environ.items() if not k.startswith(("DABENCH_", "PYTEST_", "PYTHONPATH"))}
        path = f"{self.environment / 'bin'}{os.pathsep}{os.environ['PATH']}"
        return kept | _OFFLINE | {"PATH": path, "OMP_NUM_THREADS": "1"}

    def types(self, commands: str) -> str:
        """Run commands in a shell until one fails; what they print."""
        done = subprocess.run(
            [*self.shell, "-ec", commands],
            cwd=self.home,
            env=self.variables(),
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        assert done.returncode == 0, f"{commands}\n{done.stdout[-4000:]}"
        return done.stdout

    def follows(self, page: Path) -> str:
        """Do all that the page says; what the commands printed."""
        printed = []
        for what, body in steps(page):
            if what == "type":
                printed.append(self.types(body))
            elif what == "save":
                name, _, content = body.partition("\n")
                (self.home / name).write_text(content)
            else:
                change(body, self.home)
        return "\n".join(printed)


class HastyReader(Reader):
    """Types the same, but trains for a few updates, and no process imports torch anew."""

    #: Options added to a ``dabench run`` and a ``suite run``, by a word of it.
    few: ClassVar[Mapping[str, Sequence[str]]] = {}
    #: What is done at the page of a ``dabench annotate``: takes its arguments, gives what was printed.
    at_page: ClassVar[Callable[[Reader, list[str]], str] | None] = None

    def types(self, commands: str) -> str:
        """Run commands one by one."""
        return "\n".join(self._types(line) for line in commands.splitlines())

    def _types(self, line: str) -> str:
        program, *arguments = shlex.split(line, comments=True)
        if program == "pip" or program not in _PROGRAMS or set(line) & set("|*>$"):
            return super().types(line)
        if arguments[:2] in (["annotate", "points"], ["annotate", "preferences"]) and type(self).at_page:
            return type(self).at_page(self, arguments[1:])
        words = arguments if "run" in arguments[:3] else []
        more = [option for word in words for option in self.few.get(word, ())]
        code, text = beside(_PROGRAMS[program], [*arguments, *more], self.home, self.variables(), [self.packages])
        assert code == 0, f"{line}\n{text[-4000:]}"
        return text


# ---------------------------------------------------------------------------------------------------------- processes
def beside(
    module: str, arguments: Sequence[str], folder: Path, variables: Mapping[str, str], packages: Sequence[Path]
) -> tuple[int, str]:
    """Exit code and output of ``python -m module`` in a process that is forked from one with torch imported.

    Args:
        module: to run.
        arguments: of the command line.
        folder: to run it in.
        variables: the whole environment.
        packages: further site folders.
    """
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(_PRELOAD)
    output = folder.parent / "output.txt"
    process = context.Process(target=_run, args=(module, arguments, folder, dict(variables), packages, output))
    process.start()
    process.join()
    return process.exitcode or 0, output.read_text()


def _run(
    module: str,
    arguments: Sequence[str],
    folder: Path,
    variables: dict[str, str],
    packages: Sequence[Path],
    output: Path,
) -> None:
    os.chdir(folder)
    os.environ.clear()
    os.environ.update(variables)
    tempfile.tempdir = str(output.parent)  # a forked process does not tidy up as it ends
    file = os.open(output, os.O_CREAT | os.O_TRUNC | os.O_WRONLY)
    os.dup2(file, 1)
    os.dup2(file, 2)
    for place in packages:
        site.addsitedir(str(place))
    importlib.invalidate_caches()
    sys.argv = [module, *arguments]
    runpy.run_module(module, run_name="__main__", alter_sys=True)
