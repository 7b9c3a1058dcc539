"""``dabench annotate preferences | points``: pages on which people give them."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, NamedTuple

import typer

from dabench.cli.options import Axes, Channel, Series, number, one_of, three_numbers
from dabench.errors import ConfigError
from dabench.files.workspace import Workspace

if TYPE_CHECKING:
    from dabench.annotation.preference_set import PreferenceSet
    from dabench.interfaces import Volume
    from dabench.runs.config import RunConfig
    from dabench.volumes.annotating.preferences import Asking
    from dabench.volumes.annotating.segmenter import Segmenter
    from dabench.volumes.annotating.server import Address
    from dabench.volumes.viewer.targets import Opener

_Rater = Annotated[str, typer.Option(help="Rater name that the page suggests.")]
_Port = Annotated[int, typer.Option(help="Port on this machine [a free one].", min=0, max=65535, show_default=False)]
_NoOpen = Annotated[bool, typer.Option("--no-open", help="Print the link without opening it.")]
_Idle = Annotated[float, number(help="Seconds without mouse movement after which the clock stops.", min=1)]


def preferences(
    output: Annotated[Path, typer.Option(help="Folder of the data set; an existing one is continued.")],
    run: Annotated[str | None, typer.Option(help="For a new set: run whose model draws the outlines.")] = None,
    method: Annotated[
        str | None, typer.Option(help="With --run: method that will learn from the answers [the run's].")
    ] = None,
    po: Annotated[str | None, typer.Option(help="With --run: preference optimizer [the run's].")] = None,
    gold: Annotated[
        int,
        typer.Option(
            help="With --run: number of gold questions (answer known from labels, not used for training).", min=0
        ),
    ] = 0,
    order: Annotated[
        str, typer.Option(help="random, or informative (questions with the most different candidates first).")
    ] = ("random"),
    random_share: Annotated[
        float,
        number(help="With --order informative: share of questions that are still drawn at random."),
    ] = 0.3,
    repeats: Annotated[float, number(help="Share of questions that are asked a second time.")] = 0.08,
    seed: Annotated[int, typer.Option(help="Seed for the order, the repeats and the positions of candidates.")] = 0,
    idle: _Idle = 30.0,
    rater: _Rater = "",
    port: _Port = 0,
    no_open: _NoOpen = False,
) -> None:
    """Ask people which of several outlines is best. Stop it with Ctrl-C; the same command continues.

    A new set contains the questions that the preference stage of a run would ask. Earlier stages are reused.

    Example:  dabench annotate preferences --run RUN --method prefer-das --po slpo --output choices
    """
    from typing import cast

    from dabench.annotation.preference_set import PreferenceSet
    from dabench.volumes.annotating.preference_routes import preference_routes
    from dabench.volumes.annotating.preferences import Asking, Session

    asking = Asking(
        order=cast("Any", one_of("--order", order, ("random", "informative"))),
        random_share=random_share,
        repeats=repeats,
        seed=seed,
        idle=idle,
    )
    if run is not None and output.exists():
        typer.echo(f"note: {output} exists: its questions are asked, and --run is ignored.")
    elif run is not None:
        from dabench.api.annotate import config_of

        ask(config_of(run, {"method": method, "po": po}), output, gold)
    choices = PreferenceSet.open(output)
    session = Session(choices, asking)
    _say_asking(choices, asking)
    _serve("preferences", preference_routes(session, rater), session.pictures, port, no_open)
    _say_answers(choices)


def points(
    output: Annotated[
        Path,
        typer.Option(help="CSV with the clicks of all raters; a folder next to it has a file per rater."),
    ],
    domain: Annotated[str | None, typer.Option(help="A domain (dabench data ls).")] = None,
    split: Annotated[str, typer.Option(help="Split of the domain; runs use points of train.")] = "train",
    images: Annotated[
        Path | None, typer.Option(help="Instead of a domain: OME-Zarr, HDF5, NIfTI, TIFF or a folder of slices.")
    ] = None,
    run: Annotated[
        str | None, typer.Option(help="A trained run or model file, which draws outlines as you click.")
    ] = None,
    channel: Channel = None,
    series: Series = None,
    axes: Axes = None,
    voxel: Annotated[
        str | None, typer.Option(metavar="Z,Y,X", help="With --run: voxel size in nm [the file's].")
    ] = None,
    device: Annotated[str, typer.Option(help="With --run: auto, cpu, cuda, cuda:1 ...")] = "auto",
    same: Annotated[float, number(help="Clicks of two raters within this many pixels are one object.", min=0)] = 12.0,
    idle: _Idle = 30.0,
    rater: _Rater = "",
    port: _Port = 0,
    no_open: _NoOpen = False,
) -> None:
    """Let people click the centres of objects. Stop it with Ctrl-C; the same command continues.

    Example:  dabench annotate points --domain lucchi --output clicks.csv
    """
    from contextlib import closing

    from dabench.components.registry import Registry
    from dabench.interfaces.choice import with_choice
    from dabench.volumes.annotating.click_files import Clicks
    from dabench.volumes.annotating.points import Clicking, point_routes
    from dabench.volumes.viewer.targets import Opener

    opener = Opener(Registry.load(), Workspace.find())
    chosen = None if images is None else with_choice(images, channel=channel, series=series, axes=axes)
    shown = _images(opener, domain, split, chosen)
    segmenter = _segmenter(opener, run, shown, three_numbers("--voxel", voxel), device) if run else None
    about = {"domain": domain, "split": split} if domain else {}
    with closing(Clicks(output, shown.volume.shape, about, same)) as clicks:
        clicking = Clicking(shown.title, shown.volume, clicks, segmenter, idle)
        _serve("points", point_routes(clicking, rater), clicking.pictures, port, no_open)
    for own in clicks.raters.values():
        counts = own.counts()
        typer.echo(
            f"{own.path}: {counts['objects']} points on {counts['slices']} slices, {counts['negative']} negative, "
            f"{own.seconds():.0f} s"
        )


def ask(config: RunConfig, output: Path, gold: int = 0) -> None:
    """Write the questions of a run's preference stage; what comes before it is trained."""
    from dabench.api.annotate import make_questions
    from dabench.api.progress import make_display

    with make_display(quiet=False) as display:
        make_questions(config, output, display=display, gold=gold)


