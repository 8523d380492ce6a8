"""Let a language model or an encoder-decoder write: greedily, by beam search, or by drawing."""
