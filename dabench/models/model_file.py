"""Model files: one ``.safetensors`` with the weights, and the card as JSON in its header."""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import Any

from safetensors import SafetensorError, safe_open
from safetensors.torch import save
from torch import Tensor

from dabench.errors import WeightsError
from dabench.files.atomic import atomic
from dabench.files.digests import digest_of
from dabench.models.card import ModelCard, read_card
from dabench.models.tensors import digest_tensors

#: Keys in the file's metadata: of the card, and of the SHA-256 of its text.
KEY, DIGEST_KEY = "dabench.model", "dabench.model.sha256"
SUFFIX = ".safetensors"
_EXPORT = "Export it:  dabench models export RUN"
#: How pickles of each protocol and PyTorch's zip archives begin. A model file may begin with 0x80, too, its length.
_PICKLES = (*(bytes((0x80, protocol)) for protocol in range(2, 6)), b"PK\x03\x04")


def write_model(path: Path, card: ModelCard, tensors: dict[str, Tensor]) -> None:
    """Write a model file, whole or not at all."""
    # As bytes: the library's own writer makes files that nobody else may read.
    text = card.model_dump_json()
    content = save(tensors, metadata={KEY: text, DIGEST_KEY: _digest(text)})
    with atomic(path) as part:
        part.write_bytes(content)


def read_model_card(path: Path) -> ModelCard:
    """The card alone, without the weights. Raises WeightsError for what is no model file."""
    with _opened(path) as file:
        return _card(file, path)


def read_model(path: Path) -> tuple[ModelCard, dict[str, Tensor]]:
    """Card and weights. Raises WeightsError for a file that is none, damaged, or changed since it was written."""
    try:
        with _opened(path) as file:
            card = _card(file, path)
            tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118 - no mapping
    except SafetensorError as error:
        raise _damaged(path, error) from None
    found = {"weights": digest_tensors(tensors), "config": digest_of(card.config.model_dump(mode="json"))}
    for what, digest in found.items():
        if digest != (recorded := getattr(card.digests, what)):
            raise WeightsError(
                f"{path.name}: its {what} were changed: digest {digest[:12]}…, the card says {recorded[:12]}….",
                "Get the file again, or export the run again.",
            )
    return card, tensors


def _opened(path: Path) -> Any:
    if not path.is_file():
        raise WeightsError(f"{path}: no such file.", "To list models: dabench models ls")
    try:
        return safe_open(path, framework="pt")
    except (SafetensorError, OSError) as error:
        with path.open("rb") as handle:
            head = handle.read(4)
        if head.startswith(_PICKLES):
            raise WeightsError(
                f"{path.name}: refused, it is a pickle or a PyTorch archive, which can run code.",
                f"A model is a safetensors file with a card. {_EXPORT}",
            ) from None
        raise _damaged(path, error) from None


def _damaged(path: Path, error: Exception) -> WeightsError:
    return WeightsError(f"{path.name}: truncated, or not a safetensors file ({error}).", f"Get it again. {_EXPORT}")


def _digest(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()


def _card(file: Any, path: Path) -> ModelCard:
    metadata = file.metadata() or {}
    text = metadata.get(KEY)
    if text is None:
        raise WeightsError(
            f"{path.name}: weights without a card, so their network is not known.",
            f"To start training from them: dabench weights add NAME {path.name}. {_EXPORT}",
        )
    card = read_card(text, path.name)
    if metadata.get(DIGEST_KEY) != _digest(text):
        raise WeightsError(f"{path.name}: its card was changed since it was written.", f"Get it again. {_EXPORT}")
    return card
