"""Plugins and what they register: hooks, the registry, assembly by name, new plugins."""
