"""Samples laid out by hand, [CLS] A [SEP] or [CLS] A [SEP] B [SEP], and a text's tokens as a corpus stores them."""

from collections.abc import Sequence

import numpy as np

from maskwright.data.batch import Sample
from maskwright.text.encoder import Encoder
from maskwright.text.tokenizer import Tokenizer


def framed(texts: Sequence[tuple[np.ndarray, np.ndarray]], cls_id: int, sep_id: int, number: int = 0) -> Sample:
    """texts: (ids, starts_word) each."""
    end = (np.array([sep_id]), np.array([True]))
    parts = [(np.array([cls_id]), np.array([True])), *(part for text in texts for part in (text, end))]
    is_text = np.arange(len(parts)) % 2 == 1
    sizes = [len(ids) for ids, _ in parts]
    return Sample(
        np.concatenate([ids for ids, _ in parts]).astype(np.int64),
        np.repeat(np.maximum(0, np.arange(len(parts)) - 1) // 2, sizes),
        np.repeat(~is_text, sizes),
        np.concatenate([starts for _, starts in parts]),
        number,
    )


def tokens_of(
    encoder: Encoder, tokenizer: Tokenizer, sentences: Sequence[str], word_ends: np.ndarray | None = None
) -> tuple[np.ndarray, np.ndarray]:
    """One text's ids and which of them begin a word, as a corpus stores them; word_ends: byte positions."""
    ends = np.cumsum([len(sentence.encode()) for sentence in sentences])
    encoded = encoder.encode("".join(sentences).encode(), ends, ends[-1:], word_ends)
    starts = tokenizer.starts_word_V[encoded.ids] if encoded.starts is None else encoded.starts
    return encoded.ids, starts
