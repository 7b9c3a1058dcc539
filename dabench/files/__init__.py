"""The ground floor of anything on disk: atomic writes, digests, YAML, the workspace, parts of HTML pages."""
