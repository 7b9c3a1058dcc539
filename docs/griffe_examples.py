"""Shows ``Example:`` of a docstring as code: griffe knows that section by its plural alone."""

from __future__ import annotations

import re
from typing import Any

from griffe import Extension, Object

_HEADING = re.compile(r"^Example::?$", re.MULTILINE)


class Examples(Extension):
    """Renames the section in every docstring that is collected."""

    def on_instance(self, *, obj: Object, **_: Any) -> None:
        """Called by griffe for every module, class, function and attribute."""
        if obj.docstring is not None:
            obj.docstring.value = _HEADING.sub("Examples:", obj.docstring.value)
