"""The eleven quantile levels of every forecast, and their column names."""

import numpy as np

LEVELS = np.array([0.05, 0.10, 0.20, 0.30, 0.40, 0.50, 0.60, 0.70, 0.80, 0.90, 0.95])
COLUMNS = tuple(f"q{round(100 * level):02d}" for level in LEVELS)
MEDIAN = int(np.flatnonzero(LEVELS == 0.5)[0])  # noqa: PLR2004 - the median is the 0.5 quantile
# The ends of the 80% interval among the columns.
LOW_80, HIGH_80 = COLUMNS.index("q10"), COLUMNS.index("q90")