class _Shown(NamedTuple):
    title: str
    volume: Volume
    voxel: tuple[float, float, float] | None


def _images(opener: Opener, domain: str | None, split: str, images: Path | None) -> _Shown:
    """The volume that is clicked on. Raises ConfigError unless one of domain and images is given."""
    from dabench.data.blocks import voxel_of
    from dabench.interfaces.choice import name_of
    from dabench.runs.domains import known_domain

    if (domain is None) == (images is None):
        raise ConfigError("no images were given.", "Give --domain NAME or --images FILE, not both.")
    if images is not None:
        volume = opener.images(images)
        return _Shown(name_of(images), volume, voxel_of(volume))
    opened = known_domain(opener.registry, opener.workspace, str(domain)).open(split, opener.volume)
    return _Shown(f"{domain}, {split}", opened.images, opened.voxel)


def _segmenter(
    opener: Opener, run: str, shown: _Shown, voxel: tuple[float, float, float] | None, device: str
) -> Segmenter:
    from dabench.models import load_model
    from dabench.volumes.annotating.segmenter import Segmenter

    model = load_model(run, opener.registry, opener.workspace, device)
    segmenter = Segmenter(model, shown.volume, voxel or shown.voxel, shown.title)
    for note in segmenter.notes:
        typer.echo(f"note: {note}")
    return segmenter


def _say_asking(choices: PreferenceSet, asking: Asking) -> None:
    order = "in random order"
    if asking.order == "informative":
        order = f"the most different candidates first, {asking.random_share:.0%} at random"
    count = len(choices.questions)
    typer.echo(f"{choices.path}: {count} questions {order}, {asking.repeats:.0%} asked twice, seed {asking.seed}")


def _say_answers(choices: PreferenceSet) -> None:
    for rater in choices.raters:
        answers = choices.answers(rater)
        typer.echo(f"{choices.path / rater}.jsonl: {len(answers)} answers, {sum(a.seconds for a in answers):.0f} s")


def _serve(page: str, routes: Any, pictures: Any, port: int, no_open: bool) -> None:
    """Serve a page until Ctrl-C; print its link, and the next one after each browser that used one."""
    from dabench.cli.view import _has_display
    from dabench.volumes.annotating.server import serve

    opened: list[str] = []

    def say(address: Address, token: str) -> None:
        url = address.url(token)
        if opened:
            typer.echo(f"opened. For another browser:  {url}")
            return
        opened.append(url)
        typer.echo(f"open this link once:  {url}")
        if not no_open and _has_display():
            import webbrowser

            webbrowser.open(url)
        else:
            typer.echo(f"to open it on another machine, first run there:  {address.tunnel()}")
        typer.echo("Every answer is saved at once. Ctrl-C stops the server.")

    serve(page, routes, pictures, port=port, opened=say)
