"""Suites: files of cells, planned as one graph of stages and worked off by an executor."""
