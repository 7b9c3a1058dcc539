"""How large a voxel is, as files say it: sizes and units of many kinds to nanometres."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from dabench.plugin import DataError

_NAMES = {
    0.1: "angstrom ångström ångstrom å",
    1e-3: "picometer picometre pm",
    1.0: "nanometer nanometre nanometers nanometres nm",
    1e3: "micrometer micrometre micrometers micrometres micron microns um µm μm \\u00b5m",
    1e6: "millimeter millimetre millimeters millimetres mm",
    1e7: "centimeter centimetre cm",
    1e9: "meter metre m",
}
#: Unit -> nanometres.
UNITS = {name: size for size, names in _NAMES.items() for name in names.split()}
#: Units by which files say that they know none.
_NO_UNIT = ("", "pixel", "pixels", "px", "voxel", "unknown", "none", "null", "a.u.", "reference frame")
#: Nanometres that a side of a voxel may have; beyond, a file has its unit wrong (NIfTI writers like millimetres).
_LEAST, _MOST = 0.01, 1e5


@dataclass(frozen=True)
class Voxel:
    """Sizes along z, y, x as found in a file: numbers, one unit for each, and where they stood.

    No ``sizes``: the file says nothing.
    """

    sizes: tuple[Any, ...] = ()
    units: tuple[str, ...] = ("nm",)
    source: str = ""

    def nanometres(self, path: Path) -> tuple[float, float, float] | None:
        """(z, y, x) in nm; None without sizes or without a unit.

        Raises:
            DataError: three sizes above 0 in a known unit were expected; names what stood there.
        """
        if not self.sizes or any(unit.strip().lower() in _NO_UNIT for unit in self.units):
            return None
        unknown = next((unit for unit in self.units if unit.strip().lower() not in UNITS), None)
        if unknown is not None:
            raise self._wrong(path, f"the unit {unknown!r} is no length that dabench knows (nm, µm, mm, angstrom …)")
        try:
            factors = [UNITS[unit.strip().lower()] for unit in self.units] * (3 // len(self.units))
            found = [float(size) * factor for size, factor in zip(self.sizes, factors, strict=True)]
        except (TypeError, ValueError, ZeroDivisionError):
            raise self._wrong(path, "expected three numbers (z, y, x)") from None
        if len(found) != 3 or not all(math.isfinite(size) and size > 0 for size in found):
            raise self._wrong(path, "expected three numbers above 0 (z, y, x)")
        if not all(_LEAST <= size <= _MOST for size in found):
            raise self._wrong(path, f"that is {max(found):g} nm a voxel, which no electron microscope makes")
        z, y, x = (float(f"{size:.6g}") for size in found)
        return z, y, x

    def _wrong(self, path: Path, why: str) -> DataError:
        shown = ", ".join(str(size) for size in self.sizes)
        return DataError(
            f"{path}: {self.source} says that a voxel is ({shown}) {'/'.join(self.units)}: {why}.",
            "Say the true size in nm, for example  --voxel 30,8,8",
        )


def scaled(voxel: Voxel, factors: Sequence[Any]) -> Voxel:
    """The same with each size multiplied; sizes that are no numbers stay, for the error that names them."""
    try:
        sizes = tuple(size * factor for size, factor in zip(voxel.sizes, factors, strict=True))
    except (TypeError, ValueError):
        return replace(voxel, sizes=(*voxel.sizes, *factors))
    return replace(voxel, sizes=sizes)


def from_attributes(attributes: Mapping[str, Any], order: Callable[[Sequence[Any]], tuple[Any, ...]]) -> Voxel:
    """What attributes of an HDF5 or zarr array say: ``element_size_um`` (Fiji, ilastik), ``resolution`` (CREMI; nm).

    All are in the order of the array's axes; ``resolution`` and ``voxel_size`` may have ``units`` beside them.
    ``order`` brings values of the array's axes to z, y, x.
    """
    if "element_size_um" in attributes:
        return Voxel(order(_listed(attributes["element_size_um"])), ("um",), "the attribute element_size_um")
    for key in ("resolution", "voxel_size"):
        if key in attributes:
            units = attributes.get("units", attributes.get("unit", "nm"))
            listed = () if isinstance(units, str | bytes) else order([as_text(unit) for unit in _listed(units)])
            return Voxel(order(_listed(attributes[key])), listed or (as_text(units),), f"the attribute {key}")
    return Voxel()


def _listed(value: Any) -> tuple[Any, ...]:
    """A list, NumPy array or single value as a tuple of plain values."""
    plain = value.tolist() if hasattr(value, "tolist") else value
    return tuple(plain) if isinstance(plain, list | tuple) else (plain,)


def as_text(value: Any) -> str:
    """An attribute as text; HDF5 keeps some as bytes."""
    return value.decode("utf-8", "replace") if isinstance(value, bytes) else str(value)
