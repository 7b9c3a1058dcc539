"""What is strange about the files of a run, for its plan."""

from __future__ import annotations

from collections.abc import Iterable

from dabench.data.card_domain import CardDomain
from dabench.data.doubts import doubts, image_notes
from dabench.data.user_cards import UnreadableDomain, user_domains
from dabench.errors import ConfigError
from dabench.files.workspace import Workspace
from dabench.interfaces import Domain, Split, StageSpec
from dabench.runs.task import TaskData
from dabench.tracking.environment import memory_bytes


def run_notes(task: TaskData, specs: Iterable[StageSpec], workspace: Workspace) -> list[str]:
    """All that a run's plan says of its files, and of cards that cannot be used."""
    return [note for pair in task.inputs(specs) for note in input_notes(*pair)] + card_notes(workspace)


def input_notes(domain: Domain, split: Split) -> list[str]:
    """Doubts about a split of a domain of the user's own; 16 slices are looked at. Registered domains are known.

    Raises:
        DataError: more of the images is blank or absent than the card allows.
    """
    if not domain.own or not isinstance(domain, CardDomain):
        return []
    most = domain.card.splits[split.name].blank  # type: ignore[index]
    name = f"{split.domain}, {split.name}"
    found = dict.fromkeys([*image_notes(split.images, name, most, neighbours=split.neighbours), *doubts(split)])
    return [f"{name}: {text}" for text in found]


def card_notes(workspace: Workspace) -> list[str]:
    """Cards of the workspace that cannot be used: the domains of the others can."""
    return [domain.description for domain in user_domains(workspace).values() if isinstance(domain, UnreadableDomain)]


def check_batches(specs: Iterable[StageSpec]) -> None:
    """Raises ConfigError for a stage whose crops of one update alone are more than this machine's memory."""
    memory = memory_bytes()
    for spec in specs:
        crops = spec.crops
        count = (crops.source + crops.target) * (2 if crops.neighbour else 1)
        taken = 4 * count * crops.size**2  # float32
        if taken > memory > 0:
            raise ConfigError(
                f"stage {spec.name!r}: the {count:,} crops of {crops.size} x {crops.size} pixels of one update take "
                f"{taken / 1e9:,.0f} GB, this machine has {memory / 1e9:,.0f} GB.",
                f"A smaller batch or crop:  --set {spec.method}.batch=8",
            )
