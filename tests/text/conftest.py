import lzma
from pathlib import Path

import pytest

from maskwright.text.tokenizer import Tokenizer


@pytest.fixture(scope="session")
def vocabularies(shared: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """BERT's published vocabularies, each as vocab.txt in a folder of its own."""
    folders = {}
    for name in ("uncased", "cased", "chinese"):
        folder = tmp_path_factory.mktemp(name)
        packed = shared / "data" / "vocab" / f"bert-base-{name}-vocab.txt.xz"
        (folder / "vocab.txt").write_bytes(lzma.decompress(packed.read_bytes()))
        folders[name] = folder
    return folders


@pytest.fixture(scope="session")
def bert(vocabularies: dict[str, Path]) -> dict[str, Tokenizer]:
    return {name: Tokenizer.load(folder) for name, folder in vocabularies.items()}


@pytest.fixture(scope="session")
def small() -> Tokenizer:
    """A tokenizer learnt from a few lines: for tests that must run without any data."""
    lines = ["the cat sat on the mat", "the dogs sat on the other mat", "a cat and a dog; cats and dogs!"] * 3
    return Tokenizer.train(lines, vocab_size=120)
