"""What was understood of the files of a split: slices, pixel type, axes, voxel size, values."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from dabench.data.blocks import layout_of, provenance_of, voxel_of
from dabench.data.card_domain import CardDomain
from dabench.data.labels import known_slices
from dabench.errors import DataError
from dabench.files.printable import printable
from dabench.interfaces.choice import split_choice

if TYPE_CHECKING:
    from collections.abc import Callable

    from dabench.interfaces import Domain, Split, Volume

#: Slices that are looked at for the values.
_LOOKED_AT = 5


def look(domain: Domain, opened: Split, open_volume: Callable[[Path], Volume]) -> dict[str, dict[str, Any]]:
    """What is said of the images and the labels of an opened split, as plain values.

    Returns:
        ``images`` and, where there are any, ``labels``: ``slices``, ``of`` (slices in the file; where it has more),
        ``rows``, ``columns``, ``type``, ``axes`` (in words), ``voxel_nm`` (what the file says, or None), ``values``
        (least and greatest of some slices, as they are stored; labels as they are meant); of a file of dabench's own
        ``provenance``; with a card ``stored``: the file, the array in it and the series or channel that is meant.
    """
    found = {}
    if opened.labels is not None:
        found["labels"] = _facts(opened.labels, known_slices(opened.labels))
    if not isinstance(domain, CardDomain):
        return {"images": _facts(opened.images, range(opened.images.shape[0])), **found}
    part = domain.card.splits[opened.name]  # type: ignore[index]
    stored = open_volume(domain.folder / part.images)
    first, last = part.slices or (0, stored.shape[0])
    images = _facts(stored, range(first, last)) | {"stored": _place(domain, part.images, stored)}
    if part.labels is not None and found:
        found["labels"]["stored"] = _place(domain, part.labels, open_volume(domain.folder / part.labels))
    return {"images": images, **found}


def _place(domain: CardDomain, said: str, volume: Volume) -> str:
    """The array that a path of a card means, as a path that names it: ``scan.h5/volumes/raw``, ``a.tif/series=1``."""
    plain, choice = split_choice(domain.folder / said)
    while (inner := getattr(volume, "volume", None)) is not None:
        volume = inner
    # Readers keep this to themselves: their code is in the key of every stage that reads a file.
    path = Path(getattr(volume, "_path", plain))
    shown = path.relative_to(domain.folder) if path.is_relative_to(domain.folder) else path
    return str(shown / str(choice) if choice else shown)


def words(facts: dict[str, Any]) -> str:
    """The same in one line."""
    low, high = facts["values"]
    of = f" (of {facts['of']})" if "of" in facts else ""
    voxel = facts["voxel_nm"]
    said = f"the file says {', '.join(f'{size:g}' for size in voxel)} nm" if isinstance(voxel, list) else voxel
    noted = facts.get("provenance", {})
    said_by = f"; made by dabench {noted.get('dabench_version', '')} with {noted.get('model', '')}" if noted else ""
    made = printable(said_by).replace("\n", " ")[:200]
    stored = f"{printable(facts['stored'])}: " if "stored" in facts else ""
    return (
        f"{stored}{facts['slices']}{of} slices of {facts['rows']} x {facts['columns']}, "
        f"{facts['type']} {low:g} to {high:g}; axes {facts['axes']}; {said or 'no voxel size in the file'}{made}"
    )


def _facts(volume: Volume, slices: range) -> dict[str, Any]:
    depth, rows, columns = volume.shape
    chosen = np.unique(np.linspace(slices[0], slices[-1], min(len(slices), _LOOKED_AT)).round().astype(int))
    seen = [volume.read(int(z)) for z in chosen]
    try:
        said = voxel_of(volume)
        voxel: list[float] | str | None = None if said is None else list(said)
    except DataError as error:  # the card's holds
        voxel = error.message
    return {
        "slices": len(slices),
        **({} if len(slices) == depth else {"of": depth}),
        "rows": rows,
        "columns": columns,
        "type": str(volume.dtype),
        "axes": layout_of(volume),
        "voxel_nm": voxel,
        **({"provenance": dict(noted)} if (noted := provenance_of(volume)) else {}),
        "values": [min(float(z.min()) for z in seen), max(float(z.max()) for z in seen)],
    }
