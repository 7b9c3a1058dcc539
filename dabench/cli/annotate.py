"""``dabench annotate``: people annotate, and what their answers are worth."""

from __future__ import annotations

import typer

from dabench.cli import annotate_pages, annotate_report, annotate_task

app = typer.Typer(help="Let people annotate, on a page in the browser.", rich_markup_mode=None)
for part in (annotate_task, annotate_pages, annotate_report):
    part.attach(app)
