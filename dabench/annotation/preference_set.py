"""A preference data set: questions with the masks to choose from, and what raters answered; complete and portable.

A folder (or the same as one zip)::

    manifest.json     what the questions were made of (`Manifest`), and the digest of every file below
    questions.jsonl   one question per line: place, candidates' thresholds and digests, prompts
    masks.zip         QUESTION.png: the candidates below each other, one bit per pixel
    images.zip        QUESTION/+0.png: the patch with its surroundings, grey; -1 and +1 are the neighbouring slices
    rater-a.jsonl     one file per rater, only ever appended to (`dabench.annotation.answers`)

Example:
    >>> choices = PreferenceSet.open(Path("choices"))
    >>> question = choices.questions[0]
    >>> choices.masks(question).shape
    (4, 64, 64)
    >>> choices.append("rater-a", {"question": question.id, "shown": [2, 0, 1, 3], "answer": "choose", "chosen": [2],
    ...                            "seconds": 3.1})["n"]
    1
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Mapping
from functools import cached_property
from pathlib import Path
from typing import Annotated, Any, Literal

import numpy as np
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from dabench.annotation.answers import Answer, AnswerFile, AnswerLog, read_answers
from dabench.annotation.set_files import SetFiles, new_set, picture_zip, read_png, write_lines
from dabench.errors import ConfigError, DataError
from dabench.files.atomic import write_json
from dabench.files.digests import digest_file, digest_of
from dabench.files.printable import printable_values
from dabench.ops.choice import candidate_digests
from dabench.types import Array, Window

FORMAT, VERSION = "dabench-preferences", 1
MANIFEST, QUESTIONS, MASKS, IMAGES = "manifest.json", "questions.jsonl", "masks.zip", "images.zip"
#: What a rater is asked unless the manifest says otherwise.
ASKED = "Which outline follows the mitochondria best?"
_RATER = re.compile(r"[a-z0-9][a-z0-9._-]{0,63}")
_Digest = Annotated[str, Field(pattern=re.compile(r"^[0-9a-f]{64}$"))]


class Manifest(BaseModel):
    """What a set's questions were made of, and what is asked."""

    model_config = ConfigDict(frozen=True, extra="allow")

    format: Literal["dabench-preferences"] = "dabench-preferences"
    version: int = VERSION
    domain: str = Field("", description="Domain whose slices are shown.")
    split: str = "train"
    shape: tuple[int, int, int] = Field(
        (0, 0, 0), description="Slices, rows, columns of the split, in pixels of the questions; zeros: not known."
    )
    voxel: tuple[float, float, float] = Field((0, 0, 0), description="nm (z, y, x) of these pixels.")
    images_digest: str = Field("", description="Names the content of the split's images.")
    method: str = Field("", description="Method and stage that made the candidates.")
    model_digest: str = Field("", description="Names the weights that made the candidates.")
    stage: str = Field("", description="Key of the trained stage that made them.")
    thresholds: tuple[float, ...] = ()
    patches: float = Field(1.0, ge=0, le=1, description="Share of all patches that may be asked about.")
    seed: int = Field(0, description="Of the draw of patches.")
    draw: str = Field("random", description="Rule of the draw.")
    question: str = Field(ASKED, description="What the rater is asked.")
    licence: str = Field("", description="Of the images, from the domain's card.")
    redistribution: bool = Field(False, description="Whether the card allows to hand the images on.")
    images: bool = Field(False, description="Whether the set holds images.")
    created: str = ""
    files: dict[str, _Digest] = Field(default_factory=dict, description="Name of a file -> SHA-256 of its content.")

    @property
    def identity(self) -> str:
        """Names the questions: the same for every copy, with or without images and answers."""
        return digest_of({name: self.files.get(name, "") for name in (QUESTIONS, MASKS)})


