"""Pages on which people annotate: preferences between candidate masks, and points. Served to this machine alone."""
