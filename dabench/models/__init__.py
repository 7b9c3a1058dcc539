"""Trained models as things of their own: one file with a card, found, loaded, exported (docs/models.md)."""

from __future__ import annotations

from dabench.models.card import ModelCard
from dabench.models.loading import Model, ModelWarning, load_model, models_folder
from dabench.models.model_file import read_model_card

__all__ = ["Model", "ModelCard", "ModelWarning", "load_model", "models_folder", "read_model_card"]
