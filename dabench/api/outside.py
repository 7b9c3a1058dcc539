"""Predictions of a tool that dabench does not run, scored here as a row beside its own."""

from __future__ import annotations

import math
import shutil
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, Literal

import numpy as np
import tifffile
from pydantic import Field, ValidationError, field_validator

from dabench import __version__
from dabench.api.evaluation import prediction_of
from dabench.checking.paths import folder_of, is_origin
from dabench.components.registry import Registry
from dabench.data.volumes import open_volume
from dabench.errors import ConfigError, DataError, UnknownNameError
from dabench.evaluation import foreground
from dabench.evaluation.panels import write_comparison, write_slices
from dabench.evaluation.scoring import Report, evaluate_slices, truth_volume, write_rows
from dabench.files.atomic import atomic, write_json
from dabench.files.digests import digest_of
from dabench.files.problems import problems
from dabench.files.values import StrictModel
from dabench.files.workspace import Workspace
from dabench.files.yaml import read_yaml
from dabench.interfaces import Domain, EvaluationProtocol, Split, Volume
from dabench.runs.config import RunConfig, validate_config
from dabench.runs.domains import known_domains
from dabench.runs.keys import scoring_source
from dabench.runs.task import TaskData
from dabench.tracking import environment as env
from dabench.tracking.events import CellFinished, CellStarted, InputData, Scored
from dabench.tracking.journal import Journal
from dabench.tracking.record import ORIGIN, RunRecord
from dabench.tracking.run_reader import read_run
from dabench.tracking.scores import SCORES, csv_name, slice_rows, split_rows, write_scores
from dabench.types import Array

#: What a run of an outside tool has in place of a stage.
_STAGE = "outside"
_UNKNOWN = "unknown"


class Statement(StrictModel):
    """What is known of an outside tool: a YAML file that its user writes."""

    tool: str = Field(pattern=r"^[a-z0-9][a-z0-9_-]{0,38}$", description="Name of the tool, used as name of the row.")
    version: str = Field(
        pattern=r"^[A-Za-z0-9]([A-Za-z0-9._-]{0,38}[A-Za-z0-9])?$", description="Version of the tool or of its weights."
    )
    trained_on: str = Field(min_length=1, description="Its training data, in words.")
    saw: tuple[str, ...] | Literal["unknown"] = Field(
        "unknown", description="Domains of dabench that are among its training data ([] for none), or unknown."
    )
    how: str = Field("", description="How it was run: settings, what was clicked, what was cut.")
    source: str = Field("", description="Where to get it.")

    @field_validator("tool")
    @classmethod
    def _an_origin(cls, value: str) -> str:
        if not is_origin(value):
            raise ValueError("choose another name")
        return value


@dataclass(frozen=True)
class OutsideRow:
    """How a row of an outside tool is told apart, and which boards it stands on.

    ``suite`` puts it into the table of a suite.
    """

    tasks: Sequence[str]
    data: str = "real"
    preset: str = "small"
    protocol: str = "das-2d@1"
    inference: str = "hann"
    suite: str = ""


@dataclass(frozen=True)
class Reading:
    """What values of the prediction mean, as in `dabench.evaluate`."""

    threshold: float | None = None
    predicted: str = "auto"
    values: Mapping[int, int] | None = None


def read_statement(path: Path) -> Statement:
    """A tool's statement. Raises ConfigError for a file that is none, naming the key."""
    try:
        return Statement.model_validate(read_yaml(path))
    except ValidationError as error:
        raise ConfigError("\n".join(f"{path}: {line}" for line in problems(error, Statement))) from None


