"""The eleven quantile levels that every forecast gives, and the columns that hold them."""

import numpy as np

LEVELS = np.array([0.05, 0.10, 0.20, 0.30, 0.40, 0.50, 0.60, 0.70, 0.80, 0.90, 0.95])
COLUMNS = tuple(f"q{round(100 * level):02d}" for level in LEVELS)
MEDIAN = int(np.flatnonzero(LEVELS == 0.5)[0])  # noqa: PLR2004 - what a median is
