"""HTML pages: the head that all of them have, and pages that hold their own data, style and script."""

from __future__ import annotations

import base64
import hashlib
import json
from html import escape
from typing import Any

#: After the body.
END = "</body>\n</html>\n"


def start(title: str, head: str) -> str:
    """A page up to its body.

    Args:
        title: of the window, as text.
        head: HTML of its policy, style and scripts.
    """
    return f"""<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>{escape(title)}</title>
{head}
</head>
<body>
"""


def own_head(css: str, js: str = "") -> str:
    """The head of a page with this style and script in it, which may load nothing else and fetch nothing."""
    return f"""<meta http-equiv="Content-Security-Policy" content="{escape(content_policy(css, js), quote=True)}">
<meta name="referrer" content="no-referrer">
<link rel="icon" href="data:,">
<style>{css}</style>"""


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
