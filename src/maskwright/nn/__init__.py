"""Layers that know tensors only.

The letters, used as name suffixes through the whole project: ``B`` sequences, ``T`` tokens laid end to end, ``S`` padded
length, ``D`` width, ``N`` heads, ``H`` head width, ``F`` feed-forward width, ``E`` embedding width, ``V`` vocabulary,
``C`` classes, ``M`` targets in the batch, ``R`` regions.  ``x_TD`` is a (T, D) tensor.
"""
