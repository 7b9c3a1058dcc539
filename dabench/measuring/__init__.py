"""How many mitochondria, how large, how long: from instance ids, block by block."""
