"""Names of new plugins: valid as package, module and class, and not in use yet."""

from __future__ import annotations

import ast
import keyword
import re
import sys
from collections import Counter
from collections.abc import Iterator
from importlib.metadata import PackageNotFoundError, distribution
from importlib.util import find_spec
from pathlib import Path

from dabench.components.registry import Registry
from dabench.errors import ConfigError

_NAME = re.compile(r"[a-z][a-z0-9]*(-[a-z0-9]+)*")


def module_name(name: str) -> str:
    """``my-method`` as a module: ``my_method``."""
    return name.replace("-", "_")


def camel_case(name: str) -> str:
    """``my-method`` as a class: ``MyMethod``."""
    return "".join(part.capitalize() for part in name.split("-"))


def check_name(name: str) -> None:
    """Raises ConfigError for what is no name of a package on PyPI, of a module and of a component."""
    if not _NAME.fullmatch(name):
        near = re.sub(r"[^a-z0-9]+", "-", name.lower()).lstrip("-0123456789").rstrip("-")
        raise ConfigError(
            f"{name!r} cannot be a plugin's name: lower-case letters and digits joined by '-', a letter first.",
            f"Did you mean {near!r}?" if _NAME.fullmatch(near) else "Example: my-method",
        )
    module = module_name(name)
    if keyword.iskeyword(module) or module in sys.stdlib_module_names:
        raise ConfigError(f"{name!r} cannot be a plugin's name: {module!r} belongs to Python.", _another(name))


def check_bindings(name: str, code: str) -> None:
    """Raises ConfigError where a class of the new module takes a name that the module needs for something else."""
    twice = sorted(bound for bound, count in Counter(_bound(ast.parse(code))).items() if count > 1)
    if twice:
        raise ConfigError(f"{name!r} would name a class {twice[0]}, but the module already has one.", _another(name))


def check_free(name: str, component: str, folder: Path, registry: Registry, *, force: bool = False) -> None:
    """Raises ConfigError, naming who has it, where a plugin, component, package or module of this name exists.

    Args:
        name: of the new package.
        component: of the component that it will register.
        folder: where the package will lie.
        registry: of what is installed.
        force: the package in ``folder`` itself may have the name: it is written again.
    """
    own = force and folder.is_dir()
    for kind in registry.kinds_of(component):
        holder = registry.get(kind, component)
        if not (own and holder.distribution == name):
            raise ConfigError(
                f"{kind} {component!r} is already registered by {holder.distribution} (plugin {holder.plugin}).",
                _another(name),
            )
    plugin = registry.plugins.get(name)
    if plugin is not None and not (own and plugin.distribution == name):
        raise ConfigError(f"{plugin.distribution} has a plugin {name!r} already.", _another(name))
    if _is_installed(name) and not own:
        raise ConfigError(f"a package {name!r} is installed here; pip would replace it.", _another(name))
    spec = find_spec(module_name(name))
    if spec is not None and spec.origin and not (own and Path(spec.origin).is_relative_to(folder.absolute())):
        raise ConfigError(f"Python finds another module {module_name(name)!r} in {spec.origin}.", _another(name))


def _is_installed(name: str) -> bool:
    try:
        distribution(name)
    except PackageNotFoundError:
        return False
    return True


def _bound(module: ast.Module) -> Iterator[str]:
    for node in module.body:
        if isinstance(node, ast.Import | ast.ImportFrom):
            yield from (alias.asname or alias.name for alias in node.names)
        elif isinstance(node, ast.ClassDef | ast.FunctionDef):
            yield node.name


def _another(name: str) -> str:
    return f"Choose another name, for example {name}-2."