def import_predictions(
    path: Path,
    statement: Statement,
    row: OutsideRow,
    workspace: Workspace,
    registry: Registry,
    reading: Reading | None = None,
) -> list[RunRecord]:
    """Score a stack of predictions of a target's test split, and keep it as a run of each task.

    A tool whose training data hold the target, or may hold it, is shown and never ranked.

    Args:
        path: a stack of the test split's shape: masks, or probabilities.
        statement: of the tool.
        row: the tasks, all with one target, and the boards.
        workspace: where the runs go, as ``<cell_id>@<tool>``; an earlier import of the same version is replaced.
        registry: of readers, domains and protocols.
        reading: what the values mean, where it does not follow from them.

    Raises:
        ConfigError: tasks of several targets, a target without test labels, or values that can mean several things.
        UnknownNameError: no such domain or protocol.
        DataError: the stack has another shape, fewer slices, NaN, or values that are no probabilities.
    """
    domains = known_domains(registry, workspace)
    openers = {name: partial(_same, domain) for name, domain in domains.items()}
    readers = registry.made("reader")
    tasks = [TaskData(_config(statement, row, task), openers, readers) for task in row.tasks]
    first = tasks[0]
    if any(task.target != first.target for task in tasks):
        raise ConfigError(
            f"--task {','.join(row.tasks)}: one prediction has one target.", "Give tasks with the same target."
        )
    saw = seen_of_target(statement, first.target, domains)
    if missing := first.missing(source=False):
        raise DataError(f"files of {first.target!r} are not here: {missing[0]}", "Where to get them: dabench data ls")
    if not first.has_test_labels():
        raise ConfigError(f"{first.unscored()}.")
    outside = _Outside(statement, saw, row.suite, registry, open_volume(path, readers), str(path), reading or Reading())
    outside.check(first.target_test)
    workspace.runs.mkdir(parents=True, exist_ok=True)
    with TemporaryDirectory(prefix=".outside-", dir=workspace.runs) as folder:
        made = [outside.write(Path(folder) / folder_of(t.config.cell_id, statement.tool), t) for t in tasks]
        return [read_run(_placed(one, workspace.runs)) for one in made]


def seen_of_target(statement: Statement, target: str, domains: Iterable[str]) -> str:
    """``TOOL: TARGET`` or ``TOOL: unknown`` where the tool saw the target or may have; "" where it did not.

    Another name of the same tissue counts: who saw ``lucchi++`` saw ``lucchi``.

    Raises:
        UnknownNameError: the statement names a domain that is not known.
    """
    if statement.saw == _UNKNOWN:
        return f"{statement.tool}: {_UNKNOWN}"
    known = set(domains)
    for name in statement.saw:
        if name not in known:
            raise UnknownNameError("domain", name, known)
    overlapping = [name for name in statement.saw if _tissue(name) == _tissue(target)]
    return f"{statement.tool}: {', '.join(overlapping)}" if overlapping else ""


def _tissue(domain: str) -> str:
    """The name without what tells apart versions of its labels and parts of its volume."""
    return domain.removeprefix("phantom-").partition("-")[0].rstrip("+")


def _config(statement: Statement, row: OutsideRow, task: str) -> RunConfig:
    kept = {"data": row.data, "preset": row.preset, "protocol": row.protocol, "inference": row.inference}
    values = {"method": statement.tool, "label": statement.version, "task": task, "guard": "off", **kept}
    return validate_config({**values, "pixel_size": "native", "budget": {"points": 0.0}})


def _same(domain: Domain) -> Domain:
    return domain


def _placed(folder: Path, runs: Path) -> Path:
    """The finished folder among the runs, in place of an earlier import."""
    place = runs / folder.name
    shutil.rmtree(place, ignore_errors=True)
    return folder.rename(place)


