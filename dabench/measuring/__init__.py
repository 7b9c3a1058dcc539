"""How many mitochondria, how large, how long: from instance ids, block by block."""

from dabench.measuring.measure import measure
from dabench.measuring.table import Measures

__all__ = ["Measures", "measure"]
