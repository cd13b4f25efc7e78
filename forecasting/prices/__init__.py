"""From a source to the bars that a run may use: sources, audit, table, bars, snapshot."""