class Question(BaseModel):
    """One patch and the candidates to choose from; `PreferenceSet.masks` and `PreferenceSet.image` have the pixels.

    Attributes:
        id: names it in answers.
        z: slice of the split, from 0.
        window: the patch.
        context: the part of the slice that the picture shows: the patch and its surroundings.
        tile: the crop that the model saw when it made the candidates; it holds the patch.
        thresholds: of each candidate; empty where they were not made by thresholds.
        digests: of each candidate's mask; no two are equal.
        prompts: (y, x) in pixels of the slice, the points given to the model with the tile.
        gold: stored indices of the right answers, where they are known.
        draw: how the patch came to be asked about, where it was not at random: "informative".
    """

    model_config = ConfigDict(frozen=True, extra="allow")

    id: str = Field(pattern=r"^[a-z0-9][a-z0-9-]{0,63}$")
    z: int = Field(ge=0)
    window: Window
    context: Window
    tile: Window
    thresholds: tuple[float, ...] = ()
    digests: tuple[_Digest, ...] = Field(min_length=1)
    prompts: tuple[tuple[float, float], ...] = ()
    gold: tuple[int, ...] | None = None
    draw: str | None = None

    def plain(self) -> dict[str, Any]:
        """A line of ``questions.jsonl``; windows as [y, x, height, width]."""
        windows = {name: _plain_window(getattr(self, name)) for name in ("window", "context", "tile")}
        return {**self.model_dump(mode="json", exclude_none=True), **windows}


def _plain_window(window: Window) -> list[int]:
    return [window.y, window.x, window.height, window.width]


