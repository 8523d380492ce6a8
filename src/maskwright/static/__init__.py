"""Static vectors, the ancestors of encoders: one-hot, TF-IDF, word2vec, fastText, GloVe, behind the ``encode`` of a model.

    vectors = maskwright.static.load("vectors")           a folder, or a file of word2vec, fastText or GloVe
    vectors.encode(["a text", "another"])                 (2, D) float32

Imports no torch.
"""

from maskwright.static.config import FasttextConfig, OnehotConfig, TfidfConfig, Word2vecConfig
from maskwright.static.folder import save, verify
from maskwright.static.foreign import convert, load
from maskwright.static.learn import train
from maskwright.static.sparse import SparseVectors
from maskwright.static.texts import Texts
from maskwright.static.vectors import WordVectors
from maskwright.static.words import Words

__all__ = [
    "FasttextConfig",
    "OnehotConfig",
    "SparseVectors",
    "Texts",
    "TfidfConfig",
    "Word2vecConfig",
    "WordVectors",
    "Words",
    "convert",
    "load",
    "save",
    "train",
    "verify",
]
