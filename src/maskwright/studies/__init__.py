"""Questions with a protocol: what is in a model's states, and what one pre-training teaches that another does not."""
