"""Trained models as things of their own: one file with a card, found, loaded, exported."""
