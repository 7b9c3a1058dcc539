"""Options that say which volume of a file is meant (`dabench.interfaces.choice`)."""

from __future__ import annotations

from typing import Annotated

import typer

Channel = Annotated[
    int | None,
    typer.Option("--channel", metavar="N", help="Which channel of a file with several, counted from 0.", min=0),
]
Series = Annotated[
    int | None, typer.Option("--series", metavar="N", help="Which image of a TIFF with several, counted from 0.", min=0)
]
Axes = Annotated[
    str | None,
    typer.Option(
        "--axes", metavar="LETTERS", help="Names of the stored axes, for example zyx or tczyx [from the file]."
    ),
]
