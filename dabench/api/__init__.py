"""The front door: what `import dabench` offers, one module a task; `dabench` loads each when it is asked for."""
