"""One training loop, for pre-training and fine-tuning alike: optimiser, schedule, resumable state."""