class PreferenceSet:
    """An opened set. Reads pixels only when they are asked for; ``path`` is its folder or zip."""

    def __init__(self, files: SetFiles, manifest: Manifest, questions: list[Question]) -> None:
        """Use `open`."""
        self.path, self.manifest, self.questions = files.path, manifest, questions
        self._files = files
        self._by_id = {question.id: question for question in questions}
        self._logs: dict[str, AnswerLog] = {}

    # -------------------------------------------------------------------------------------------------------- opening
    @classmethod
    def open(cls, path: Path) -> PreferenceSet:
        """Open a folder or a zip.

        Raises:
            DataError: it is none, another version, or damaged; names file and line. Answers are read by `answers`.
        """
        files = SetFiles(Path(path), MANIFEST)
        manifest = _read_manifest(files)
        questions = _read_questions(files)
        if not questions:
            raise DataError(f"{files.path / QUESTIONS}: holds no question.")
        return cls(files, manifest, questions)

    @staticmethod
    def is_set(path: Path) -> bool:
        """Whether a path looks like a set: a folder with a manifest, or a zip."""
        return (path / MANIFEST).is_file() or (path.is_file() and path.suffix == ".zip")

    # --------------------------------------------------------------------------------------------------------- pixels
    def question(self, name: str) -> Question:
        """A question by its id. Raises DataError for an unknown one."""
        if name not in self._by_id:
            raise DataError(f"{self.path}: there is no question {name!r} among {len(self.questions)}.")
        return self._by_id[name]

    def masks(self, question: Question) -> Array:
        """The candidates ``(K, h, w)`` bool of a question. Raises DataError where they are missing or others."""
        where, name = f"{self.path / MASKS}, {question.id}.png", f"{question.id}.png"
        count, window = len(question.digests), question.window
        try:
            content = self._masks.read(name)
        except (KeyError, OSError) as error:
            raise DataError(f"{where}: the question's masks cannot be read: {error}") from None
        values = read_png(where, content, (count * window.height, window.width)).astype(bool)
        masks = values.reshape(count, window.height, window.width)
        if candidate_digests(masks) != question.digests:
            raise DataError(f"{where}: these are not the masks that {QUESTIONS} names.")
        return masks

    def image(self, question: Question, dz: int = 0) -> Array | None:
        """The picture of ``question.context``, or of its neighbour dz slices on: ``(H, W)`` uint8.

        None where the set has no images, or the split no such slice.
        """
        if self._images is None:
            return None
        name = _image_name(question.id, dz) + ".png"
        try:
            content = self._images.read(name)
        except KeyError:
            return None
        context = question.context
        return read_png(f"{self.path / IMAGES}, {name}", content, (context.height, context.width))

    @cached_property
    def _masks(self) -> Any:
        return self._files.archive(MASKS)

    @cached_property
    def _images(self) -> Any:
        return self._files.archive(IMAGES) if self.manifest.images else None

    # -------------------------------------------------------------------------------------------------------- answers
    @property
    def raters(self) -> list[str]:
        """Names of those who have answered, sorted."""
        names = [name.removesuffix(".jsonl") for name in self._files.names() if name.endswith(".jsonl")]
        return sorted(name for name in names if f"{name}.jsonl" != QUESTIONS)

    def answers(self, rater: str) -> list[Answer]:
        """A rater's answers in their order, those taken back left out; none for a rater without a file.

        Raises:
            DataError: a damaged line, or an answer to another set's question; names file and line.
        """
        return list(self._answer_file(rater).answers)

    def notes(self, rater: str | None = None) -> list[str]:
        """What a user should be told of the answer files, or of one: lines that a crash cut off."""
        raters = self.raters if rater is None else [rater]
        return [cut for name in raters if (cut := self._answer_file(name).cut)]

    def read(self, name: str) -> bytes:
        """Content of one of the set's files. Raises DataError with its name."""
        return self._files.read(name)

    def _answer_file(self, rater: str) -> AnswerFile:
        path = self._rater_path(rater)
        if rater not in self.raters:
            return AnswerFile(())
        found = read_answers(path, self._files.text(path.name))
        for answer in found.answers:
            self._check(str(path), answer)
        return found

    def append(self, rater: str, record: Mapping[str, Any]) -> dict[str, Any]:
        """Append an answer or an undo to a rater's file and return it as written; on disk when this returns.

        ``n`` and ``time`` are filled in where they are missing.

        Raises:
            ConfigError: the set is a zip, or the rater's name is no name.
            DataError: the record does not fit the set or its file.
        """
        path = self._rater_path(rater)
        if not self._files.is_folder:
            raise ConfigError(f"{self.path}: answers cannot be added to a zip.", "Unpack it first.")
        if "undo" not in record:
            values = {"n": 1, **record}
            try:
                self._check(str(path), Answer.model_validate(values))
            except ValidationError as error:
                raise DataError(f"{path}: no answer: {error.errors()[0]['msg']}: {values}") from None
        return self._logs.setdefault(rater, AnswerLog(path)).append(record)

    def _check(self, where: str, answer: Answer) -> None:
        question = self._by_id.get(answer.question)
        if question is None:
            raise DataError(f"{where}, n = {answer.n}: question {answer.question!r} is not in this set.")
        if len(answer.shown) != len(question.digests):
            shown, held = len(answer.shown), len(question.digests)
            raise DataError(f"{where}, n = {answer.n}: {shown} candidates shown, {question.id} has {held}.")

    def _rater_path(self, rater: str) -> Path:
        if not _RATER.fullmatch(rater) or f"{rater}.jsonl" == QUESTIONS:
            raise ConfigError(
                f"rater {rater!r}: a name has small letters, digits, '.', '_' or '-', up to 64, and begins with a "
                "letter or digit; 'questions' is taken."
            )
        return self.path / f"{rater}.jsonl"

    # -------------------------------------------------------------------------------------------------------- writing
    @classmethod
    def write(
        cls,
        path: Path,
        manifest: Manifest,
        questions: Iterable[tuple[Question, Array, Mapping[int, Array]]],
        answers: Mapping[str, Iterable[Mapping[str, Any]]] | None = None,
        *,
        replace: bool = False,
    ) -> PreferenceSet:
        """Write a set as a folder or, with the suffix ``.zip``, one zip; atomically. Returns it opened.

        Args:
            path: where.
            manifest: its ``images``, ``files`` are filled in.
            questions: each with its masks ``(K, h, w)`` bool and its pictures by dz, ``(H, W)`` uint8; no pictures
                for a set without images. Read once, one after the other.
            answers: lines by rater.
            replace: whether a set that is there may be written over.

        Raises:
            DataError: masks that do not fit their question, or two that are equal.
            ConfigError: ``path`` is there already.
        """
        with new_set(Path(path), replace=replace) as folder:
            with picture_zip(folder / MASKS) as add_masks, picture_zip(folder / IMAGES) as add_image:
                lines, images = [], False
                for question, masks, pictures in questions:
                    _check_masks(question, masks)
                    add_masks(question.id, masks.astype(bool).reshape(-1, masks.shape[2]))
                    for dz, picture in pictures.items():
                        images = True
                        add_image(_image_name(question.id, dz), picture.astype(np.uint8))
                    lines.append(question.plain())
            if not images:
                (folder / IMAGES).unlink()
            write_lines(folder / QUESTIONS, lines)
            for rater, given in (answers or {}).items():
                write_lines(folder / f"{rater}.jsonl", [dict(line) for line in given])
            _finish(folder, manifest, images=images)
        return cls.open(path)

    def export(self, path: Path, *, images: bool | None = None) -> PreferenceSet:
        """Copy the set, answers and all, to a folder or zip, with its images where their licence allows it.

        Args:
            path: folder or (suffix ``.zip``) zip.
            images: take the images along or not, whatever the licence.

        Raises:
            ConfigError: ``path`` is there already.
            DataError: a file of the set cannot be read.
        """
        images = self.manifest.redistribution if images is None else images
        with new_set(Path(path)) as folder:
            for name in self._files.names():
                if name != MANIFEST and (images or name != IMAGES):
                    (folder / name).write_bytes(self._files.read(name))
            _finish(folder, self.manifest, images=images and self.manifest.images)
        return self.open(path)


