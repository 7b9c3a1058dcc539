"""Checks that need nothing but the run directory: do its files agree with one another and with the receipt?"""

from __future__ import annotations

import hashlib
from collections import Counter
from datetime import UTC, datetime, timedelta
from itertools import pairwise
from typing import Any

from dabench.checking.paths import OPEN, folder_of, kept_files, outside
from dabench.checking.report import TEST_OPENED, Findings
from dabench.checking.run_files import RunFiles, differences, same_input
from dabench.files.digests import digest_file
from dabench.runs.config import RunConfig, origin_of
from dabench.tracking import environment as env
from dabench.tracking.events import OF_TEST, UNFINISHED, CellFinished, CellStarted, Event
from dabench.tracking.journal import JOURNAL

#: Tags that repeat a setting of the run.
_SETTINGS = (
    *("method", "task", "data", "preset", "seed", "protocol"),
    *("inference", "intensity", "source_labels", "selector"),
)
#: How far clocks may be apart, and be set back during a run.
_CLOCK = timedelta(days=1)
#: Tags that a row cannot do without.
_NEEDED = _SETTINGS[:6]


def check_config(run: RunFiles, found: Findings) -> None:
    """``config.json`` names the cell, the folder is called after it, and the journal repeats every setting."""
    cell_id, origin = run.cell_id, run.origin
    if run.path.name != folder_of(cell_id, origin):
        found.problem(
            f"config.json belongs to cell {cell_id}, but the folder is named {run.path.name}: "
            "a setting was edited, or the folder was renamed"
        )
    for name, here, said in differences(run.settings, run.record.params):
        found.problem(f"{name} is {here!r} in config.json and {said!r} in the journal")
    found.note(f"the settings match the cell's name, {cell_id}")


def check_journal(run: RunFiles, found: Findings) -> None:
    """The journal is whole, tells of this cell, ends once, and scores nothing twice."""
    events, record = run.events, run.record
    if not run.journal.endswith(b"\n"):
        found.problem(f"{JOURNAL} ends in the middle of a line: it was cut off")
    others = {e.cell_id for e in events if isinstance(e, CellStarted)} - {run.cell_id}
    for other in sorted(others):
        found.problem(f"{JOURNAL} belongs to cell {other}, not to {run.cell_id}")
    last = _last_attempt(events)
    ends = [i for i, event in enumerate(last) if isinstance(event, CellFinished)]
    if ends and ends[0] != len(last) - 1:
        found.problem(f"{JOURNAL} has {len(last) - 1 - ends[0]} more events after the end of the run")
    if record.status == UNFINISHED and run.has_receipt and not any(isinstance(e, CellFinished) for e in events):
        found.problem(f"{JOURNAL} does not say how the run ended, but there is a receipt: the journal was cut off")
    for what, count in Counter(
        (s.stage, s.split, s.protocol, s.inference, s.test_points) for s in record.scores
    ).items():
        if count > 1:
            found.problem(f"{JOURNAL} has {count} scores of stage {what[0]!r} at {what[4]:.0%} of test points")
    _check_tags(run, found)
    _check_opened(run, found)
    found.note(f"{len(events)} events; the run ended with status {record.status}")


def _check_opened(run: RunFiles, found: Findings) -> None:
    """What stages opened beside their inputs is said; a file of the test split is a mark."""
    for stage in run.record.stages:
        if test := [name for name in stage.opened if name.endswith(OF_TEST)]:
            found.mark(TEST_OPENED, f"stage {stage.stage!r} opened test files during training: {', '.join(test)}")
        if others := [name for name in stage.opened if not name.endswith(OF_TEST)]:
            found.note(f"stage {stage.stage!r} opened files that are not its inputs: {', '.join(others)}")


def _last_attempt(events: list[Event]) -> list[Event]:
    starts = [i for i, event in enumerate(events) if isinstance(event, CellStarted)]
    return events[starts[-1] :]


