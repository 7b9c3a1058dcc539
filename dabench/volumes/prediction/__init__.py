"""A whole volume predicted by a model: chunk by chunk, resumable, on one machine or several."""
