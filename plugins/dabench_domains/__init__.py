"""The domains of the papers and of this project's real data, from cards, and the phantom twins."""

from __future__ import annotations

from functools import cache, partial
from pathlib import Path

from pydantic import Field

from dabench.plugin import (
    Card,
    CardDomain,
    Component,
    PhantomDomain,
    Register,
    Settings,
    UnknownNameError,
    hookimpl,
    load_card,
    phantom_summaries,
)
from dabench_domains.mitoem2 import MitoEM2Domain

CARDS = Path(__file__).parent / "cards"
#: Domains that are handed out as MitoEM 2.0 is.
_MITOEM2 = ("stem",)


class CardSettings(Settings):
    """Settings of a domain that has a card."""

    folder: Path | None = Field(
        None, description="Folder that holds the files; default <DABENCH_DATA>/<the card's folder>."
    )
    layout: str = Field(
        "", description="Layout of the files (official, epfl, tiles); default: the first one that is present."
    )


class PhantomSettings(Settings):
    """Settings of a procedural domain."""

    seed: int = Field(0, ge=0, description="Seed; another seed gives another piece of the same tissue.")
    size: int = Field(256, ge=64, le=2048, description="Side of a slice in pixels.")
    train_slices: int = Field(12, ge=1, le=200, description="Slices of the training split.")
    test_slices: int = Field(8, ge=1, le=200, description="Slices of the test split.")


@cache
def layouts(name: str) -> dict[str, Card]:
    """Cards of one domain by layout: ``official`` from NAME.yaml, others from NAME.LAYOUT.yaml."""
    found = {"official": load_card(CARDS / f"{name}.yaml")}
    for path in sorted(CARDS.glob(f"{name}.*.yaml")):
        found[path.name.removeprefix(f"{name}.").removesuffix(".yaml")] = load_card(path)
    return found


def names() -> list[str]:
    """Names of the domains that have a card here."""
    return sorted(path.stem for path in CARDS.glob("*.yaml") if "." not in path.stem)


@hookimpl
def register_domains(register: Register) -> None:
    """Register each card's domain, then the phantoms."""
    for name in names():
        card = layouts(name)["official"]
        make = partial(_card_domain, name)
        register(
            Component(name, make, CardSettings, summary=card.description, paper=card.citation, licence=card.licence)
        )
    for name, summary in phantom_summaries().items():
        register(
            Component(
                name,
                partial(_phantom, name),
                PhantomSettings,
                summary=summary,
                licence="Apache-2.0, own implementation",
            )
        )


def _card_domain(name: str, config: CardSettings) -> CardDomain:
    available = layouts(name)
    if name in _MITOEM2 and config.layout in ("", "official"):
        return MitoEM2Domain(available["official"], config.folder)
    if not config.layout:
        return CardDomain(list(available.values()), config.folder)
    if config.layout not in available:
        raise UnknownNameError(f"layout of domain {name!r}", config.layout, available)
    return CardDomain(available[config.layout], config.folder)


def _phantom(name: str, config: PhantomSettings) -> PhantomDomain:
    slices = {"train": config.train_slices, "test": config.test_slices}
    return PhantomDomain(name, seed=config.seed, size=config.size, slices=slices)
