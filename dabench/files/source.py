"""Digests of the code that decides a result: what a module imports, transitively, without comments and docstrings.

One function serves the keys of stages, scores, predictions and boards, so that no list of files is kept by hand.
"""

from __future__ import annotations

import ast
import hashlib
import sys
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from functools import lru_cache
from importlib.util import find_spec
from pathlib import Path

_CORE = "dabench"
#: Arguments that are read by people alone.
_PROSE = {"description", "summary"}
#: Fields of a syntax tree that say nothing of what is computed, or that not every Python version has.
_SILENT = {"ctx", "kind", "type_comment", "type_ignores"}


def source_digest(*modules: str) -> str:
    """SHA-256 over modules and all that they import of dabench and of their own packages.

    A change of a comment, a docstring or a description leaves it as it is; so does another Python version. Imports
    inside functions count, those under ``TYPE_CHECKING`` do not. A name that a package only hands on counts as the
    module that defines it.

    Example:  source_digest("dabench.ops.metrics")
    """
    digest = hashlib.sha256()
    for name, path in sorted(import_closure(modules).items()):
        digest.update(f"{name} {_parsed(path, path.stat().st_mtime_ns).digest}\n".encode())
    return digest.hexdigest()


def import_closure(modules: Iterable[str]) -> Mapping[str, Path]:
    """Files by module: these modules and what they import, within their own top-level packages and dabench."""
    tops = {_CORE, *(name.partition(".")[0] for name in modules)}
    found: dict[str, Path] = {}
    waiting = list(modules)
    while waiting:
        name = waiting.pop()
        if name in found or name.partition(".")[0] not in tops or (path := _file_of(name)) is None:
            continue
        found[name] = path
        for module, member in _parsed(path, path.stat().st_mtime_ns).imports:
            full = _absolute(name, path, module)
            if full.partition(".")[0] in tops:
                waiting.append(_home(full, member))
    return found


@dataclass(frozen=True)
class _Parsed:
    """What is taken from one file: a digest of its code, and its imports as (module, name); "" imports a module."""

    digest: str
    imports: tuple[tuple[str, str], ...]
    #: Names that it has from elsewhere: name -> (module, name there).
    handed_on: Mapping[str, tuple[str, str]]


@lru_cache(maxsize=4096)
def _parsed(path: Path, changed: int) -> _Parsed:
    """A file, read once for each time that it was ``changed``."""
    del changed
    tree = ast.parse(path.read_bytes(), str(path))
    imports = tuple(dict.fromkeys(_imports(tree)))
    handed_on = {name: (module, member) for module, member, name in _bound(tree)}
    return _Parsed(hashlib.sha256("".join(_tokens(tree)).encode()).hexdigest(), imports, handed_on)


# ---------------------------------------------------------------- what a file imports
def _imports(node: ast.AST) -> Iterator[tuple[str, str]]:
    """Everything imported below a node, but for type checkers."""
    for child in ast.iter_child_nodes(node):
        if isinstance(child, ast.If) and "TYPE_CHECKING" in ast.unparse(child.test):
            continue
        if isinstance(child, ast.Import):
            yield from ((alias.name, "") for alias in child.names)
        elif isinstance(child, ast.ImportFrom):
            yield from ((_written(child), alias.name) for alias in child.names)
        else:
            yield from _imports(child)


def _bound(tree: ast.Module) -> Iterator[tuple[str, str, str]]:
    """(module, its name, name here) of what a file imports by name at its top."""
    for node in tree.body:
        if isinstance(node, ast.ImportFrom):
            yield from ((_written(node), alias.name, alias.asname or alias.name) for alias in node.names)


def _written(node: ast.ImportFrom) -> str:
    return "." * node.level + (node.module or "")


def _absolute(importer: str, path: Path, module: str) -> str:
    """The full name of a module that ``importer`` names with dots."""
    level = len(module) - len(module.lstrip("."))
    if not level:
        return module
    parts = importer.split(".") if path.name == "__init__.py" else importer.split(".")[:-1]
    return ".".join([*parts[: len(parts) - level + 1], *filter(None, [module.lstrip(".")])])


def _home(module: str, member: str) -> str:
    """The module that defines what ``from module import member`` gives, followed through those that hand it on."""
    for _ in range(8):
        if member and _file_of(f"{module}.{member}") is not None:
            return f"{module}.{member}"
        path = _file_of(module) if member else None
        onward = _parsed(path, path.stat().st_mtime_ns).handed_on.get(member) if path else None
        if path is None or onward is None:
            return module
        module, member = _absolute(module, path, onward[0]), onward[1]
    return module


@lru_cache(maxsize=8192)
def _file_of(name: str) -> Path | None:
    """The Python file of a module, found without running any; None where there is none."""
    top, *rest = name.split(".")
    origin = _origin(top)
    if origin is None or not rest:
        return origin
    place = origin.parent.joinpath(*rest)
    if origin.name != "__init__.py":
        return None
    return next((file for file in (place / "__init__.py", place.with_suffix(".py")) if file.is_file()), None)


@lru_cache(maxsize=1024)
def _origin(top: str) -> Path | None:
    """The file of a top-level module or package."""
    if top in sys.stdlib_module_names:
        return None
    try:
        spec = getattr(sys.modules.get(top), "__spec__", None) or find_spec(top)
    except (ImportError, ValueError):
        return None
    origin = spec.origin if spec is not None else None
    return Path(origin) if origin and origin.endswith(".py") and Path(origin).is_file() else None


# ---------------------------------------------------------------- the code of a file
def _tokens(node: ast.AST) -> Iterator[str]:
    """A syntax tree as text that is the same in every Python version."""
    yield f"({type(node).__name__}"
    for name, value in ast.iter_fields(node):
        if name in _SILENT or value is None or value == []:
            continue
        if name == "body" and isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef):
            value = _without_docstring(value)
        if name == "keywords":
            value = [keyword for keyword in value if not _is_prose(keyword)]
        yield f" {name}="
        yield from _values(value)
    yield ")"


def _values(value: object) -> Iterator[str]:
    if isinstance(value, ast.AST):
        yield from _tokens(value)
    elif isinstance(value, list):
        yield "["
        for one in value:
            yield from _values(one)
        yield "]"
    else:
        yield f"{type(value).__name__}:{value!r}"


def _without_docstring(body: list[ast.stmt]) -> list[ast.stmt]:
    first = body[0] if body else None
    is_text = (
        isinstance(first, ast.Expr) and isinstance(first.value, ast.Constant) and isinstance(first.value.value, str)
    )
    return body[1:] if is_text else body


def _is_prose(keyword: ast.keyword) -> bool:
    return keyword.arg in _PROSE
