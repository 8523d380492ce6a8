"""Learning vectors: bad options are refused by name, the same text gives the same bytes, and what is learnt is about the text."""

import hashlib
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from maskwright import static
from maskwright.corpus.store import Corpus
from maskwright.errors import ConfigError, DataError, InputError, MissingExtra
from maskwright.keys import Key
from maskwright.static import learn
from maskwright.static.config import KINDS

SMALL = {"width": 8, "epochs": 2, "min_count": 2, "negative": 3}


def two_worlds(count: int = 400) -> list[str]:
    """Sentences about ships or about bread, never about both; words are drawn within a world at random."""
    worlds = (
        ("ship", "sail", "harbour", "storm", "captain", "anchor"),
        ("bread", "oven", "flour", "baker", "dough", "crust"),
    )
    drawn = Key(7).stream("test.worlds").integers(6, count * 8).reshape(count, 8)
    return [" ".join(worlds[at % 2][word] for word in row) for at, row in enumerate(drawn)]


@pytest.mark.parametrize(
    ("kind", "values", "told"),
    [
        ("word2vec", {"widht": 3}, "no field 'widht'. Did you mean 'width'"),
        ("word2vec", {"min_n": 3}, "no field 'min_n'"),
        ("word2vec", {"width": 0}, "field 'width'"),
        ("word2vec", {"architecture": "glove"}, "field 'architecture'"),
        ("fasttext", {"min_n": 4, "max_n": 3}, "max_n is 3, less than min_n 4"),
        ("onehot", {"epochs": 3}, "no field 'epochs'"),
        ("onehot", {"logarithmic": True}, "no field 'logarithmic'"),
        ("tfidf", {"words": {"language": "xx"}}, "field 'words.language'"),
    ],
)
def test_an_option_that_a_kind_does_not_have_is_refused(kind: str, values: dict[str, object], told: str) -> None:
    with pytest.raises(ConfigError, match=told):
        KINDS[kind].of(values)


def test_texts_without_words_or_without_frequent_words_are_refused() -> None:
    with pytest.raises(InputError, match="there is no word in the texts"):
        static.train(["", "..."], static.Word2vecConfig())
    with pytest.raises(InputError, match="no word occurs 5 times in 3 words; lower min_count"):
        static.train(["the north wind"], static.Word2vecConfig())


def test_without_gensim_the_extra_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "gensim", None)
    monkeypatch.setitem(sys.modules, "gensim.models", None)
    with pytest.raises(MissingExtra, match=r"maskwright\[static\]"):
        static.train(two_worlds(), static.Word2vecConfig())
    static.train(two_worlds(), static.TfidfConfig())


@pytest.mark.parametrize("kind", ["word2vec", "fasttext"])
@pytest.mark.parametrize("architecture", ["skipgram", "cbow"])
def test_words_of_one_world_are_nearer_than_words_of_the_other(kind: str, architecture: str) -> None:
    pytest.importorskip("gensim")
    values = {"width": 16, "epochs": 20, "sample": 0, "lr": 0.05, "architecture": architecture}
    values |= {"buckets": 500} if kind == "fasttext" else {}
    learnt = static.train(two_worlds(), KINDS[kind].of(values))
    assert isinstance(learnt, static.WordVectors)
    assert learnt.kind == kind
    assert len(learnt) == 12
    assert learnt.counts_V is not None
    assert learnt.counts_V.sum() == 400 * 8
    for word, other in (("ship", "anchor"), ("oven", "crust")):
        stranger = {"ship": "dough", "oven": "storm"}[word]
        assert learnt.similarity(word, other) > learnt.similarity(word, stranger) + 0.3
    sea, land, seas = learnt.encode(["the captain's anchor: anchor!", "baker, oven", "a sail in the storm"])
    assert sea @ seas / np.linalg.norm(sea) / np.linalg.norm(seas) > sea @ land / np.linalg.norm(sea) / np.linalg.norm(
        land
    )


