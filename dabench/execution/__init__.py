"""Where jobs run: this machine or a Ray cluster."""
