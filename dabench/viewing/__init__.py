"""Volumes and predictions as one self-contained page."""
