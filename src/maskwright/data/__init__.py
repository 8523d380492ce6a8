"""From documents or labelled rows to batches: which examples, in which step, laid end to end."""