def _check_tags(run: RunFiles, found: Findings) -> None:
    tags, expected = run.record.tags, _expected_tags(run.config, run.cell_id)
    for name in (n for n in _NEEDED if n not in tags):
        found.problem(f"tag {name!r} is missing in {JOURNAL}")
    for name in sorted(expected.keys() & tags.keys()):
        if tags[name] != expected[name]:
            found.problem(f"tag {name!r} is {tags[name]!r}; config.json says {expected[name]!r}")
    if tags.get("task") and f"{tags.get('source')}2{tags.get('target')}" != tags["task"]:
        found.problem(f"tags 'source' and 'target' ({tags.get('source')}, {tags.get('target')}) are not the task's")
    for name in ("points", "patches"):
        asked = getattr(run.config.budget, name)
        if asked is not None and tags.get(name, "0.0") not in ("0.0", str(asked)):
            found.problem(f"tag {name!r} is {tags[name]}; config.json says {asked}")


def _expected_tags(config: RunConfig, cell_id: str) -> dict[str, str]:
    """What tags have to say whatever the method is; of what is ``auto`` they say what came of it."""
    tags = {name: str(value) for name in _SETTINGS if (value := getattr(config, name)) != "auto"}
    tags |= {"cell_id": cell_id, "config_hash": cell_id.rsplit("-", 1)[-1]}
    tags |= {"data": origin_of(config.data, config.task), "source_checkpoint": config.source_checkpoint or "none"}
    return tags | {name: str(value) for name, value in config.settings.items()}


def check_receipt(run: RunFiles, found: Findings) -> None:
    """The receipt is this cell's, and names the journal, the inputs and the stages that the journal tells of."""
    receipt, record = run.receipt, run.record
    if receipt.cell_id != run.cell_id:
        found.problem(f"the receipt belongs to cell {receipt.cell_id}, config.json to cell {run.cell_id}")
    _check_journal_digest(run, found)
    inputs = [same_input(a, b) for a, b in zip(receipt.inputs, record.inputs, strict=False)]
    if len(receipt.inputs) != len(record.inputs) or not all(inputs):
        found.problem("the receipt and the journal list different inputs")
    if record.scores and not any(i.context == "target test" for i in receipt.inputs):
        found.problem("the run was scored, but its inputs do not include a test split of the target")
    pretrained = "+".join(digest or f"hub:{name}" for name, digest in sorted(receipt.pretrained.items()))
    read = "+".join(entry.digest[:8] for entry in receipt.inputs)
    for tag, value in (("weights_digest", pretrained or "none"), ("data_digest", read or "none")):
        if record.tags.get(tag, value) != value:
            found.problem(f"tag {tag!r} is {record.tags[tag]!r}; the receipt says {value!r}")
    said = {s.stage: s.key for s in record.stages}
    keys = {name: stage.key for name, stage in receipt.stages.items()}
    planned = [e.stages for e in run.events if isinstance(e, CellStarted)][-1]
    for stage in sorted({*said, *keys, *planned}):
        if stage not in keys or stage not in said or stage not in planned:
            found.problem(f"stage {stage!r} must be in the journal's plan, in its finished stages and in the receipt")
        elif said[stage] != keys[stage]:
            found.problem(f"stage {stage!r} has the key {said[stage]} in the journal and {keys[stage]} in the receipt")
    found.note(f"version {receipt.version}, {len(receipt.inputs)} inputs, {len(keys)} stages")


def _check_journal_digest(run: RunFiles, found: Findings) -> None:
    """The journal up to the receipt is what the receipt saw; after it comes the run's end and nothing else."""
    entry, data = run.receipt.journal, run.journal
    if entry is None:
        found.skip("a receipt of version 1 has no digest of the journal")
        return
    if len(data) < entry.bytes:
        found.problem(f"{JOURNAL} has {len(data)} bytes, but {entry.bytes} in the receipt: it was cut off")
    elif hashlib.sha256(data[: entry.bytes]).hexdigest() != entry.sha256:
        found.problem(f"{JOURNAL} was edited: the digest of its first {entry.bytes} bytes differs from the receipt's")
    elif data[entry.bytes :].count(b"\n") != 1:
        found.problem(f"{JOURNAL}: only the end of the run may follow the receipt, but there are other lines")


