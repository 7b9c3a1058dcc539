"""Checks of a run against what its settings give here: the chain of stages, their keys, tags, and the stage cache."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime

import torch

from dabench.checking.references import References, first_line
from dabench.checking.report import OTHER_CODE, OTHER_MACHINE, Findings
from dabench.checking.run_files import RunFiles
from dabench.errors import DabenchError
from dabench.files.digests import digest_file, digest_of
from dabench.runs import events
from dabench.runs.device import pick_device, resolved_precision
from dabench.runs.keys import stage_source
from dabench.runs.plan import Plan
from dabench.tracking.events import StageFinished
from dabench.training.store import StageFolder

#: Tags that say where, by which version and of which data a run was made, which is not what this machine would say.
#: The tag of the data is held against the receipt, whose inputs are held against the data here.
_ELSEWHERE = (
    "data_digest", "device", "trained_in", "plugin_versions", "dabench_version", "status", "suite", "git_commit",
    "env_digest", "scoring_digest",
)  # fmt: skip
#: Seconds that the clock of a file system may be behind.
_LATE = 2.0


def check_stages(run: RunFiles, here: References, found: Findings) -> None:
    """The stage cache holds what the run says of its stages; the settings give the same chain, keys and tags here."""
    said = {stage.stage: stage for stage in run.record.stages}
    for name, stage in run.receipt.stages.items():
        folder = here.stage(run.path, stage.key)
        if folder is None:
            found.skip(f"the weights of stage {name!r} are not on this machine")
        elif digest_file(folder.weights) != stage.weights:
            found.problem(f"stage {name!r}: the weights in the cache differ from the receipt's")
        else:
            found.note(f"the weights of stage {name!r} match the cache")
            if name in said:
                _check_record(said[name], folder, found)
    try:
        plan = planned_here(run, here)
    except DabenchError as error:
        found.skip(f"tags cannot be compared: {first_line(error)}")
        return
    _check_plan(run, plan, here, found)


def planned_here(run: RunFiles, here: References) -> Plan:
    """What this dabench would run for the settings of a run, with its threads. Raises DabenchError."""
    said = run.environment.get("torch")
    threads = said.get("threads") if isinstance(said, dict) else None
    return here.plan(run.config, threads if isinstance(threads, int) and threads > 0 else None)


def _check_record(said: StageFinished, folder: StageFolder, found: Findings) -> None:
    """Time, memory and updates are those of the cache, unless the stage was trained again since."""
    record = folder.record()
    if record is None or (folder.path / "stage.json").stat().st_mtime > _seconds(said.time) + _LATE:
        found.skip(f"time and memory of stage {said.stage!r}: its cache is newer than the run")
        return
    for name in ("updates", "seconds", "peak_memory_bytes"):
        journal, cache = getattr(said, name), getattr(record, name)
        if journal != cache:
            found.problem(f"stage {said.stage!r} has {name} {journal} in the journal, {cache} in the cache")


def _seconds(time: str) -> float:
    """An event's time in seconds since 1970; 0 for one that is none, which comes before everything."""
    try:
        return datetime.fromisoformat(time).timestamp()
    except ValueError:
        return 0.0


def _check_plan(run: RunFiles, plan: Plan, here: References, found: Findings) -> None:
    """The same code on the same data gives the same chain, keys and tags; of another run only that is said."""
    keys = {s.spec.name: s.key for s in plan.stages}
    said = {name: stage.key for name, stage in run.receipt.stages.items()}
    if keys != said:
        if reason := _other_content(run, plan, here):
            found.skip(f"keys and tags cannot be compared: {reason}")
            return
        if strange := list(made_otherwise(run, plan)):
            for state, text in strange:
                found.mark(state, f"{text}: keys and tags cannot be compared; dabench rerun trains the cell again here")
            return
        _check_keys(keys, {stage.stage: stage.key for stage in run.record.stages}, found)
    tags = run.record.tags
    expected = events.started(plan, here.registry, run.environment, tags.get("device", "")).tags
    for name in sorted((expected.keys() & tags.keys()) - set(_ELSEWHERE)):
        if tags[name] != str(expected[name]):
            found.problem(f"tag {name!r} is {tags[name]!r}; the settings give {str(expected[name])!r}")
    found.note("the settings give the same keys and tags here")


def _check_keys(keys: dict[str, str], said: dict[str, str], found: Findings) -> None:
    if list(keys) != list(said):
        chains = [" > ".join(names) or "no stage" for names in (said, keys)]
        found.problem(f"the run has the stages {chains[0]}; the settings give {chains[1]}")
    for name in (name for name in keys if name in said and keys[name] != said[name]):
        found.problem(f"stage {name!r} has the key {said[name]}; the same code gives {keys[name]} for these settings")


def _other_content(run: RunFiles, plan: Plan, here: References) -> str:
    """Why keys may differ though the code is the same; "" where nothing else than code and machine decides them."""
    splits = {f"{s.domain}/{s.name}": digest_of([s.digest, s.label_digest]) for s in here.splits(run.config)}
    if any(splits.get(entry.name, entry.digest) != entry.digest for entry in run.receipt.inputs):
        return "this machine has other data than the run used"
    if run.receipt.pretrained != plan.weights:
        return "this machine has other pretrained weights than the run used"
    return "the run starts from a user's checkpoint" if run.config.source_checkpoint else ""


def made_otherwise(run: RunFiles, plan: Plan) -> Iterator[tuple[str, str]]:
    """In what code and machine of a run are not those here, as (mark, text); nothing where keys have to be the same."""
    said, registry = run.receipt.stages, plan.assembly.registry
    shared = [s.spec for s in plan.stages if s.spec.name in said]
    other = [s.name for s in shared if said[s.name].source != stage_source(registry, plan.task, s)]
    if other or not shared:
        yield OTHER_CODE, f"trained with other code than is installed here ({', '.join(other) or 'other stages'})"
    torch_there = run.environment.get("torch")
    version = torch_there.get("version") if isinstance(torch_there, dict) else None
    if version != torch.__version__:
        yield OTHER_CODE, f"trained with torch {version}; {torch.__version__} is installed here"
    tags = run.record.tags
    for what, there, now in (
        ("device", tags.get("device", "").partition(":")[0], pick_device(run.config).type),
        ("precision", tags.get("trained_in", ""), resolved_precision(run.config)),
    ):
        if there != now:
            yield OTHER_MACHINE, f"{what} was {there or 'not recorded'}; here it is {now}"
