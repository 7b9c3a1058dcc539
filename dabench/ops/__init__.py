"""Pure functions on arrays and tensors: losses, metrics, augmentation, and what else two plugins need."""
