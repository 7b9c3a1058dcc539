"""New plugins: an installable package with one working component, to be edited into the author's own.

What is written lies in ``templates`` as files: ``package`` is in every plugin, the folder of a kind comes on top, and
``about.yaml`` says in a line what the component does and which command shows it at work. ``.txt`` keeps tools away
from them; the tests lint, load and check what is rendered.
"""

from __future__ import annotations

from dabench.components.scaffold.names import check_free
from dabench.components.scaffold.writer import NewPlugin, render, write

__all__ = ["NewPlugin", "check_free", "render", "write"]
