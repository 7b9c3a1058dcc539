"""The front door: what ``import dabench`` offers."""
