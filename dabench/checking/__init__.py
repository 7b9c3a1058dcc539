"""Checking: runs against their receipts, data and labels; bundles of results between machines."""
