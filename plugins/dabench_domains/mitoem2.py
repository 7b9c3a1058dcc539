"""MitoEM 2.0 as it is handed out: nnU-Net folders, label names in ``dataset.json``, cases of the splits in a JSON file.

Boundary voxels (value 2) count as background: the published labels were made by drawing a contour around each
instance and giving every contour voxel that lies inside a mitochondrion back to it (MitoEM 2.0 code, contour script),
so that class 1 is the whole mitochondrion and class 2 lies between neighbours.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from dabench.plugin import Card, CardDomain, DataError, Split, Volume

#: Spellings of the file that says which case is in which split, and of its keys.
_SPLIT_FILES = ("split.json", "splits.json", "splits_final.json")
_VALIDATION = ("val", "valid", "validation")
_SUFFIX = ".nii.gz"
#: What a word in the name of a class makes of it.
_MEANING = {"ignore": 255, "mito": 1, "background": 0, "boundary": 0, "contour": 0}


class MitoEM2Domain(CardDomain):
    """A card's domain whose label values and cases are those that the files beside the volumes name."""

    def __init__(self, card: Card, folder: Path | None = None) -> None:
        """Look for the files; what is wrong with them is said when a split is opened."""
        super().__init__(card, folder)
        self._problem: DataError | None = None
        try:
            self.card = as_laid_out(self.card, self.folder)
        except DataError as error:
            self._problem = error

    def open(self, split: str, open_volume: Callable[[Path], Volume]) -> Split:
        """Open one split. Raises also DataError for a dataset.json or split file that cannot be understood."""
        if self._problem is not None:
            raise self._problem
        return super().open(split, open_volume)


def as_laid_out(card: Card, folder: Path) -> Card:
    """The card with what ``dataset.json`` and the split file say, and true instances where their folder is there.

    Raises:
        DataError: one of the files is not JSON, or does not say what it should; names the file and the value.
    """
    labels, cases = _label_values(folder / "dataset.json"), _cases(folder)
    splits = {}
    for name, part in card.splits.items():
        case = cases.get(name, _case(part.images))
        side = "Ts" if name == "test" else "Tr"
        instances = f"instances{side}/{case}{_SUFFIX}"
        splits[name] = part.model_copy(
            update={
                "images": f"images{side}/{case}_0000{_SUFFIX}",
                "labels": f"labels{side}/{case}{_SUFFIX}" if part.labels else None,
                "instances": instances if part.labels and (folder / instances).is_file() else None,
            }
        )
    return card.model_copy(update={"splits": splits, "label_values": labels or card.label_values})


def _case(file: str) -> str:
    return Path(file).name.removesuffix(_SUFFIX).removesuffix("_0000")


def _label_values(path: Path) -> dict[int, int]:
    """Stored value -> 0, 1, 255 from the names of nnU-Net v2 (name: value) or v1 (value: name); {} without a file."""
    if not path.is_file():
        return {}
    labels = _mapping(path, _read(path)).get("labels")
    found = {}
    for key, value in _mapping(path, labels).items():
        name, stored = (str(value), key) if str(key).isdigit() else (str(key), value)
        meaning = next((label for word, label in _MEANING.items() if word in name.lower()), None)
        if meaning is None or not str(stored).isdigit():
            raise DataError(f"{path}: label {key!r}: {value!r} is none of {', '.join(_MEANING)}.", _mend(path))
        found[int(stored)] = meaning
    if 1 not in found.values():
        raise DataError(f"{path}: labels {labels} name no mitochondrion.", _mend(path))
    return found


def _cases(folder: Path) -> dict[str, str]:
    """Split -> case: the first of ``train``, of ``test``, and of the validation cases (an unlabelled split)."""
    path = next((folder / name for name in _SPLIT_FILES if (folder / name).is_file()), None)
    if path is None:
        return {}
    content = _read(path)
    named = _mapping(path, content[0] if isinstance(content, list) and content else content)
    validation = next((key for key in _VALIDATION if key in named), "")
    wanted = {"train": "train", "test": "test", "unlabelled": validation}
    found = {}
    for split, key in wanted.items():
        cases = named.get(key, [])
        if not isinstance(cases, list) or not all(isinstance(case, str) for case in cases):
            raise DataError(f"{path}: {key!r} = {cases!r} is not a list of cases.", _mend(path))
        if cases:
            found[split] = _case(cases[0])
    return found


def _read(path: Path) -> Any:
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise DataError(f"{path}: not JSON: {error}.", _mend(path)) from None


def _mapping(path: Path, value: Any) -> Mapping[str, Any]:
    if not isinstance(value, Mapping):
        raise DataError(f"{path}: expected names and values, got {value!r}.", _mend(path))
    return value


def _mend(path: Path) -> str:
    return f"Get the file again, or remove it: without {path.name} the card's own values hold."
