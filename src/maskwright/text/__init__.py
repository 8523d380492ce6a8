"""Raw text to token ids: tokenizers, the sentences of a text."""
