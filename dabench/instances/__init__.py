"""Objects of a volume larger than memory: labelled block by block, joined exactly."""
