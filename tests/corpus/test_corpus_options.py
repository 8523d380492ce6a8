"""What a build can be asked to leave out, to keep and to refuse; how much memory it may take."""

import json
from pathlib import Path

import numpy as np
import pytest

from maskwright.corpus.build import add_tokens, build, build_from
from maskwright.corpus.health import findings
from maskwright.corpus.memory import SHARD_BYTES, parse_size, share_out
from maskwright.corpus.read import Document
from maskwright.corpus.store import Corpus
from maskwright.corpus.without import Without
from maskwright.errors import DataError, InputError
from maskwright.text.tokenizer import Tokenizer

WORDS = [
    "alpha",
    "bravo",
    "charlie",
    "delta",
    "echo",
    "foxtrot",
    "golf",
    "hotel",
    "india",
    "juliet",
    "kilo",
    "lima",
    "mike",
    "november",
    "oscar",
    "papa",
    "quebec",
    "romeo",
]


def prose(begin: int, count: int) -> str:
    return " ".join(WORDS[(begin + n * n) % len(WORDS)] + str(begin + n) for n in range(count)) + "."


def texts_of(corpus: Corpus) -> list[str]:
    return [corpus.text(number)[1] for number in range(corpus.documents)]


def built(texts: list[str], tokenizer: Tokenizer, out: Path, **options: object) -> Corpus:
    documents = [Document(f"d{number}", text) for number, text in enumerate(texts)]
    return build_from(documents, out, tokenizer, **options)  # type: ignore[arg-type]


def test_equal_documents_are_kept_once_unless_asked(small: Tokenizer, tmp_path: Path) -> None:
    texts = ["the cat.", "the dog.", "the cat.", "the cat. ", "the\x00 cat."]
    corpus = built(texts, small, tmp_path / "once", shard_bytes=16)
    assert texts_of(corpus) == ["the cat.", "the dog.", "the cat. "]
    assert corpus.ledger.documents_dropped == {"duplicate": 2}
    assert corpus.ledger.bytes_dropped == {"duplicate": 16}
    assert built(texts, small, tmp_path / "all", keep_duplicates=True).documents == 5


def test_near_duplicates_keep_their_first_one(small: Tokenizer, tmp_path: Path) -> None:
    first, second = prose(0, 200), prose(500, 200)
    texts = [
        first,
        second,
        first.replace("alpha0 ", "the "),
        first[:500],
        second.upper(),
        prose(900, 5),
        prose(900, 5) + "!",
    ]
    corpus = built(texts, small, tmp_path / "out", near_duplicates=0.8, shard_bytes=2_000)
    assert texts_of(corpus) == [first, second, first[:500], prose(900, 5)]
    assert corpus.ledger.documents_dropped == {"near duplicate": 3}
    strict = built(texts, small, tmp_path / "strict", near_duplicates=1.0)
    assert strict.ledger.documents_dropped == {"near duplicate": 2}


def test_sentences_shared_with_task_files_are_cut_out(small: Tokenizer, tmp_path: Path) -> None:
    passage, other = prose(0, 20), prose(300, 20)
    (tmp_path / "task.csv").write_text(f'id,text\n1,"So: {passage}"\n2,too short\n', encoding="utf-8")
    (tmp_path / "task.jsonl").write_text(json.dumps({"data": [{"context": other}]}) + "\n")
    (tmp_path / "task.tsv").write_text(f"x\t{prose(700, 12)}\n")
    without = Without([tmp_path / name for name in ("task.csv", "task.jsonl", "task.tsv")])
    assert (without.rows, without.short) == (9, 7)
    book = f"The cat sat. A dog ate. {passage.upper()} The end of the mats. İ {prose(700, 12)}"
    texts = [book, passage, f"A mat.\n{other}", "The dog.", passage[:60]]
    corpus = built(texts, small, tmp_path / "out", without=without)
    assert texts_of(corpus) == [book.replace(passage.upper() + " ", ""), "A mat.\n", "The dog.", passage[:60]]
    ledger = corpus.ledger
    assert ledger.documents_dropped == {"contaminated": 1}
    cut = len(passage) + 1 + len(other)
    assert ledger.bytes_dropped == {"contaminated": len(passage), "contaminated sentences": cut}


