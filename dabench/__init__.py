"""dabench: trains, compares and applies domain adaptive segmentation methods for electron microscopy.

The functions of the command line that concern results, for Python (docs/python.md):

    import dabench

    dabench.evaluate(prediction, labels, protocol="das-2d@1")
    run = dabench.run(method="prefer-das", po="slpo", task="human2stem", data="phantom", preset="tiny", seed=0)
    model = dabench.load_model(run)
    probability = model.predict(volume)
    dabench.results().query("task == 'human2stem'")
    dabench.board().to_frame()

Each name is imported on first use. Plugins import `dabench.plugin` instead.
"""

from __future__ import annotations

from importlib import import_module
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from dabench.api.evaluation import Evaluation, evaluate
    from dabench.api.model import Model, load_model
    from dabench.api.run import Run, run
    from dabench.api.tables import Boards, board, results
    from dabench.errors import DabenchError

#: In a file of its own: a new version alone changes no stage's key.
__version__ = Path(__file__).with_name("version.txt").read_text(encoding="utf-8").strip()

__all__ = [
    "Boards",
    "DabenchError",
    "Evaluation",
    "Model",
    "Run",
    "board",
    "evaluate",
    "load_model",
    "results",
    "run",
]

_HOMES = {
    "api.evaluation": ("Evaluation", "evaluate"),
    "api.model": ("Model", "load_model"),
    "api.run": ("Run", "run"),
    "api.tables": ("Boards", "board", "results"),
    "errors": ("DabenchError",),
}
_HOME_OF = {name: home for home, names in _HOMES.items() for name in names}


def __getattr__(name: str) -> Any:
    """A name of the front door, loaded now. Raises ImportError for one that belongs to plugin authors."""
    if name in _HOME_OF:
        return getattr(import_module(f"dabench.{_HOME_OF[name]}"), name)
    # A submodule is imported by whoever asks for it; only a name that is nothing here is looked for among the plugins'.
    unknown = not name.startswith("_") and find_spec(f"dabench.{name}") is None
    if unknown and name in import_module("dabench.plugin").__all__:
        raise ImportError(f"{name!r} is for plugins. Write:  from dabench.plugin import {name}")
    raise AttributeError(f"module 'dabench' has no attribute {name!r}")


def __dir__() -> list[str]:
    """What the front door offers, and the version."""
    return sorted([*__all__, "__version__"])
