"""A run that nothing happened to, and the means to make it again with a fault."""

from collections.abc import Callable
from pathlib import Path

import pytest
from trials import Trial

from maskwright.corpus.store import Corpus


@pytest.fixture
def make(small_corpus: Corpus, tmp_path: Path) -> Callable[..., Trial]:
    """``make(name, corpus, inside)``: a run in the test's folder."""

    def made(name: str = "run", corpus: Path | None = None, inside: Path | None = None) -> Trial:
        return Trial(corpus or small_corpus.folder, (inside or tmp_path) / name)

    return made


@pytest.fixture(scope="session")
def whole(small_corpus: Corpus, tmp_path_factory: pytest.TempPathFactory) -> Trial:
    """A run that nothing happened to; not to be changed."""
    made = Trial(small_corpus.folder, tmp_path_factory.mktemp("whole") / "run")
    made.go()
    return made