def test_a_run_across_a_sentence_end_cuts_both(small: Tokenizer, tmp_path: Path) -> None:
    words = prose(0, 16).rstrip(".").split()
    (tmp_path / "task.txt").write_text(" ".join(words))
    text = f"The cat. Now {' '.join(words[:8])}. {' '.join(words[8:]).capitalize()} it is. The dog."
    corpus = built([text], small, tmp_path / "out", without=[tmp_path / "task.txt"])
    assert texts_of(corpus) == ["The cat. The dog."]


def test_a_corpus_without_its_texts_has_the_same_tokens_and_says_what_it_cannot(
    small: Tokenizer, other: Tokenizer, tmp_path: Path
) -> None:
    texts = [f"the cat sat on mat {number}. a dog ate." for number in range(50)]
    kept = built(texts, small, tmp_path / "kept", shard_bytes=400)
    bare = built(texts, small, tmp_path / "bare", shard_bytes=400, keep_text=False)
    assert kept.has_text and not bare.has_text and bare.fingerprint == kept.fingerprint
    assert bare.manifest.columns == kept.manifest.columns and bare.ledger == kept.ledger
    assert not any(b"the cat" in path.read_bytes() for path in bare.folder.glob("text-*"))
    bare.verify()
    findings(bare, bare.tokens(), length=32, pairs=True)
    for act in (lambda: bare.text(0), lambda: list(bare.texts(bare.manifest.shards[0]))):
        with pytest.raises(InputError, match=r"bare was built without its texts\. Build it again"):
            act()
    with pytest.raises(InputError, match="built without its texts, so no other tokenizer's tokens can be made from it"):
        add_tokens(bare.folder, other)
    assert add_tokens(bare.folder, small).fingerprints == [small.fingerprint]


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("a.pdf", "", "is none of .csv"),
        ("a.jsonl", "{}\n{", "line 2: not JSON"),
        ("a.json", "[", "not JSON"),
        ("b.txt", None, "no such file"),
    ],
)
def test_unusable_task_files_are_named(tmp_path: Path, name: str, content: str | None, message: str) -> None:
    if content is not None:
        (tmp_path / name).write_text(content)
    with pytest.raises(InputError, match=message):
        Without([tmp_path / name])


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (" \n", "document 'd1' is empty"),
        ("\x01\x02", "document 'd1' has no character that this vocabulary keeps"),
        ("the cat.", "document 'd1' is a duplicate of an earlier one"),
        ("a \x00 mat", "document 'd1' holds 1 NULs"),
    ],
)
def test_strict_refuses_what_would_be_dropped(small: Tokenizer, tmp_path: Path, text: str, message: str) -> None:
    with pytest.raises(DataError, match=message):
        built(["the cat.", text], small, tmp_path / "out", strict=True)


def test_everything_at_once_is_accounted_for(small: Tokenizer, tmp_path: Path) -> None:
    page = "<html><body><p>the cat &amp; the dog</p></body></html>"
    (tmp_path / "task.txt").write_text(prose(0, 20))
    rows = [
        "the cat.",
        "the cat.",
        "",
        "\x01",
        "a\x00 dog",
        prose(0, 20),
        f"the mats. {prose(0, 20)}",
        prose(50, 99),
        prose(50, 98) + " the.",
        "\ud800",
    ]
    source = tmp_path / "in"
    source.mkdir()
    (source / "a.jsonl").write_text("".join(json.dumps({"text": row}) + "\n" for row in rows))
    (source / "b.txt").write_bytes(b"caf\xe9 and cats\n\n\n")
    (source / "c.html").write_text(page)
    options = {"near_duplicates": 0.8, "without": [tmp_path / "task.txt"], "shard_bytes": 100}
    ledger = build(source, tmp_path / "out", small, **options).ledger  # type: ignore[arg-type]
    assert ledger.documents_dropped == {
        "duplicate": 1,
        "empty": 1,
        "no token": 2,
        "contaminated": 1,
        "near duplicate": 1,
    }
    assert {"contaminated sentences", "near duplicate"} <= set(ledger.bytes_dropped)
    assert ledger.bytes_nul == 1 and ledger.bytes_around["markup"] > 20
    ledger.check()


@pytest.mark.parametrize(
    ("text", "size"),
    [
        ("512MB", 512_000_000),
        ("2 GiB", 2 << 30),
        ("1.5gb", 1_500_000_000),
        ("700M", 700_000_000),
        (123, 123),
        ("64KiB", 65_536),
    ],
)
def test_sizes_are_read_as_written(text: str | int, size: int) -> None:
    assert parse_size(text) == size


