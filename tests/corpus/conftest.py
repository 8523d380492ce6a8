import pytest

from maskwright.text.tokenizer import Tokenizer


@pytest.fixture(scope="session")
def small() -> Tokenizer:
    """A tokenizer that knows these few words, full stops and no digit."""
    lines = ["the cat sat on the mat .", "a dog and cats ate the other mats , too ."] * 3
    return Tokenizer.train(lines, vocab_size=120)


@pytest.fixture(scope="session")
def other() -> Tokenizer:
    """Another vocabulary: it knows less."""
    return Tokenizer.train(["the cat sat on the mat ."] * 3, vocab_size=30)
