"""Names of entries: the shortest that tell them apart, and what departs from the usual in any case."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from itertools import combinations

from dabench.files.values import canonical
from dabench.tracking.record import HERE
from dabench.tracking.translate import NO_VALUE

#: What one entry is, whatever task and seed it ran on: its values of `FIELDS`, in order.
Identity = tuple[str, ...]

#: An assignment in the tag ``options``; values may hold blanks.
_ASSIGNMENT = re.compile(r"[\w.-]+=.*?(?=\s[\w-]+\.[\w.-]+=|$)")

#: A number that is the whole value of an assignment, perhaps in quotes: ``ipl.lr="5e-4"``.
_NUMBER = re.compile(r'(?<==)"?([-+]?(?:\d+\.?\d*|\.\d+)(?:[eE][-+]?\d+)?)"?(?=\s|$)')


def _percent(value: str) -> str:
    """A share as per cent, "" for none; what is no number as it is."""
    try:
        return f"{100 * float(value):g}%" if float(value) else ""
    except ValueError:
        return value


def _share(what: str) -> Callable[[str], str]:
    return lambda value: f"{_percent(value) or 'no'} {what}"


def _rater(value: str) -> str:
    kind, _, error = value.partition(":")
    if kind == "simulated":
        rate, _, others = error.partition(" ")
        wrong = f"{_percent(rate)} wrong answers" if _percent(rate or "0") else ""
        return " ".join(part for part in (wrong, others) if part)
    return {"none": "", "self": "self-rated", "recorded": "recorded answers"}.get(value, value)


def _unless(usual: str, prefix: str = "") -> Callable[[str], str]:
    return lambda value: "" if value == usual else f"{prefix}{value}"


#: Shown wherever it is not usual: a reader has to know it, and rows that differ in it are different entries.
ALWAYS: Mapping[str, tuple[str, Callable[[str], str]]] = {
    "label": ("none", _unless("none")),
    "selector": ("last", _unless("last", "selector ")),
    "snapshots": ("1", lambda value: "" if value == "1" else f"of {value} snapshots"),
    "thresholds": ("0.5", _unless("0.5", "threshold ")),
    "source_checkpoint": ("none", _unless("none", "from ")),
    "source_free": ("false", lambda value: "source-free" if value == "true" else ""),
    "rater": ("none", _rater),
    "intensity": ("volume", _unless("volume", "intensity ")),
    "source_labels": ("raw", _unless("raw", "source labels ")),
    "weights_saw": ("none", lambda value: "" if value == "none" else f"(its weights saw: {value})"),
    "test_points": ("0", lambda value: f"+{_percent(value)} test points" if _percent(value) else ""),
}
#: Shown only where it tells two entries apart, in order of preference.
IF_NEEDED: Mapping[str, tuple[str, Callable[[str], str]]] = {
    "points": ("0", _share("points")),
    "patches": ("0", _share("patches")),
    "network": ("none", str),
    "backbone": ("none", str),
    "options": ("none", _unless("none")),
    "weak_labels": ("none", str),
    "draw": ("0", lambda value: f"draw {value}"),
    "precision": ("auto", _unless("auto")),
}
_USUAL = {"method": "?", "variant": "none"} | {k: usual for k, (usual, _) in [*ALWAYS.items(), *IF_NEEDED.items()]}
FIELDS = tuple(_USUAL)


def identity(tags: Mapping[str, str]) -> Identity:
    """The entry that a row with these tags belongs to; a tag that is not there or says nothing has its usual value."""
    seen = {name: tags.get(name, NO_VALUE) for name in _USUAL}
    return tuple(usual if seen[name] in ("", NO_VALUE) else _plain(seen[name]) for name, usual in _USUAL.items())


def _plain(value: str) -> str:
    """One form for each number: 0.0 is 0; also in assignments, which earlier versions kept as they were written."""
    try:
        return f"{float(value):g}"
    except ValueError:
        return _NUMBER.sub(lambda found: repr(canonical(float(found.group(1)))), value)


def labels(identities: Iterable[Identity]) -> dict[Identity, str]:
    """A name for each entry: method, optimizer, what is not usual, and the fewest fields that tell them apart."""
    groups: dict[str, list[Identity]] = {}
    for one in sorted(set(identities)):
        groups.setdefault(_base(dict(zip(FIELDS, one, strict=True))), []).append(one)
    return {one: label for base, members in groups.items() for one, label in _apart(base, members).items()}


def with_origins(label: str, origins: Iterable[str]) -> str:
    """The name with who ran its cells, where that is not this workspace alone."""
    names = sorted(set(origins), key=lambda name: (name != HERE, name))
    return label if names in ([], [HERE]) else f"{label} ({' + '.join(names)})"


def _base(values: Mapping[str, str]) -> str:
    parts = [values["method"], "" if values["variant"] == "none" else values["variant"]]
    return " ".join(p for p in [*parts, *(text(values[name]) for name, (_, text) in ALWAYS.items())] if p)


def _apart(base: str, members: Sequence[Identity]) -> dict[Identity, str]:
    """Names of entries that share method, optimizer and everything that is always shown."""
    texts = _texts([dict(zip(FIELDS, one, strict=True)) for one in members])
    varying = [name for name in IF_NEEDED if len({text[name] for text in texts}) > 1]
    for size in range(len(varying) + 1):
        for chosen in combinations(varying, size):
            names = [" ".join([base, *(t[name] for name in chosen if t[name])]) for t in texts]
            if len(set(names)) == len(names):
                return dict(zip(members, names, strict=True))
    return {one: f"{base} #{number}" for number, one in enumerate(members, start=1)}


def _texts(members: Sequence[Mapping[str, str]]) -> list[dict[str, str]]:
    """What `IF_NEEDED` says of each; of options only those assignments that not all have."""
    assigned = [_ASSIGNMENT.findall(one["options"]) if one["options"] != "none" else [] for one in members]
    shared = set.intersection(*(set(found) for found in assigned))
    texts = [{name: text(one[name]) for name, (_, text) in IF_NEEDED.items()} for one in members]
    for one, text, found in zip(members, texts, assigned, strict=True):
        own = [a.removeprefix(f"{one['method']}.") for a in found if a not in shared]
        text["options"] = " ".join(own)
    return texts
