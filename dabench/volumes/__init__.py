"""The lab's product: a volume predicted, written, labelled, measured and looked at."""
