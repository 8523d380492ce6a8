"""Each fault on a corpus that has it, and none on one that has not."""

import inspect
import itertools
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path

import numpy as np
import pytest

from maskwright.corpus import repeats as repeats_module
from maskwright.corpus.build import build, build_from
from maskwright.corpus.health import Finding, findings
from maskwright.corpus.read import Document
from maskwright.corpus.repeats import repeats
from maskwright.corpus.store import Corpus
from maskwright.text.tokenizer import Tokenizer
from small import MODULES

Build = Callable[..., Corpus]


def prose() -> Iterator[str]:
    """The longer documentation of Python's own functions, each text once and no line twice."""
    seen: set[str] = set()
    for name in MODULES:
        module = __import__(name)
        for _, member in sorted(vars(module).items(), key=lambda pair: pair[0]):
            if not (inspect.isroutine(member) or inspect.isclass(member)):
                continue
            lines = [line.strip() for line in (inspect.getdoc(member) or "").splitlines()]
            fresh = [line for line in dict.fromkeys(lines) if line and line not in seen]
            seen.update(fresh)
            if len(fresh) >= 5:
                yield "\n".join(fresh)


TEXTS = list(prose())


@pytest.fixture(scope="module")
def reader() -> Tokenizer:
    return Tokenizer.train(TEXTS, vocab_size=800)


@pytest.fixture
def made(reader: Tokenizer, tmp_path: Path) -> Build:
    """Build a corpus of these texts, one sentence a line."""
    count = itertools.count()

    def make(texts: Iterable[str], tokenizer: Tokenizer = reader, **options: str) -> Corpus:
        documents = (Document(str(number), text) for number, text in enumerate(texts))
        return build_from(documents, tmp_path / str(next(count)), tokenizer, **{"sentences": "lines", **options})

    return make


def found(corpus: Corpus, length: int = 64, pairs: bool = True) -> dict[str, Finding]:
    return {each.name: each for each in findings(corpus, corpus.tokens(), length=length, pairs=pairs)}


@pytest.mark.parametrize("pairs", [True, False])
def test_a_sound_corpus_has_no_finding(made: Build, pairs: bool) -> None:
    assert len(TEXTS) > 100
    assert found(made(TEXTS), pairs=pairs) == {}


def test_real_english_has_no_finding_at_the_usual_length(shared: Path, tmp_path: Path) -> None:
    folder = shared / "data" / "corpus"
    files = [folder / "en_masc.jsonl.xz", folder / "en_speeches.jsonl.xz"]
    vocabulary = shared / "data" / "vocab" / "bert-base-uncased-vocab.txt.xz"
    if not vocabulary.exists():
        pytest.skip("no vocabulary")
    import lzma

    path = tmp_path / "vocab.txt"
    path.write_bytes(lzma.decompress(vocabulary.read_bytes()))
    corpus = build(files, tmp_path / "corpus", Tokenizer.load(path, lowercase=True))
    assert set(found(corpus, length=128)) <= {"rare pieces"}  # 30,522 pieces are many for 6 MB


def test_few_documents_are_named_and_one_alone_for_what_it_is(made: Build) -> None:
    few = found(made(TEXTS[:99]))["few documents"]
    assert few.severity == "warning" and few.fact.startswith("99 documents")
    one = found(made(["\n".join(TEXTS)]))["few documents"]
    assert one.fact == "1 document with text" and "nothing can be held out" in one.why
    assert "few documents" not in found(made(TEXTS[:100]))


def test_documents_of_one_sentence_matter_to_pairs_only(made: Build) -> None:
    alone = made([*TEXTS, *(line for text in TEXTS for line in text.splitlines())])
    assert "of the pairs come from documents of one sentence" in found(alone)["one-sentence documents"].fact
    assert "one-sentence documents" not in found(alone, pairs=False)
    some = made([*TEXTS, *(text.splitlines()[0] for text in TEXTS[:20])])
    assert "one-sentence documents" not in found(some)


