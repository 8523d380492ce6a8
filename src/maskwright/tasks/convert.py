"""How GLUE's inference sets were made of other data, for making more of them: QNLI, two-way inference, WNLI.

Wang et al. 2019, section 2.2 and appendix A, https://arxiv.org/abs/1804.07461.  Each function yields (first text, second text,
label name); ``write_pairs`` writes them as GLUE's own .tsv.
"""

from __future__ import annotations

import json
import re
from bisect import bisect_right
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

from maskwright.corpus.shingles import WORD
from maskwright.errors import DataError, InputError, explain_os_error
from maskwright.report.files import write_atomic
from maskwright.tasks.formats import records
from maskwright.tasks.glueset import GlueSet
from maskwright.text.sentences import sentence_ends

__all__ = ["Pair", "qnli_from_squad", "two_way", "wnli_from_winograd", "write_pairs"]

Pair = tuple[str, str, str]

YES, NO = "entailment", "not_entailment"
_POSSESSIVE = frozenset(["his", "her", "its", "their", "hers", "theirs"])
_DETERMINERS = frozenset(["the", "a", "an", "his", "her", "its", "their", "my", "our", "your"])
_SPACE = re.compile(r"\s+")


def qnli_from_squad(path: Path) -> Iterator[Pair]:
    """Yield each question with the sentence that holds its answer, and with the most similar one that does not.

    The paragraphs' sentences with few words in common with the question were left out of QNLI, so that words in common say
    less; here the negative is the sentence with the most of them.  A question is left out where no answer lies within one
    sentence, where its paragraph has no sentence without an answer, or where it has no answer at all (SQuAD 2.0).
    Raises InputError for a file that is not laid out as SQuAD's.
    """
    try:
        content = json.loads("".join(_lines(path)))
        paragraphs = [paragraph for article in content["data"] for paragraph in article["paragraphs"]]
        for paragraph in paragraphs:
            text = paragraph["context"]
            ends = sentence_ends(text)
            sentences = [_plain(text[a:b]) for a, b in zip([0, *ends], ends, strict=False)]
            words = [Counter(_words(sentence)) for sentence in sentences]
            for asked in paragraph["qas"]:
                yield from _question(_plain(asked["question"]), asked["answers"], ends, sentences, words)
    except (KeyError, TypeError, ValueError) as error:
        raise InputError(f"{path}: not laid out as SQuAD's files ({type(error).__name__}: {error})") from None


def _question(
    question: str, answers: list[Mapping[str, Any]], ends: list[int], sentences: list[str], words: list[Counter[str]]
) -> Iterator[Pair]:
    spans = [(each["answer_start"], each["answer_start"] + len(each["text"])) for each in answers]
    places = [
        bisect_right(ends, begin) for begin, end in spans if bisect_right(ends, begin) == bisect_right(ends, end - 1)
    ]
    if not places:
        return
    texts = {each["text"].casefold() for each in answers}
    others = [n for n, one in enumerate(sentences) if one and not any(text in one.casefold() for text in texts)]
    if not others:
        return
    asked = Counter(_words(question))
    closest = max(others, key=lambda n: (sum((asked & words[n]).values()), -n))
    yield question, sentences[Counter(places).most_common(1)[0][0]], YES
    yield question, sentences[closest], NO


def two_way(path: Path, files: GlueSet) -> Iterator[Pair]:
    """Yield three-way inference in two classes: neutral and contradiction are both not_entailment, as in RTE."""
    rows = files.read(path)
    assert rows.labels is not None
    for (first, second), label in zip(rows.texts, rows.labels, strict=True):
        yield first, second, YES if label == YES else NO


def wnli_from_winograd(path: Path) -> Iterator[Pair]:
    """Yield, for each candidate, the text and its sentence with the pronoun replaced by that candidate.

    path: Davis's collection (.xml), or .jsonl with text, pronoun, options (two or more), label (place of the right one) and, if
    the pronoun occurs more than once, pronoun_loc (character, from 0).  DataError (file, line) for a schema that cannot be
    used.
    """
    schemas = _xml(path) if path.suffix == ".xml" else _jsonl(path)
    for line, text, place, pronoun, options, right in schemas:
        if text[place : place + len(pronoun)].casefold() != pronoun.casefold() or not 0 <= right < len(options):
            raise DataError(
                f"no pronoun {pronoun!r} at character {place}, or no option {right} among {len(options)}",
                file=path,
                line=line,
            )
        ends = sentence_ends(text)
        at = bisect_right(ends, place)
        begin = ends[at - 1] if at else 0
        for number, option in enumerate(options):
            name = _fitted(option, pronoun, first=not text[begin:place].strip())
            sentence = text[begin:place] + name + text[place + len(pronoun) : ends[at]]
            yield _plain(text), _plain(sentence), YES if number == right else NO


