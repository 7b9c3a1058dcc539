"""Volumes to look at: one HTML file with slices, contours, errors, probability and objects; or napari."""