def test_near_empty_documents_are_named(made: Build) -> None:
    words = sorted({word for text in TEXTS for word in text.split() if word.isalpha()})
    corpus = made([*TEXTS, *words[: len(TEXTS) // 2]])
    assert "fewer than 8 tokens" in found(corpus, pairs=False)["near-empty documents"].fact
    assert "near-empty documents" not in found(made([*TEXTS, *words[: len(TEXTS) // 10]]), pairs=False)


def test_a_text_without_sentence_ends_is_named_with_its_language(made: Build) -> None:
    endless = [" ".join(" ".join(TEXTS[at : at + 12]).replace(".", "").split()) for at in range(0, len(TEXTS), 12)]
    hint = found(made(endless))["no sentence ends"]
    assert "--language" in hint.remedy and "here en" in hint.remedy and "--sentences lines" in hint.remedy
    assert "text cut off" not in found(made(endless))


def test_text_that_pairs_cut_off_is_counted_and_single_segments_lose_none(made: Build) -> None:
    lines = [text.splitlines() for text in TEXTS]
    long = made("\n".join(" ".join(each[at : at + 4]) for at in range(0, len(each), 4)) for each in lines)
    column = long.tokens()
    lengths = np.concatenate([np.diff(shard.sentence_ends, prepend=0) for shard in column.shards])
    lost = np.maximum(0, lengths - 29).sum() / column.tokens
    hint = found(long, length=32)["text cut off"]
    assert hint.fact.startswith(f"{100 * lost:.1f} % of the tokens") and "--length 64" in hint.remedy
    assert "text cut off" not in found(long, length=32, pairs=False)
    assert "text cut off" not in found(made(TEXTS), length=128)


@pytest.mark.parametrize("pairs", [True, False])
def test_a_length_that_no_document_reaches_is_noted(made: Build, pairs: bool) -> None:
    corpus = made(TEXTS)
    hint = found(corpus, length=8192, pairs=pairs)["length not used"]
    assert hint.severity == "note" and "--length 4096" in hint.remedy
    assert "length not used" not in found(corpus, length=128, pairs=pairs)


def test_repeated_lines_are_measured_and_the_worst_is_quoted(made: Build) -> None:
    banner = "this notice is part of every single file and says nothing about what is in it at all"
    corpus = made(f"{banner}\n{text}" for text in TEXTS)
    hint = found(corpus)["repeated sentences"]
    assert banner[:30] in hint.fact and f"{len(TEXTS):,} times" in hint.fact
    size = int(corpus.tokens().shards[0].sentence_ends[0])
    assert repeats(corpus.tokens()).share == pytest.approx((len(TEXTS) - 1) * size / corpus.tokens().tokens, abs=0.003)
    assert repeats(made(TEXTS).tokens()).share < 0.01


def test_repeats_are_those_found_by_comparing_texts(small_corpus: Corpus) -> None:
    column = small_corpus.tokens()
    seen, again = set(), 0
    for shard in column.shards:
        for begin, end in itertools.pairwise([0, *shard.sentence_ends.tolist()]):
            ids = shard.ids[begin:end].tobytes()
            again += (end - begin) * (ids in seen)
            seen.add(ids)
    assert repeats(column).share == again / column.tokens > 0.1


def test_hashing_in_small_stretches_and_sampling_change_little(
    small_corpus: Corpus, monkeypatch: pytest.MonkeyPatch
) -> None:
    column = small_corpus.tokens()
    whole = repeats(column)
    monkeypatch.setattr(repeats_module, "_TOKENS", 100)
    assert repeats(column) == whole
    assert repeats(column, sentences=column.sentences // 4).share == pytest.approx(whole.share, abs=0.08)


def test_a_vocabulary_of_another_language_shows_as_unknown_tokens(made: Build) -> None:
    foreign = Tokenizer.train(["木曾路はすべて山の中である。" * 2] * 3, vocab_size=60)
    hint = found(made(TEXTS, foreign))["unknown tokens"]
    assert hint.fact.endswith("of the tokens are [UNK]") and "tokenizer train" in hint.remedy


def test_a_vocabulary_too_large_for_the_text_is_named(made: Build, reader: Tokenizer) -> None:
    assert "occur fewer than 10 times" in found(made(TEXTS[:20]))["rare pieces"].fact
    assert "rare pieces" not in found(made(TEXTS))


@pytest.mark.parametrize(("language", "foreign"), [("en", True), ("zh", False), ("xx", False)])
def test_letters_of_another_language_are_noticed(made: Build, language: str, foreign: bool) -> None:
    chinese = ["天地玄黄，宇宙洪荒。日月盈昃，辰宿列张。", "寒来暑往，秋收冬藏。闰余成岁，律吕调阳。"] * 60
    tokenizer = Tokenizer.train(chinese, vocab_size=100)
    hints = found(made(chinese, tokenizer, language=language, sentences="auto"))
    assert ("another language" in hints) == foreign
    if foreign:
        assert "--language en (most are CJK)" in hints["another language"].fact


def test_english_built_by_chinese_rules_is_noticed(made: Build) -> None:
    assert "most are LATIN" in found(made(TEXTS, language="zh"))["another language"].fact


def test_unknown_words_that_are_spelt_out_are_no_fault(word_corpus: Corpus) -> None:
    column = word_corpus.tokens()
    assert column.unknown / column.tokens > 0.03
    assert not any(found.name == "unknown tokens" for found in findings(word_corpus, column, length=64, pairs=False))