def _fitted(option: str, pronoun: str, *, first: bool) -> str:
    """A candidate as it reads in the pronoun's place: with its case, and as a genitive for a genitive."""
    name = option.strip().rstrip(".")
    head = name.partition(" ")[0]
    if first:
        name = name[:1].upper() + name[1:]
    elif head.lower() in _DETERMINERS:
        name = name[:1].lower() + name[1:]
    if pronoun.lower() in _POSSESSIVE:
        name += "'" if name.endswith("s") else "'s"
    return name


Schema = tuple[int, str, int, str, list[str], int]


def _jsonl(path: Path) -> Iterator[Schema]:
    for line, row in records(path):
        if isinstance(row, DataError):
            raise row
        try:
            text, pronoun, options, right = row["text"], row["pronoun"], row["options"], int(row["label"])
            if not isinstance(options, list) or not all(isinstance(each, str) for each in options):
                raise TypeError(f"options are {options!r}, not a list of texts")
            found = [m.start() for m in re.finditer(rf"\b{re.escape(pronoun)}\b", text, re.IGNORECASE)]
            place = row.get("pronoun_loc", found[0] if len(found) == 1 else -1)
        except (KeyError, TypeError, ValueError) as error:
            raise DataError(
                f"a schema has text, pronoun, options and label ({type(error).__name__}: {error})", file=path, line=line
            ) from None
        if not isinstance(place, int) or place < 0:
            raise DataError(
                f"the pronoun {pronoun!r} occurs {len(found)} times; say which by pronoun_loc", file=path, line=line
            )
        yield line, text, place, pronoun, options, right


def _xml(path: Path) -> Iterator[Schema]:
    content = "".join(_lines(path))
    if "<!ENTITY" in content:
        raise InputError(f"{path}: XML entities are not accepted")
    try:
        schemas = list(ElementTree.fromstring(content).iter("schema"))
    except ElementTree.ParseError as error:
        raise InputError(f"{path}: not valid XML ({error})") from None
    for number, schema in enumerate(schemas, 1):
        before, pronoun, after = (_plain(schema.findtext(f"text/{name}") or "") for name in ("txt1", "pron", "txt2"))
        options = [_plain(each.text or "") for each in schema.iter("answer")]
        right = ord((schema.findtext("correctAnswer") or "").strip()[:1] or "?") - ord("A")
        joint = "" if after[:1] in "'.,;:!?" else " "
        yield number, f"{before} {pronoun}{joint}{after}".strip(), len(before) + bool(before), pronoun, options, right


def write_pairs(
    path: Path, pairs: Iterable[Pair], columns: tuple[str, str] = ("sentence1", "sentence2")
) -> Counter[str]:
    """Write pairs as a .tsv with GLUE's header and return how often each label occurs; InputError where there are none."""
    if path.suffix != ".tsv":
        raise InputError(f"{path}: pairs are written as .tsv, GLUE's own form")
    counts: Counter[str] = Counter()
    lines = [f"index\t{columns[0]}\t{columns[1]}\tlabel\n"]
    for number, (first, second, label) in enumerate(pairs):
        counts[label] += 1
        lines.append(f"{number}\t{_plain(first)}\t{_plain(second)}\t{label}\n")
    if not counts:
        raise InputError(f"{path}: nothing came of the input, so nothing was written")
    write_atomic(path, "".join(lines).encode("utf-8"))
    return counts


def _lines(path: Path) -> Iterator[str]:
    import gzip
    import lzma

    opener: Any = {".gz": gzip.open, ".xz": lzma.open}.get(path.suffix, open)
    try:
        with opener(path, "rt", encoding="utf-8-sig") as file:
            yield from file
    except UnicodeDecodeError as error:
        raise InputError(f"{path}: not valid UTF-8 ({error.reason})") from None
    except (EOFError, lzma.LZMAError, gzip.BadGzipFile) as error:
        raise InputError(f"{path}: the compressed file is damaged ({error})") from None
    except OSError as error:
        raise explain_os_error(error, "reading") from error


def _words(text: str) -> list[str]:
    return WORD.findall(text.lower())


def _plain(text: str) -> str:
    """One line without tabs: what a .tsv can hold."""
    return _SPACE.sub(" ", text).strip()
