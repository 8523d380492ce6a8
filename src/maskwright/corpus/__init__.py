"""Your files to memory-mapped documents, sentences and tokens, with a ledger."""