@dataclass(frozen=True)
class _Outside:
    """A tool's prediction with all that its runs say."""

    statement: Statement
    saw: str
    suite: str
    registry: Registry
    stack: Volume
    name: str
    reading: Reading

    def check(self, split: Split) -> None:
        """Raises DataError for a stack that is not of the split."""
        found, wanted = self.stack.shape, split.images.shape
        if found[1:] != wanted[1:]:
            raise DataError(
                f"{self.name}: slices of {found[1]} x {found[2]} pixels, but the test split of {split.domain} "
                f"has {wanted[1]} x {wanted[2]}.",
                "Resample the prediction to the stored pixels; dabench does not do it.",
            )
        if found[0] != wanted[0]:
            raise DataError(
                f"{self.name}: {found[0]} slices, but the test split of {split.domain} has {wanted[0]}.",
                "Predict every slice. A slice without objects is a slice of zeros.",
            )
        if self.stack.dtype.kind not in "buif":
            raise DataError(f"{self.name}: values of type {self.stack.dtype}; a mask or probabilities are needed.")

    def write(self, folder: Path, task: TaskData) -> Path:
        """One run directory: journal, scores, prediction and pictures."""
        config, split = task.config, task.target_test
        folder.mkdir()
        prediction = folder / "predictions" / "target_test.tif"
        report = self._scored(prediction, split, config.protocol)
        metrics = {name: value for name, value in report.metrics.items() if not math.isnan(value)}
        scored = Scored(_STAGE, "test", config.protocol, config.inference, 0.0, metrics, report.n, report.left_out)
        rows, environment = report.rows(), env.capture()
        write_json(folder / "config.json", config.on_record())
        write_json(folder / "environment.json", environment)
        write_json(folder / ORIGIN, {"origin": self.statement.tool})
        write_scores(folder / SCORES, [*split_rows(config.cell_id, scored), *slice_rows(config.cell_id, scored, rows)])
        write_rows(folder / csv_name(scored), rows)
        images = task.unit(split)
        write_comparison(
            folder / "panels", images, split.labels, {self.statement.tool: prediction}, {self.statement.tool: rows}
        )
        write_slices(folder / "panels" / "last", images, split.labels, prediction, rows)
        digest = digest_of([split.digest, split.label_digest])
        tags = self._tags(task) | {"data_digest": digest[:8]}
        tags |= {"git_commit": environment.get("git", {}).get("commit", _UNKNOWN)}
        tags |= {"scoring_digest": scoring_source(self.registry, task, config.protocol)[:16]}
        params = {**config.on_record(), "statement": self.statement.model_dump(mode="json")}
        journal = Journal(folder)
        inputs = (InputData(f"{split.domain}/{split.name}", digest, "target test", config.data),)
        journal.append(CellStarted(config.cell_id, tags, params, inputs, (_STAGE,)))
        journal.append(scored)
        journal.append(CellFinished("ok"))
        return folder

    def _scored(self, path: Path, split: Split, protocol: str) -> Report:
        """Score slice by slice, and write the masks that were scored."""
        component = self.registry.get("protocol", protocol).component
        rule: EvaluationProtocol = component.factory(component.config())
        use = self.reading
        ids, _, stack = prediction_of(use.predicted, use.values, rule, self.stack, self.name, use.threshold)
        truth = truth_volume(split, rule)

        def slices(writer: tifffile.TiffWriter) -> Iterator[tuple[int, Array, Array]]:
            for z in range(stack.shape[0]):
                seen = stack.read(z) if ids else foreground(stack.read(z), z, use.threshold)
                mask = np.where(seen != 0, np.uint8(255), np.uint8(0))
                writer.write(mask, compression="zlib", contiguous=False, metadata=None)
                yield z, seen, truth.read(z)

        with atomic(path) as part, tifffile.TiffWriter(part) as writer:
            return evaluate_slices(slices(writer), rule, protocol)

    def _tags(self, task: TaskData) -> dict[str, Any]:
        """Identifying tags: what a run of dabench says of itself, as far as it means anything here."""
        config, said = task.config, self.statement
        none = ("variant", "po", "bracket", "backbone", "options", "weak_labels", "rater", "source_checkpoint")
        same = ("method", "label", "task", "data", "preset", "seed", "protocol", "inference", "intensity")
        return {
            **dict.fromkeys(none, "none"),
            **{name: getattr(config, name) for name in same},
            "cell_id": config.cell_id,
            "suite": self.suite or "adhoc",
            "row": f"{said.tool} {said.version} (outside)",
            "source": task.source,
            "target": task.target,
            "network": _STAGE,
            "outside": said.trained_on,
            "pixel_size": "native",
            "points": 0.0,
            "patches": 0.0,
            "dabench_version": __version__,
            **({"weights_saw": self.saw} if self.saw else {}),
        }