@pytest.mark.parametrize("text", ["", "0", "-5MB", "many", "5 pigs", "5PB", "1e9"])
def test_other_sizes_are_refused(text: str) -> None:
    with pytest.raises(InputError, match=r"is no amount of memory\. Write it like 512MB"):
        parse_size(text)


def test_memory_decides_the_shards_and_how_many_processes_fit() -> None:
    assert share_out(None, 7) == (SHARD_BYTES, 7)
    shards = {share_out("1GB", processes)[0] for processes in (0, 1, 4, 64)}
    assert shards == {SHARD_BYTES}
    assert share_out("512MB", 1)[1] == 1 and 1 <= share_out("512MB", 16)[1] < 16
    assert share_out("100GB", 16)[1] == 16
    with pytest.raises(InputError, match=r"--memory 50MB: a build needs \d+ MB"):
        share_out("50MB", 1)
    with pytest.raises(InputError, match="--processes -1"):
        share_out(None, -1)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"engine": "spark"}, "engine is 'spark'; local or ray"),
        ({"near_duplicates": 0.2}, "outside 0.5 to 1"),
        ({"near_duplicates": 0.8, "keep_duplicates": True}, "contradict"),
    ],
)
def test_options_that_cannot_be_are_refused(
    small: Tokenizer, tmp_path: Path, options: dict[str, object], message: str
) -> None:
    with pytest.raises(InputError, match=message):
        built(["the cat."], small, tmp_path / "out", **options)


def test_chinese_words_are_stored_and_say_where_a_word_starts(tmp_path: Path) -> None:
    pytest.importorskip("rjieba")
    texts = ["我来到北京清华大学。T恤很好看，他说hello\u3000world！", "天地玄黄，\n宇宙洪荒。\U00020000好"]
    tokenizer = Tokenizer.train([*texts, *texts], vocab_size=200)
    corpus = built(texts, tokenizer, tmp_path / "zh", language="zh")
    assert corpus.manifest.word_rule == "rjieba"
    ends = [corpus.document(number).word_ends or [] for number in range(2)]
    words = [
        [text[b:e] for b, e in zip([0, *each], each, strict=False)] for text, each in zip(texts, ends, strict=True)
    ]
    assert words[0][:6] == ["我", "来到", "北京", "清华大学", "。", "T恤"]
    assert ["".join(each) for each in words] == texts
    (shard,) = corpus.tokens().shards
    pieces = tokenizer.pieces(shard.ids.tolist())
    marked = list(zip(pieces, shard.starts_word(0, shard.tokens).tolist(), strict=True))
    assert marked[:12] == [
        ("我", True), ("来", True), ("到", False), ("北", True), ("京", False), ("清", True), ("华", False), ("大", False),
        ("学", False), ("。", True), ("t", True), ("恤", False),
    ]  # fmt: skip
    assert corpus.fingerprint != built(texts, tokenizer, tmp_path / "en").fingerprint


def test_word_starts_of_real_chinese_are_those_of_the_offsets(shared: Path, tmp_path: Path) -> None:
    pytest.importorskip("rjieba")
    import lzma

    vocabulary = shared / "data" / "vocab" / "bert-base-chinese-vocab.txt.xz"
    (tmp_path / "vocab.txt").write_bytes(lzma.decompress(vocabulary.read_bytes()))
    tokenizer = Tokenizer.load(tmp_path / "vocab.txt")
    with lzma.open(shared / "data" / "corpus" / "zh_wiki_cmrc_drcd.jsonl.xz", "rt", encoding="utf-8") as lines:
        texts = [json.loads(line)["text"] for line in lines][::40]
    corpus = built(texts, tokenizer, tmp_path / "zh", language="zh")
    (shard,) = corpus.tokens().shards
    expected: list[bool] = []
    for row in map(corpus.document, range(corpus.documents)):
        starts, begin = {0, *(row.word_ends or [])}, 0
        for end in row.sentence_ends:
            encoded = tokenizer.encode_with_offsets(row.text[begin:end])
            for number, (at, _) in zip(encoded.ids, encoded.offsets, strict=True):
                is_chinese = "\u3400" <= row.text[begin + at] <= "\u9fff"
                expected.append(begin + at in starts if is_chinese else bool(tokenizer.starts_word_V[number]))
            begin = end
    found = shard.starts_word(0, shard.tokens)
    assert shard.tokens > 30_000 and 0.4 < found.mean() < 0.8
    assert np.array_equal(found, expected)
