"""``maskwright tokenizer extend``: a model folder in, a larger one out, ready to go on from."""

from collections.abc import Callable
from pathlib import Path

import pytest

from maskwright.cli import run
from maskwright.model import Model, load
from maskwright.text.tokenizer import Tokenizer
from small import documents

DOMAIN = (
    "A quixotic zymurgist read about quixotic zymurgy.\n\nZymurgy, said the zymurgist, is quixotic.\n\nquixotic zymurgy"
)


@pytest.fixture
def text(tmp_path: Path) -> Path:
    file = tmp_path / "domain.txt"
    file.write_text(DOMAIN, "utf-8")
    return file


def say(capsys: pytest.CaptureFixture[str], *tokens: object) -> tuple[int, str]:
    code = run([str(token) for token in tokens])
    told = capsys.readouterr()
    return code, " ".join((told.out + told.err).split())


def test_a_model_is_extended_and_pretraining_goes_on_from_it(
    tiny: Callable[..., Model], text: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    tiny(("mlm",)).save(tmp_path / "model")
    wider = tmp_path / "wider"
    code, told = say(
        capsys, "tokenizer", "extend", tmp_path / "model", text, "--add", 2, "--min-frequency", 2, "--out", wider
    )
    assert code == 0, told
    for said in ("802, of them 2 new", "tokens a word", "tokens saved", "(model)", "quixotic"):
        assert said in told
    model = load(wider)
    assert model.tokenizer.pieces([800, 801]) == ["zymurgy", "quixotic"]
    assert model.card.provenance["extended"]["pieces"] == 2

    lines = "\n\n".join([DOMAIN, *(document.text for document in documents()[:3])])
    text.write_text(lines, "utf-8")
    assert say(capsys, "corpus", "build", text, "--tokenizer", wider, "--out", tmp_path / "corpus")[0] == 0
    code, told = say(
        capsys, "pretrain", "--corpus", tmp_path / "corpus", "--start", wider, "--objectives", "mlm", "--length", 32,
        "--train.steps", 2, "--train.tokens", 128, "--out", tmp_path / "run",
    )  # fmt: skip
    assert code == 0, told
    assert load(tmp_path / "run" / "model").spec.vocabulary == 802


def test_a_vocabulary_alone_gives_a_vocabulary(
    tokenizer: Tokenizer, text: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    tokenizer.save(tmp_path / "vocabulary")
    for given, out in (("vocabulary", "a"), ("vocabulary/vocab.txt", "b")):
        tokens = ("tokenizer", "extend", tmp_path / given, text, "--min-frequency", 2, "--out", tmp_path / out)
        code, told = say(capsys, *tokens)
        assert code == 0, told
        assert "(vocabulary only)" in told
        assert Tokenizer.load(tmp_path / out).vocab_size > tokenizer.vocab_size
        assert not (tmp_path / out / "config.json").exists()


def test_mistakes_are_told_before_anything_is_written(
    tokenizer: Tokenizer, text: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    tokenizer.save(tmp_path / "v")
    out = tmp_path / "out"
    for tokens, said in (
        ((tmp_path / "v", text, "--out", tmp_path / "v"), "is not empty; choose another --out"),
        ((tmp_path / "v", text, "--out", out, "--min-frequency", 99), "nothing to add"),
        ((tmp_path / "none", text, "--out", out), "no such folder"),
        ((tmp_path / "v", tmp_path / "none.txt", "--out", out), "none.txt"),
        ((tmp_path / "v", text, "--out", out, "--add", 0), "add is 0"),
    ):
        code, told = say(capsys, "tokenizer", "extend", *tokens)
        assert code == 1 and said in told and "Traceback" not in told, told
    assert not out.exists()
