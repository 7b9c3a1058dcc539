"""Data: cards, lazy volumes, intensities, domains from cards and procedural phantoms."""
