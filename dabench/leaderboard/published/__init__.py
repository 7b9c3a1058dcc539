"""A suite's own results beside the numbers that its paper prints."""
