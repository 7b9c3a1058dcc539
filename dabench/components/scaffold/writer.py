"""Renders the templates of a kind and writes the package."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from string import Template

from dabench import __version__
from dabench.components.hookspecs import KINDS
from dabench.components.scaffold.names import camel_case, check_bindings, check_name, module_name
from dabench.errors import ConfigError, UnknownNameError
from dabench.files.atomic import write_text
from dabench.files.yaml import read_yaml

TEMPLATES = Path(__file__).parent / "templates"
_ABOUT = "about.yaml"
_SUFFIX = ".txt"


@dataclass(frozen=True)
class NewPlugin:
    """A package before it is written.

    Args:
        name: of the distribution, of its entry point and of the folder.
        kind: of its component (`dabench.hookspecs.KINDS`).
        component: name of the component: that of the package, with a version where the kind has one.
        use: the command that shows it at work.
        files: text by path below the package's folder.
    """

    name: str
    kind: str
    component: str
    use: str
    files: Mapping[str, str] = field(repr=False)

    @property
    def module(self) -> str:
        """Name of the Python package."""
        return module_name(self.name)


def render(name: str, kind: str) -> NewPlugin:
    """The files of a new plugin.

    Raises:
        ConfigError: no package, module or class can have this name.
        UnknownNameError: there is no such kind.
    """
    check_name(name)
    if kind not in KINDS:
        raise UnknownNameError("kind", kind, KINDS)
    words = _words(name, kind)
    folders = (TEMPLATES / "package", TEMPLATES / kind)
    files = {
        path: Template(template.read_text(encoding="utf-8")).substitute(words)
        for folder in folders
        for path, template in _templates(folder, words["module"])
    }
    check_bindings(name, files[f"{words['module']}/__init__.py"])
    return NewPlugin(name, kind, words["component"], words["use"], files)


def write(plugin: NewPlugin, directory: Path, *, force: bool = False) -> Path:
    """Write the package to a folder of its name below ``directory``, and give that folder.

    Raises ConfigError where something of that name lies there already; ``force`` writes over the files that a new
    plugin has, and leaves all others alone.
    """
    folder = directory / plugin.name
    if folder.exists() and not (force and folder.is_dir()):
        kept = "its files are written over by --force." if folder.is_dir() else "it is a file."
        raise ConfigError(f"{folder} exists already; {kept}", "Choose another name, or another --directory.")
    for path, text in plugin.files.items():
        write_text(folder / path, text)
    return folder


def _words(name: str, kind: str) -> dict[str, str]:
    """What stands for the words of the templates."""
    words = {
        "name": name,
        "module": module_name(name),
        "camel": camel_case(name),
        "kind": kind,
        "hook": KINDS[kind],
        "version": __version__,
    }
    about = {"component": "$name", "words": kind.replace("_", " "), **read_yaml(TEMPLATES / kind / _ABOUT)}
    for key in ("component", "words", "summary", "use"):
        words[key] = Template(about[key]).substitute(words)
    return words


def _templates(folder: Path, module: str) -> list[tuple[str, Path]]:
    """Path in the package and template of every file of a folder; what lies beside ``tests`` is in the module."""
    found = []
    for path in sorted(folder.rglob(f"*{_SUFFIX}")):
        # Hidden files are left out of a wheel: dot_gitignore.txt becomes .gitignore.
        inside = path.relative_to(folder).as_posix().removesuffix(_SUFFIX).replace("dot_", ".")
        in_module = folder.name != "package" and not inside.startswith("tests/")
        found.append((f"{module}/{inside}" if in_module else inside, path))
    return found
