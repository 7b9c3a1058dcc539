"""The user's own cards. One that cannot be read stops its own domain and nothing else."""

from __future__ import annotations

from typing import TYPE_CHECKING, NoReturn

from dabench.data.card import load_card
from dabench.data.card_domain import CardDomain
from dabench.data.digests import DigestCache
from dabench.errors import ConfigError
from dabench.interfaces import Domain, Split, Volume

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from dabench.files.workspace import Workspace


class UnreadableDomain(Domain):
    """Takes the place of a domain whose card is not what it should be: whatever asks for it gets the card's error."""

    own = True

    def __init__(self, error: ConfigError) -> None:
        """Keep what is wrong."""
        self.error = error
        self.description = f"cannot be used: {error.message}"

    def splits(self) -> tuple[str, ...]:
        """None."""
        return ()

    def missing(self) -> list[str]:
        """The card as it should be."""
        return [self.error.message]

    def open(self, split: str, open_volume: Callable[[Path], Volume]) -> Split:
        """Raises ConfigError, always."""
        del split, open_volume
        self.refuse()

    def refuse(self) -> NoReturn:
        """Raises ConfigError: what is wrong with the card."""
        raise self.error


def user_domains(workspace: Workspace) -> dict[str, Domain]:
    """Domains of the user's own cards, ``<workspace>/cards/*.yaml``, by name.

    Paths in these cards are absolute, or relative to the data root's folder of the domain. Hidden files are no cards.
    A card that cannot be read has the name of its file; two cards of one name are both left out for an
    `UnreadableDomain` that names them.
    """
    found: dict[str, Domain] = {}
    seen: dict[str, Path] = {}
    digests = DigestCache(workspace.root / "cache" / "digests.json")
    for path in sorted(workspace.cards.glob("[!.]*.yaml")):
        try:
            card = load_card(path)
        except ConfigError as error:
            found.setdefault(path.stem, UnreadableDomain(error))
            continue
        if card.name in seen:
            found[card.name] = UnreadableDomain(
                ConfigError(
                    f"{path}: domain {card.name!r} is also described by {seen[card.name]}.",
                    f"Delete one of them: rm {path}",
                )
            )
            continue
        seen[card.name] = path
        found[card.name] = CardDomain(card, workspace.data / card.place, digests, own=True)
    return dict(sorted(found.items()))
