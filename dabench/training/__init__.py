"""The training loop, checkpoints and the store of finished stages."""
