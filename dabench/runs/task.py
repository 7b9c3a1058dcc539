"""A task's data, opened: which splits a run reads, in the form that training, annotation and scoring want."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from functools import cached_property
from pathlib import Path

from dabench.data.contour import ContourAdjusted
from dabench.data.intensity import UnitVolume
from dabench.data.labels import known_slices
from dabench.data.origin import files_of
from dabench.data.resampled import ResampledLabels, ResampledVolume
from dabench.data.volumes import CachedVolume, SliceRange, open_with
from dabench.errors import ConfigError, DataError, UnknownNameError
from dabench.files.digests import digest_of
from dabench.interfaces import CropSpec, Domain, Reader, Split, StageSpec, TaskInfo, Volume
from dabench.ops.resampling import Resampling
from dabench.runs.config import RunConfig, split_task
from dabench.training.sampling import LabelledSlices, gap_slices


class TaskData:
    """Source and target of one run. Splits are opened on first use; nothing is read before it is needed."""

    def __init__(self, config: RunConfig, domains: Mapping[str, Callable[[], Domain]], readers: list[Reader]) -> None:
        """Resolve the two domain names. Raises UnknownNameError with the nearest names."""
        self.config, self._readers = config, readers
        self._code: dict[tuple[str, str], tuple[set[str], set[str]]] = {}
        self._files: dict[tuple[str, str], set[Path]] = {}
        self._test: Split | None = None
        self._test_closed = False
        prefix = "" if config.data == "real" else f"{config.data}-"
        plain = {name.removeprefix(prefix) for name in domains if name.startswith(prefix)}
        try:
            self.source, self.target = split_task(config.task, plain)
        except UnknownNameError as error:
            raise _with_the_data(error, config, domains) from None
        #: Names of both domains as they are registered.
        self.domains = (prefix + self.source, prefix + self.target)
        self._source, self._target = (domains[name]() for name in self.domains)
        own = self._source.own or self._target.own
        #: ``match`` or ``native``: whether images are brought to the source's pixel size.
        self.pixel_size = config.pixel_size if config.pixel_size != "auto" else "match" if own else "native"

    def missing(self, source: bool = True) -> list[str]:
        """Files that are not on this machine, of the target and, where a run reads it, of the source."""
        return [*(self._source.missing() if source else ()), *self._target.missing()]

    def info(self) -> TaskInfo:
        """What methods may know of the task."""
        here = [not domain.missing() for domain in (self._source, self._target)]
        opened = (self.source_train if here[0] else None, self.target_train if here[1] else None)
        neighbours = all(split.neighbours for split in opened if split is not None)
        return TaskInfo(self.config.task, self.source, self.target, neighbours, has_source=here[0])

    # ------------------------------------------------------------------------------------------------------ splits
    def _open(self, domain: Domain, split: str) -> Split:
        used, files = set[str](), set[Path]()

        def open_volume(path: Path) -> Volume:
            volume, reader = open_with(path, self._readers)
            used.add(type(reader).__module__)
            files.update((path, *files_of(volume)))
            return volume

        opened = domain.open(split, open_volume)
        if opened.labels is not None:  # images are kept as `unit` gives them: one cache of slices, not two
            opened = replace(opened, labels=CachedVolume(opened.labels))
        self._code[opened.domain, opened.name] = {type(domain).__module__}, used
        self._files[opened.domain, opened.name] = files
        return opened

    def files_of(self, split: Split) -> set[Path]:
        """Files and folders that the images and labels of a split were opened from."""
        return self._files[split.domain, split.name]

    @property
    def test_files(self) -> set[Path]:
        """Those of the target's test split, as far as it was ever opened."""
        return self._files.get((self.domains[1], "test"), set())

    def code_of(self, split: Split) -> set[str]:
        """Modules of the domain's class and of the readers that opened the files of a split."""
        domain, readers = self._code[split.domain, split.name]
        return domain | readers

    @cached_property
    def source_train(self) -> Split:
        """The labelled source."""
        split = self._open(self._source, "train")
        if split.labels is None:
            raise DataError(
                f"domain {self.source!r} has no training labels: it cannot be a source.",
                f"Adapt the other way round (--task SOURCE2{self.source}), or give it labels:  dabench data add "
                f"{self.source} --images … --labels … --replace",
            )
        return split

    @cached_property
    def target_train(self) -> Split:
        """The target's training split; its labels are for the annotation desk and the oracle alone.

        A domain without a split ``train`` is trained on its split ``unlabelled``.
        """
        splits = self._target.splits()
        alone = "unlabelled" in splits and "train" not in splits
        return self._open(self._target, "unlabelled" if alone else "train")

    @property
    def terms(self) -> tuple[str, bool]:
        """Licence of the target's images, and whether they may be handed on."""
        return self._target.licence, self._target.redistribution

    @cached_property
    def source_validation(self) -> Split | None:
        """Labelled source slices that no stage trains on: the source's test split, or None where it has none."""
        split = self._open(self._source, "test") if "test" in self._source.splits() else None
        return split if split is not None and split.labels is not None else None

    def has_test_labels(self) -> bool:
        """Whether there is anything to score: a user's own volume may have no test labels."""
        return "test" in self._target.splits() and self.target_test.labels is not None

    def unscored(self) -> str:
        """Why this run has no scores; "" where it has some."""
        if self.has_test_labels():
            return ""
        if "test" not in self._target.splits():
            return f"{self.target!r} has no test split, so there is nothing to score"
        return f"the test split of {self.target!r} has no labels, so there is nothing to score"

    @property
    def target_test(self) -> Split:
        """The target's test split. Raises DataError while a stage trains."""
        if self._test_closed:
            raise DataError("the target's test split is closed while a stage trains: it is opened to score.")
        self._test = self._test or self._open(self._target, "test")
        return self._test

    @contextmanager
    def test_closed(self) -> Iterator[None]:
        """Inside, the test split is not open, and cannot be opened here: a stage trains."""
        self._test, self._test_closed = None, True
        try:
            yield
        finally:
            self._test_closed = False

    def opened_anew(self, split: Split) -> Split:
        """The target's training split, opened once more, to be closed at once."""
        return self._open(self._target, split.name)

    # --------------------------------------------------------------------------------------------------- pixel size
    @cached_property
    def source_pixel(self) -> tuple[float, float] | None:
        """Nm (y, x) of a pixel of the source; None where neither its domain nor its files are there to say it."""
        if (voxel := self._source.voxel) is None and self._source.missing():
            return None
        _, y, x = voxel or self.source_train.voxel
        return y, x

    def resampling(self, split: Split) -> Resampling | None:
        """What brings a split to the pixels that the model sees; None where it is seen as it is stored."""
        if self.pixel_size == "native" or self.source_pixel is None:
            return None
        _, height, width = split.images.shape
        return Resampling.between((height, width), split.voxel[1:], self.source_pixel)

    def unit(self, split: Split) -> Volume:
        """A split's images as they are stored, but float32 in [0, 1], by the run's intensity rule."""
        return CachedVolume(UnitVolume(split.images, self.config.intensity, f"{split.domain} {split.name} images"))

    def seen(self, split: Split) -> Volume:
        """The same on the pixels that the model sees."""
        resampling = self.resampling(split)
        if resampling is None:
            return self.unit(split)
        stored = UnitVolume(split.images, self.config.intensity, f"{split.domain} {split.name} images")
        return CachedVolume(ResampledVolume(stored, resampling))

    def seen_labels(self, split: Split) -> Volume | None:
        """A split's labels on the pixels that the model sees; None where it has none."""
        resampling = self.resampling(split)
        if resampling is None or split.labels is None:
            return split.labels
        return CachedVolume(ResampledLabels(split.labels, resampling))

    # ------------------------------------------------------------------------------------------------- for training
    @cached_property
    def target_images(self) -> Volume:
        """The target's training images as the model sees them, float32 in [0, 1]."""
        return self.seen(self.target_train)

    def labelled(self, crops: CropSpec) -> LabelledSlices | None:
        """What feeds ``Batch.source``: the source, or for the oracle the labelled target; only slices with labels."""
        if not crops.source:
            return None
        split = self.labelled_split(crops)
        images, labels = self.seen(split), self.seen_labels(split)
        assert labels is not None
        if self.config.source_labels == "contour" and crops.labelled == "source":
            labels = CachedVolume(ContourAdjusted(images, labels))
        known = known_slices(labels)
        if len(known) == labels.shape[0]:
            return LabelledSlices(images, labels)
        ranges = (SliceRange(volume, known.start, known.stop, split.domain) for volume in (images, labels))
        return LabelledSlices(*ranges)

    def gaps(self, crops: CropSpec) -> tuple[int, int]:
        """Slices between the sections of a pair, in the labelled and in the target split; 0 without pairs."""

        def gap(split: Split, depth: int) -> int:
            return gap_slices(crops.neighbour, split.voxel[0], depth)

        labelled = self.labelled_split(crops) if crops.source else None
        known = len(known_slices(labelled.labels)) if labelled and labelled.labels is not None else 0
        target = gap(self.target_train, self.target_train.images.shape[0]) if crops.target else 0
        return gap(labelled, known) if labelled else 0, target

    def labelled_split(self, crops: CropSpec) -> Split:
        """The split behind `labelled`."""
        split = self.source_train if crops.labelled == "source" else self.target_train
        if split.labels is None:
            raise DataError(
                f"domain {split.domain!r} has no labels for its {split.name} split, and {self.config.method!r} learns "
                "from them.",
                "Take a method that needs none (dabench ls methods), or add the labels:  dabench data add "
                f"{split.domain} --images … --labels … --split {split.name} --replace",
            )
        return split

    def read_by(self, spec: StageSpec) -> list[Split]:
        """The splits that a stage reads."""
        crops = spec.crops
        labelled = [self.labelled_split(crops)] if crops.source else []
        return [*labelled, *([self.target_train] if crops.target or spec.asks else [])]

    def inputs(self, specs: Iterable[StageSpec]) -> list[tuple[Domain, Split]]:
        """All splits that stages read, each once with its domain; the test split stays closed until it is scored."""
        found = {(split.domain, split.name): split for spec in specs for split in self.read_by(spec)}
        names = dict(zip((self.source, self.target), (self._source, self._target), strict=True))
        return [(names.get(domain, self._target), split) for (domain, _), split in found.items()]

    def data_digest(self, spec: StageSpec) -> dict[str, str]:
        """Digests of all that a stage reads, for its key."""
        crops = spec.crops
        digests: dict[str, str] = {"intensity": self.config.intensity}
        if crops.source:
            split = self.labelled_split(crops)
            digests |= {"labelled": split.digest, "labels": split.label_digest}
            if crops.labelled == "source" and self.config.source_labels != "raw":
                digests["source_labels"] = self.config.source_labels
        if crops.target or spec.asks:
            digests["target"] = self.target_train.digest
        pixels = {s.name: r.target for s in self.read_by(spec) if (r := self.resampling(s)) is not None}
        return digests | ({"pixels": digest_of(pixels)} if pixels else {})


def _with_the_data(error: UnknownNameError, config: RunConfig, domains: Iterable[str]) -> ConfigError:
    """Where a task is one of real domains but phantoms were asked for, say so: a name alone would puzzle."""
    try:
        split_task(config.task, domains)
    except UnknownNameError:
        return error
    return ConfigError(f"task {config.task!r}, data {config.data!r}: {error.message} {error.mend}", "Or: --data real.")
