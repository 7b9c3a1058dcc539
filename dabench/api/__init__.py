"""What `import dabench` offers, one module per task; `dabench` loads each on first use."""
