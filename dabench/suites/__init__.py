"""Suites: files of cells, planned as one graph of stages and run by an executor."""
