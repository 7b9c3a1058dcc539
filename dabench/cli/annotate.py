"""``dabench annotate``: people annotate, and what their answers are worth."""

from __future__ import annotations

import typer

from dabench.cli import annotate_report

app = typer.Typer(help="Let people annotate, on a page in the browser.", no_args_is_help=True, rich_markup_mode=None)
annotate_report.attach(app)
