"""How many mitochondria, how large, how long: from instance ids, block by block."""

from dabench.volumes.measuring.measure import measure
from dabench.volumes.measuring.table import Measures

__all__ = ["Measures", "measure"]