def check_files(run: RunFiles, found: Findings) -> None:
    """Every file of the receipt is there and unchanged, and there is no other."""
    outputs = run.receipt.outputs
    present = {inside.as_posix(): run.path / inside for inside in kept_files(run.path)}
    for name, digest in sorted(outputs.items()):
        if reason := outside(name):
            found.problem(f"the receipt names the file {name!r}, which {reason}")
        elif name not in present:
            found.problem(f"{name} is missing")
        elif present[name].is_file() and not present[name].is_symlink() and digest_file(present[name]) != digest:
            found.problem(f"{name} was edited: its digest differs from the receipt's")
    for name, path in present.items():
        if path.is_symlink() or not path.is_file():
            found.problem(f"{name} is not a regular file (it may be a link)")
        elif name not in outputs and name not in OPEN:
            found.problem(f"{name} is not in the receipt: it was added")
    for name in ("config.json", "environment.json"):
        if name not in outputs:
            found.problem(f"{name} is not in the receipt")
    found.note(f"{len(outputs)} files match the receipt")


def check_environment(run: RunFiles, found: Findings) -> None:
    """The journal's tags name the environment and the commit of ``environment.json``."""
    tags, environment = run.record.tags, run.environment
    git: Any = environment.get("git", {})
    commit = git.get("commit", "unknown") if isinstance(git, dict) else git
    for name, value in (("env_digest", env.digest(environment)), ("git_commit", commit)):
        if tags.get(name, value) != value:
            found.problem(f"tag {name!r} differs from environment.json")
    _check_device(run, found)
    if (said := tags.get("dabench_version", "")) != run.receipt.dabench_version and run.receipt.version > 1:
        found.problem(f"tag 'dabench_version' is {said!r}; the receipt says {run.receipt.dabench_version!r}")
    about = f"Python {environment.get('python', 'unknown')}, commit {str(commit)[:10]}"
    found.note(f"{about}; versions, commit and device are as reported by the run and cannot be checked")


def _check_device(run: RunFiles, found: Findings) -> None:
    """The device is one that the settings allow and the environment has."""
    device, asked = run.record.tags.get("device", "").partition(":")[0], run.config.device.partition(":")[0]
    if asked not in ("auto", device):
        found.problem(f"tag 'device' is {device!r}; config.json says {asked!r}")
    torch = run.environment.get("torch")
    if device == "cuda" and isinstance(torch, dict) and not torch.get("gpus"):
        found.problem("tag 'device' is 'cuda'; environment.json has no GPU")


def check_times(run: RunFiles, found: Findings) -> None:
    """Training seconds and peak memory of the run are those of its stages."""
    costs, stages = run.record.costs, run.record.stages
    seconds, peak = sum(s.seconds for s in stages), max((s.peak_memory_bytes for s in stages), default=0)
    for name, said, value in (
        ("train_seconds", costs.train_seconds, seconds),
        ("peak_memory_bytes", costs.peak_memory_bytes, float(peak)),
    ):
        if said is None or not abs(said - value) <= 1e-6 * max(1.0, abs(value)):
            found.problem(f"{name} is {said} at the end of the journal, but {value} according to its stages")
    _check_dates(run, found)
    found.note(f"{seconds:.0f} s of training in {len(stages)} stages; dates are as reported by the run")


def _check_dates(run: RunFiles, found: Findings) -> None:
    """Events follow one another, and none is of the future."""
    try:
        times = [datetime.fromisoformat(event.time) for event in _last_attempt(run.events)]
        if any(later < earlier - _CLOCK for earlier, later in pairwise(times)):
            found.problem(f"{JOURNAL}: an event is dated earlier than the event before it")
        if max(times) > datetime.now(UTC) + _CLOCK:
            found.problem(f"{JOURNAL}: an event is dated in the future, {max(times).isoformat()}")
    except (ValueError, TypeError) as error:
        found.problem(f"{JOURNAL}: an event has no valid time: {error}")
