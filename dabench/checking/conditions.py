"""In what a run that is made again here differs from the recorded one: code, versions, data, machine."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from dabench.checking.plugins import plugins_of
from dabench.checking.run_files import RunFiles
from dabench.components.registry import Registry
from dabench.runs import events
from dabench.runs.plan import Plan
from dabench.runs.plugins_used import plugins_used

#: What a difference is of. Other data make another result; the others may, by a little.
CODE, VERSION, DATA, MACHINE = "code", "version", "data", "machine"
#: Characters of a digest that are shown.
_SHOWN = 12


@dataclass(frozen=True)
class Difference:
    """One difference: its kind, of what, as recorded and as it is here."""

    kind: str
    what: str
    recorded: str
    here: str

    def __str__(self) -> str:
        """In words, for a person."""
        return f"{self.kind}: {self.what} was {self.recorded or 'not recorded'}, here {self.here or 'none'}"


def differences(
    run: RunFiles, plan: Plan, registry: Registry, environment: Mapping[str, Any], device: str
) -> tuple[Difference, ...]:
    """All that differs; () means that the run made here is the recorded one bit for bit, on a CPU.

    Args:
        run: the recorded run, finished.
        plan: of the same settings, here.
        registry: what is installed here.
        environment: of this process (`dabench.tracking.environment`).
        device: that will train here.
    """
    found = [*_code(run, plan, registry), *_versions(run, environment), *_data(run, plan)]
    found += _machine(run, environment, device, plan, registry)
    keys = {stage.spec.name: stage.key for stage in plan.stages}
    recorded = {name: stage.key for name, stage in run.receipt.stages.items()}
    if not found and keys != recorded:  # made of code, data, torch, threads and settings
        first = next(name for name in {**recorded, **keys} if recorded.get(name) != keys.get(name))
        found.append(Difference(CODE, f"the key of stage {first}", recorded.get(first, ""), keys.get(first, "")))
    return tuple(found)


def _code(run: RunFiles, plan: Plan, registry: Registry) -> Iterator[Difference]:
    """Plugins by their code, which counts what they import of dabench, and by their versions."""
    recorded = {used.name: used for used in plugins_of(run.record)}
    for used in plugins_used(plan, registry):
        if (then := recorded.get(used.name)) is None:
            continue
        if then.source != used.source:
            yield Difference(CODE, f"plugin {used.name}", then.source[:_SHOWN], used.source[:_SHOWN])
        if then.version != used.version:
            yield Difference(VERSION, used.distribution, then.version, used.version)
    scoring = str(events.started(plan, registry, {}, "").tags["scoring_digest"])
    if (said := run.record.tags.get("scoring_digest", scoring)) != scoring:
        yield Difference(CODE, "code of prediction and scoring", said[:_SHOWN], scoring[:_SHOWN])


def _versions(run: RunFiles, environment: Mapping[str, Any]) -> Iterator[Difference]:
    """Python and the packages that dabench needs."""
    then, now = ({"python": e.get("python", ""), **(e.get("packages") or {})} for e in (run.environment, environment))
    for name in sorted(then.keys() | now.keys()):
        if then.get(name, "") != now.get(name, ""):
            yield Difference(VERSION, name, str(then.get(name, "")), str(now.get(name, "")))


def _data(run: RunFiles, plan: Plan) -> Iterator[Difference]:
    """The splits that both read, and the weights that both begin with."""
    here = {entry.name: entry.digest for entry in events.inputs_of(plan)}
    then = {entry.name: entry.digest for entry in run.receipt.inputs}
    for name, digest in then.items():
        if here.get(name, "") != digest:
            yield Difference(DATA, name, digest[:_SHOWN], here.get(name, "")[:_SHOWN])
    for name, digest in run.receipt.pretrained.items():
        if plan.weights.get(name, "") != digest:
            yield Difference(DATA, f"weights {name}", digest[:_SHOWN], plan.weights.get(name, "")[:_SHOWN])


def _machine(
    run: RunFiles, environment: Mapping[str, Any], device: str, plan: Plan, registry: Registry
) -> Iterator[Difference]:
    """Processor, device, threads and precision."""
    then, now = run.environment, environment
    torch_then, torch_now = then.get("torch") or {}, now.get("torch") or {}
    tags = run.record.tags
    precision = str(events.started(plan, registry, {}, device).tags["trained_in"])
    pairs = [
        ("processor", then.get("cpu"), now.get("cpu")),
        ("instructions", torch_then.get("cpu_capability"), torch_now.get("cpu_capability")),
        ("threads", torch_then.get("threads"), torch_now.get("threads")),
        ("device", tags.get("device", "").partition(":")[0], device.partition(":")[0]),
        ("precision", tags.get("trained_in"), precision),
    ]
    if device != "cpu":
        pairs += [(name, torch_then.get(name), torch_now.get(name)) for name in ("cuda", "cudnn", "gpus")]
    for what, recorded, here in pairs:
        if recorded is not None and recorded != here:
            yield Difference(MACHINE, what, str(recorded), str(here))
