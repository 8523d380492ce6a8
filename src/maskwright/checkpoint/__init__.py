"""Folders in and out: Hugging Face's layout, strictly; sealed with hashes; never a pickle."""
