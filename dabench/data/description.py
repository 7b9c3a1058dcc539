"""What a domain is, as plain values for a listing."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from dabench.data.card_domain import CardDomain

if TYPE_CHECKING:
    from dabench.interfaces import Domain

_OF_CARD = {"voxel", "label_kind", "neighbours", "licence", "citation", "source"}


def listed(name: str, domain: Domain) -> dict[str, Any]:
    """Name, description, splits, the files that are missing, and whether its images may be handed on."""
    return {
        "name": name,
        "description": domain.description,
        "splits": list(domain.splits()),
        "missing": domain.missing(),
        "redistribution": domain.redistribution,
    }


def described(name: str, domain: Domain) -> dict[str, Any]:
    """The same and, of a domain with a card, where its files lie and what the card says of them."""
    if not isinstance(domain, CardDomain):
        return listed(name, domain)
    card = domain.card.model_dump(mode="json", include=_OF_CARD)
    return listed(name, domain) | {"folder": str(domain.folder), **card}
