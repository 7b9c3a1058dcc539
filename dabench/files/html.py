"""What every HTML page needs that holds its own data, style and script and lets nothing else in."""

from __future__ import annotations

import base64
import hashlib
import json
from typing import Any


def inline_json(value: Any) -> str:
    """JSON that no HTML parser takes for markup, wherever it stands. Raises ValueError for NaN and infinities."""
    text = json.dumps(value, separators=(",", ":"), allow_nan=False)
    return text.replace("&", "\\u0026").replace("<", "\\u003c").replace(">", "\\u003e")


def content_policy(css: str, js: str) -> str:
    """A content security policy: this style and this script, pictures that lie in the page, and nothing fetched."""
    return (
        f"default-src 'none'; img-src data:; style-src '{_digest(css)}'; script-src '{_digest(js)}'; "
        "base-uri 'none'; form-action 'none'"
    )


def _digest(text: str) -> str:
    """The hash by which a content security policy knows an inline script or style."""
    return "sha256-" + base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()
