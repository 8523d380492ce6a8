"""``maskwright vectors`` as its user meets it: mistakes in one sentence, tables that fit 80 columns, nothing lost."""

import subprocess
import sys
from pathlib import Path

import pytest
from made_static import binary, text, write

from maskwright import static
from maskwright.cli import run
from maskwright.corpus.store import Corpus


def say(capsys: pytest.CaptureFixture[str], *tokens: object) -> tuple[int, str]:
    code = run(["vectors", *map(str, tokens)])
    told = capsys.readouterr()
    return code, told.out + told.err


def one_line(told: str) -> str:
    return " ".join(told.split())


@pytest.mark.parametrize(
    ("tokens", "code", "told"),
    [
        (["train", "--out", "o"], 2, "name a corpus or text files"),
        (["train", "nowhere.txt", "--out", "o", "--kind", "tfidf"], 1, "there is no file"),
        (["train", "texts.txt", "--out", "o", "--kind", "glove"], 2, "--kind"),
        (["train", "texts.txt", "--out", "o", "--kind", "tfidf", "--width", "3"], 1, "no field 'tfidf: width'"),
        (["train", "texts.txt", "--out", "o", "--width", "0"], 1, "field 'word2vec: width'"),
        (["train", "texts.txt", "--out", ".", "--kind", "tfidf"], 1, "holds no vectors of Maskwright"),
        (["train", "texts.txt", "--out", "o", "--kind", "tfidf", "--min-count", "9"], 1, "no word occurs in 9 texts"),
        (["show", "nowhere"], 1, "nowhere: There is no such file or folder"),
        (["show", "."], 1, "no static.json in it"),
        (["nearest", "some.vec"], 2, "name at least one word"),
        (["nearest", "some.vec", "nrth"], 1, "no vector for 'nrth' among 5 words. Did you mean 'north'?"),
        (["convert", "texts.txt", "--out", "o"], 1, "not a vector file"),
        (["convert", "some.vec", "--out", "."], 1, "was not written by Maskwright"),
    ],
)  # fmt: skip
def test_a_mistake_is_told_in_one_sentence_and_nothing_is_written(
    tokens: list[str], code: int, told: str, capsys: pytest.CaptureFixture[str], tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    monkeypatch.chdir(tmp_path)
    (tmp_path / "texts.txt").write_text("the north wind\n\nthe sun\n")
    write(tmp_path / "some.vec", text())
    found, said = say(capsys, *tokens)
    assert found == code
    assert told in one_line(said)
    assert "Traceback" not in said
    assert sorted(path.name for path in tmp_path.iterdir()) == ["some.vec", "texts.txt"]


@pytest.mark.parametrize("kind", ["word2vec", "fasttext", "tfidf", "onehot"])
def test_each_kind_is_learnt_from_a_corpus_shown_and_asked(
    kind: str, small_corpus: Corpus, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    pytest.importorskip("gensim")
    monkeypatch.setenv("COLUMNS", "80")
    out = tmp_path / "vectors"
    options = ["--width", "8", "--epochs", "1"] if kind in ("word2vec", "fasttext") else []
    options += ["--buckets", "500"] if kind == "fasttext" else []
    code, told = say(capsys, "train", small_corpus.folder, "--out", out, "--kind", kind, *options)
    assert code == 0, told
    shown = {"show": ["show", out], "nearest": ["nearest", out, "String", "--count", "3"]}
    for verb, tokens in shown.items():
        code, told = say(capsys, *tokens)
        assert code or all(len(line.rstrip()) <= 80 for line in told.splitlines())
        if verb == "show":
            assert code == 0
            assert kind in told
            assert small_corpus.fingerprint[:16] in told
        elif kind in ("tfidf", "onehot"):
            assert code == 1
            assert "any two words are equally far" in one_line(told)
        else:
            assert code == 0
            assert "Nearest to string" in told
            assert [word for word, _ in static.load(out).nearest("string", 3)] == [
                line.split()[0] for line in told.splitlines() if "0." in line or "1.000" in line
            ]


def test_a_word_put_together_from_ngrams_is_said_to_be(
    small_corpus: Corpus, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    pytest.importorskip("gensim")
    static.save(
        static.train(static.Texts([small_corpus.folder]), static.FasttextConfig(width=8, epochs=1, buckets=500)),
        tmp_path / "v",
    )
    code, told = say(capsys, "nearest", tmp_path / "v", "stringifications")
    assert code == 0
    assert "'stringifications' is not in the vocabulary; its vector is put together from its n-grams" in told


def test_a_file_is_converted_and_what_was_left_out_is_told(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "vectors.bin"
    path.write_bytes(binary([b"The", b"w\xffnd", b"The", b"sun"]))
    code, told = say(capsys, "convert", path, "--out", tmp_path / "out")
    assert code == 1
    assert "byte 21: the word b'w\\xffnd' is not UTF-8" in one_line(told)
    code, told = say(capsys, "convert", path, "--out", tmp_path / "out", "--skip-bad-words", "--language", "zh")
    assert code == 0
    assert "left out, not UTF-8 1 left out, twice 1" in one_line(told)
    read = static.load(tmp_path / "out")
    assert list(read.words) == ["The", "sun"]
    assert (read.split.language, read.split.lowercase) == ("zh", False)


def test_help_for_vectors_imports_nothing_heavy() -> None:
    code = (
        "import sys; from maskwright.cli import run; code = run(['vectors', 'train', '--help']);"
        "heavy = {'torch', 'sklearn', 'scipy', 'gensim', 'pyarrow', 'numpy'} & set(sys.modules);"
        "print(heavy); sys.exit(code or (9 if heavy else 0))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "Usage: maskwright vectors train" in done.stdout
