"""Kernels in C, for what PyTorch's CPU operators do in many passes over memory and a fused loop does in one.

They are an extra: ``attend`` and the blocks give the same without them, only slower.  They need a processor with AVX-512 and
its bf16 dot products, and a C compiler; the first use compiles them, in a second or two, into the user's cache folder
under a name that holds the sources, the compiler and its options.  ``MASKWRIGHT_NATIVE=0`` goes without.
"""

from maskwright.native.build import here, library, why_not
from maskwright.native.call import call

__all__ = ["call", "here", "library", "why_not"]
