"""``dabench annotate``: people annotate, and what their answers are worth."""

from __future__ import annotations

import typer

from dabench.cli import annotate_pages, annotate_report, annotate_task

app = typer.Typer(help="Let people annotate, on a page in the browser.", rich_markup_mode=None)
app.callback(invoke_without_command=True)(annotate_task.annotate)
for command in (annotate_pages.preferences, annotate_pages.points, annotate_report.report):
    app.command()(command)