@pytest.mark.parametrize("kind", ["word2vec", "fasttext"])
def test_the_same_text_gives_the_same_bytes_in_another_process_and_another_seed_gives_others(
    tmp_path: Path, kind: str
) -> None:
    pytest.importorskip("gensim")
    file = tmp_path / "texts.txt"
    file.write_text("\n\n".join(two_worlds()), "utf-8")
    script = (
        "import sys; from maskwright import static; from maskwright.static.config import KINDS;"
        "file, out, kind = sys.argv[1:4]; texts = static.Texts([file]); values = {'width': 8, 'epochs': 2};"
        "values |= {'buckets': 100} if kind == 'fasttext' else {};"
        "[static.save(static.train(texts, KINDS[kind].of({**values, 'seed': seed}), facts=texts.facts), out + seed)"
        " for seed in sys.argv[4:]]"
    )
    for run, seeds, salt in (("one", "1", "1"), ("other", "12", "2")):
        command = [sys.executable, "-c", script, str(file), str(tmp_path / run), kind, *seeds]
        subprocess.run(command, check=True, env={**os.environ, "PYTHONHASHSEED": salt})

    def hashes(folder: str) -> dict[str, str]:
        return {path.name: hashlib.sha256(path.read_bytes()).hexdigest() for path in (tmp_path / folder).iterdir()}

    assert hashes("one1") == hashes("other1")
    assert hashes("one1")["vectors.safetensors"] != hashes("other2")["vectors.safetensors"]
    assert hashes("one1")["words.txt"] == hashes("other2")["words.txt"]


def test_texts_are_read_once_and_a_long_one_is_not_cut_short(monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("gensim")
    monkeypatch.setattr(learn, "_LONGEST", 5)
    told: list[float] = []
    learnt = static.train(
        iter([" ".join(two_worlds(4))]), static.Word2vecConfig.of({**SMALL, "min_count": 1}), progress=told.append
    )
    assert learnt.facts["words read"] == 32
    assert isinstance(learnt, static.WordVectors)
    assert learnt.counts_V is not None
    assert learnt.counts_V.sum() == 32
    assert told
    assert all(0 <= done <= 1 for done in told)


def test_gensim_takes_no_more_words_at_once_than_it_is_given() -> None:
    limit = pytest.importorskip("gensim.models.word2vec").MAX_WORDS_IN_BATCH
    assert limit >= learn._LONGEST


def test_a_corpus_gives_its_own_sentences_and_a_damaged_one_is_refused(small_corpus: Corpus) -> None:
    texts = list(static.Texts([small_corpus.folder]))
    assert len(texts) == small_corpus.sentences
    assert "".join(texts[:3]) == small_corpus.text(0)[1][: len("".join(texts[:3]))]
    documents = list(static.Texts([small_corpus.folder], "document"))
    assert documents == [small_corpus.text(n)[1] for n in range(small_corpus.documents)]
    assert static.Texts([small_corpus.folder]).facts == {"corpus": small_corpus.fingerprint, "unit": "sentence"}


def test_a_corpus_with_a_flipped_byte_is_not_learnt_from(small_corpus: Corpus, tmp_path: Path) -> None:
    import shutil

    copy = Path(shutil.copytree(small_corpus.folder, tmp_path / "copy"))
    shard = copy / small_corpus.manifest.shards[0].name
    data = bytearray(shard.read_bytes())
    data[len(data) // 2] ^= 1
    shard.write_bytes(bytes(data))
    with pytest.raises(DataError, match="changed since"):
        static.Texts([copy])


def test_files_give_sentences_or_documents_and_can_be_read_again(tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_text("One wind. Two winds.\nA line.\n\nAnother document.\n")
    (tmp_path / "b.jsonl").write_text('{"text": "Third."}\n')
    texts = static.Texts([tmp_path / "a.txt", tmp_path / "b.jsonl"])
    assert [text.strip() for text in texts] == ["One wind.", "Two winds.", "A line.", "Another document.", "Third."]
    assert list(texts) == list(texts)
    assert len(list(static.Texts([tmp_path], "document"))) == 3
    with pytest.raises(InputError, match="there is no file"):
        static.Texts([tmp_path / "nowhere.txt"])


def test_a_small_corpus_can_be_learnt_from(small_corpus: Corpus) -> None:
    pytest.importorskip("gensim")
    texts = static.Texts([small_corpus.folder])
    learnt = static.train(texts, static.FasttextConfig.of({**SMALL, "buckets": 1000}), facts=texts.facts)
    assert isinstance(learnt, static.WordVectors)
    assert learnt.facts["corpus"] == small_corpus.fingerprint
    assert learnt.coverage(["return the string"]).unknown == 0


def test_static_vectors_need_no_torch() -> None:
    script = (
        "import sys; from maskwright import static;"
        "v = static.train(['north wind', 'north sun'], static.TfidfConfig(min_count=1)); v.encode(['wind']);"
        "print('torch' in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert done.stdout == "False\n"
