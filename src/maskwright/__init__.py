"""Maskwright: an encoder workshop."""

__version__ = "0.1.0"
