"""``maskwright vectors``: train, show, ask and convert static vectors."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Literal

from cyclopts import App

from maskwright.cli.common import command_line, note
from maskwright.report.terminal import Live, bar, key_values, show, table

if TYPE_CHECKING:
    from maskwright.static import SparseVectors, WordVectors

__all__ = ["app"]

app = App(name="vectors", help="Static vectors of words: one-hot, TF-IDF, word2vec, fastText, GloVe.")


@app.command
def train(
    *texts: str,
    out: Path,
    kind: Literal["word2vec", "fasttext", "tfidf", "onehot"] = "word2vec",
    language: Literal["en", "zh"] | None = None,
    cased: bool = False,
    unit: Literal["sentence", "document"] = "sentence",
    width: int | None = None,
    window: int | None = None,
    architecture: Literal["skipgram", "cbow"] | None = None,
    min_count: int | None = None,
    max_words: int | None = None,
    epochs: int | None = None,
    negative: int | None = None,
    sample: float | None = None,
    lr: float | None = None,
    min_n: int | None = None,
    max_n: int | None = None,
    buckets: int | None = None,
    logarithmic: bool | None = None,
    seed: int | None = None,
    text_field: str = "text",
) -> None:
    """Learn vectors from a corpus or from text files. The same command on the same machine gives the same bytes.

    Parameters
    ----------
    texts
        A corpus folder; or text files of any kind that ``corpus build`` reads, folders or patterns.
    out
        Folder for the vectors.
    kind
        word2vec, fasttext, tfidf or onehot.
    language
        zh cuts Chinese into words; default: the corpus's own, en for files.
    cased
        Keep upper case.
    unit
        What a text is: word2vec and fastText never look across its end, TF-IDF counts the texts that have a word.
    width
        Numbers in a vector (word2vec, fasttext): 100.
    window
        Neighbours to each side, at most (word2vec, fasttext): 5.
    architecture
        skipgram, or cbow (word2vec, fasttext).
    min_count
        A word must occur so often: 5; so many texts must have it: 2 (tfidf, onehot).
    max_words
        Keep only so many of the most frequent words.
    epochs
        Passes over the text (word2vec, fasttext): 5.
    negative
        Random words against each true neighbour (word2vec, fasttext): 5.
    sample
        More frequent words are thinned out (word2vec, fasttext): 0.001.
    lr
        Learning rate at the beginning (word2vec, fasttext): 0.025.
    min_n
        Characters in the shortest n-gram (fasttext): 3.
    max_n
        Characters in the longest n-gram (fasttext): 6.
    buckets
        Vectors that the n-grams share (fasttext): 200,000.
    logarithmic
        Count n occurrences as 1 + ln n (tfidf).
    seed
        Of all random choices (word2vec, fasttext): 0.
    text_field
        Field or column that holds the text.
    """
    from maskwright.errors import InputError, UsageError
    from maskwright.static import Texts, save
    from maskwright.static import train as learn
    from maskwright.static.config import KINDS
    from maskwright.static.folder import is_static
    from maskwright.static.learn import need_gensim

    if not texts:
        raise UsageError("maskwright vectors train: name a corpus or text files")
    given: dict[str, object] = {"width": width, "window": window, "architecture": architecture, "min_count": min_count}
    given |= {"max_words": max_words, "epochs": epochs, "negative": negative, "sample": sample, "lr": lr}
    given |= {"min_n": min_n, "max_n": max_n, "buckets": buckets, "logarithmic": logarithmic, "seed": seed}
    values = {name: value for name, value in given.items() if value is not None}
    # What one can know is wrong is told before the texts are read.
    if out.exists() and not is_static(out) and not (out.is_dir() and not any(out.iterdir())):
        raise InputError(f"{out} exists and holds no vectors of Maskwright; choose another --out")
    KINDS[kind].of(values, f"{kind}: ")
    if kind in ("word2vec", "fasttext"):
        need_gensim()
    source = Texts(texts, unit, language or "en", text_field)
    language = language or ("zh" if source.language == "zh" else "en")
    config = KINDS[kind].of({**values, "words": {"language": language, "lowercase": not cased}}, f"{kind}: ")
    facts = {**source.facts, "command": command_line()}
    with Live(100, f"learning {kind}") as live:
        vectors = learn(source, config, facts=facts, progress=lambda done: live.update(round(100 * done)))
    save(vectors, out)
    show(key_values({**_sizes(vectors), "written to": str(out)}))


@app.command(name="show")
def show_vectors(folder: Path) -> None:
    """Describe a folder of vectors, or a vector file: sizes, how texts are cut, frequent words, where it comes from.

    Parameters
    ----------
    folder
        Folder that ``vectors train`` or ``vectors convert`` wrote; or a file of word2vec, fastText or GloVe.
    """
    from maskwright.static import SparseVectors, load

    vectors = load(folder)
    split = vectors.split
    cut = ["Chinese by words" if split.language == "zh" else "Chinese by characters"]
    cut += ["lower case" if split.lowercase else "cased", *(["clitics apart"] if split.clitics == "split" else [])]
    facts = {name: _plain(value) for name, value in vectors.facts.items()}
    show(key_values({**_sizes(vectors), "texts are cut": ", ".join(cut), **facts}, "Vectors"))
    if vectors.counts_V is None:
        show(table("First words", ["word"], [(word,) for word in vectors.words[:10]]))
        return
    counts = vectors.counts_V[:10].tolist()
    unit = "texts" if isinstance(vectors, SparseVectors) else "count"
    rows = [(word, f"{n:,}", bar(n / max(1, *counts), 30)) for word, n in zip(vectors.words, counts, strict=False)]
    show(table("Most frequent words", ["word", unit, ""], rows))


@app.command
def nearest(folder: Path, *words: str, count: int = 10) -> None:
    """List the words whose vectors are nearest to a word's, by cosine.

    Parameters
    ----------
    folder
        Folder of word vectors, or a vector file.
    words
        Words to ask for, each a table.
    count
        Neighbours to list.
    """
    from maskwright.errors import InputError, UsageError
    from maskwright.static import SparseVectors, load

    if not words or count < 1:
        raise UsageError("maskwright vectors nearest: name at least one word, and a --count from 1")
    vectors = load(folder)
    if isinstance(vectors, SparseVectors):
        raise InputError(
            f"{folder}: {vectors.kind} vectors, in which any two words are equally far; give word2vec, fastText or GloVe"
        )
    for given in words:
        word = given.lower() if vectors.split.lowercase else given
        found = vectors.nearest(word, count)
        if word not in vectors:
            note(f"Note: {word!r} is not in the vocabulary; its vector is put together from its n-grams.")
        rows = [(other, f"{cosine:.3f}", bar(cosine, 30)) for other, cosine in found]
        show(table(f"Nearest to {word}", ["word", "cosine", ""], rows))


@app.command
def convert(
    file: Path,
    *,
    out: Path,
    language: Literal["en", "zh"] | None = None,
    cased: bool | None = None,
    skip_bad_words: bool = False,
) -> None:
    """Write a vector file of word2vec (text or binary), fastText (.vec, .bin) or GloVe as a folder that opens at once.

    Parameters
    ----------
    file
        The file, plain or .gz.
    out
        Folder for the vectors.
    language
        zh if Chinese texts are to be cut into words; default: guessed from the vocabulary.
    cased
        Whether upper case matters; default: guessed from the vocabulary.
    skip_bad_words
        Leave out, and count, words that are empty, not UTF-8 or there twice, instead of refusing the file.
    """
    from maskwright.static import convert as write

    words = {"language": language, "lowercase": None if cased is None else not cased}
    known = {name: value for name, value in words.items() if value is not None}
    vectors = write(file, out, words=known, skip_bad_words=skip_bad_words)
    skipped = {f"left out, {reason}": count for reason, count in vectors.facts.get("skipped", {}).items()}
    show(key_values({**_sizes(vectors), **skipped, "written to": str(out)}))


def _sizes(vectors: WordVectors | SparseVectors) -> dict[str, object]:
    from maskwright.static import SparseVectors

    facts: dict[str, object] = {"kind": vectors.kind, "words": len(vectors)}
    if isinstance(vectors, SparseVectors):
        return facts
    facts["width"] = vectors.width
    if vectors.subwords is not None:
        subwords = vectors.subwords
        facts["n-grams"] = f"{len(subwords.matrix_BD):,} buckets, {subwords.min_n} to {subwords.max_n} characters"
    return facts


def _plain(value: object) -> str:
    if isinstance(value, dict):
        return ", ".join(f"{name} {_plain(inner)}" for name, inner in value.items() if inner is not None)
    if isinstance(value, list):
        return ", ".join(map(str, value))
    return f"{value:,}" if isinstance(value, int) else str(value)