def _image_name(question: str, dz: int) -> str:
    return f"{question}/{dz:+d}"


def _check_masks(question: Question, masks: Array) -> None:
    window = question.window
    if masks.ndim != 3 or masks.shape[1:] != (window.height, window.width):
        raise DataError(f"question {question.id}: masks {masks.shape} do not fit {window}.")
    if candidate_digests(masks) != question.digests:
        raise DataError(f"question {question.id}: its digests are of other masks.")
    if len(set(question.digests)) < len(question.digests):
        raise DataError(f"question {question.id}: two candidates are the same mask.")


def _finish(folder: Path, manifest: Manifest, *, images: bool) -> None:
    """Write the manifest with the digests of what is fixed; answers grow."""
    files = {name: digest_file(folder / name) for name in (QUESTIONS, MASKS, IMAGES) if (folder / name).is_file()}
    final = manifest.model_copy(update={"images": images, "files": files})
    write_json(folder / MANIFEST, final.model_dump(mode="json"))


# ------------------------------------------------------------------------------------------------------------- reading
def _read_manifest(files: SetFiles) -> Manifest:
    where = files.path / MANIFEST
    try:
        values = printable_values(json.loads(files.text(MANIFEST)))
    except json.JSONDecodeError as error:
        raise DataError(f"{where}, line {error.lineno}: not JSON: {error.msg}") from None
    if not isinstance(values, dict) or values.get("format") != FORMAT:
        raise DataError(f"{where}: no preference data set (format {FORMAT!r}).")
    if values.get("version") != VERSION:
        raise DataError(
            f"{where}: version {values.get('version')!r} of the format; this dabench reads version {VERSION}.",
            "Use the dabench that wrote it, or a newer one. Nothing was changed.",
        )
    try:
        return Manifest.model_validate(values)
    except ValidationError as error:
        raise _problem(str(where), error) from None


def _read_questions(files: SetFiles) -> list[Question]:
    found: dict[str, Question] = {}
    for number, line in enumerate(files.text(QUESTIONS).splitlines(), 1):
        where = f"{files.path / QUESTIONS}, line {number}"
        question = _read_question(where, line)
        if question.id in found:
            raise DataError(f"{where}: question {question.id!r} was there before.")
        found[question.id] = question
    return list(found.values())


def _read_question(where: str, line: str) -> Question:
    try:
        values = json.loads(line)
        windows = {name: Window(*values[name]) for name in ("window", "context", "tile")}
        question = Question.model_validate({**values, **windows})
    except json.JSONDecodeError as error:
        raise DataError(f"{where}: not JSON: {error.msg}: {line[:60]!r}") from None
    except ValidationError as error:
        raise _problem(where, error) from None
    except (KeyError, TypeError) as error:
        raise DataError(f"{where}: no question: window, context and tile are [y, x, height, width]: {error}") from None
    if question.thresholds and len(question.thresholds) != len(question.digests):
        raise DataError(f"{where}: {len(question.thresholds)} thresholds for {len(question.digests)} candidates.")
    return question


def _problem(where: str, error: ValidationError) -> DataError:
    problem = error.errors()[0]
    key = ".".join(str(part) for part in problem["loc"])
    return DataError(f"{where}: {key} = {problem['input']!r}: {problem['msg']}")
