"""What all sides of a benchmark share: a vocabulary, networks and texts, in one folder.

Networks have published sizes and random weights, or come from the user's folder; how long a product takes does not depend on
its numbers.  Texts are cut from the documentation of the running Python, which is on every machine, in lengths drawn from a
profile; or they are the user's own, as long as they are.
"""

from __future__ import annotations

import json
import math
import statistics
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import chain, pairwise
from pathlib import Path
from typing import Any

import numpy as np

from maskwright.bench.cases import Case
from maskwright.checkpoint.folder import Card
from maskwright.corpus.docstrings import harvest
from maskwright.corpus.ledger import Ledger
from maskwright.corpus.read import Reader
from maskwright.corpus.sources import find_sources
from maskwright.data.source import tokenise_rows
from maskwright.errors import InputError
from maskwright.families import family_of
from maskwright.keys import Key
from maskwright.machine import seeded
from maskwright.model import Model, create, load
from maskwright.tasks.classify import Classification
from maskwright.text.tokenizer import Tokenizer

__all__ = ["LABELS", "PROFILES", "Profile", "furnish"]

LABELS = ("no", "yes")
"""Of the texts to fine-tune on, in turn: what is learnt is of no interest."""
_VOCABULARY = 30_522
_TEXT = 4_000_000
"""Bytes of documentation that are read."""
_STEPS = 64
"""Steps of masked language modelling that there is text for, where the text suffices."""
_FEWEST = 64
_SIZES: dict[str, dict[str, int]] = {
    "minilm": {"layers": 6, "width": 384, "heads": 12, "feed_forward": 1536},
    "mini": {"layers": 4, "width": 256, "heads": 4},
    "base": {"layers": 12, "width": 768, "heads": 12},
    "classifier": {"layers": 12, "width": 768, "heads": 12},
}
_CLASSIFY = ("minilm", "classifier")
"""Networks to fine-tune."""
Texts = list[tuple[str, ...]]


@dataclass(frozen=True)
class Profile:
    """How many rows of text, and how long: lengths are log-normal and end at the case's."""

    rows: int
    texts: int
    """In a row: one or two."""
    mean: float
    """Tokens of a row, special ones included, before the longest are cut."""
    spread: float
    """Standard deviation of the logarithm of the length."""


PROFILES = {
    "pairs": Profile(2_048, 2, 48, 0.4),
    "long": Profile(2_048, 1, 176, 0.7),
    "sentences": Profile(2_000, 1, 28, 0.5),
}


def furnish(folder: Path, cases: Sequence[Case], data: Path | None, model: Path | None, seed: int) -> dict[str, Any]:
    """Write what the cases need into a folder; return what the networks and the texts are, as plain numbers.

    InputError for files that hold too little text, CheckpointError for the model.
    """
    documents = _read(data)
    tokenizer = Tokenizer.train(documents, vocab_size=_VOCABULARY) if model is None else load(model).tokenizer
    networks: dict[str, Any] = {}
    lengths = {(case.network, case.length) for case in cases}
    for name in sorted({case.network for case in cases}):
        made = _network(name, tokenizer, model, seed)
        made.save(folder / name)
        sizes = [length for network, length in lengths if network == name]
        networks[name] = {
            "parameters": sum(p.numel() for p in made.parameters()),
            "width": made.spec.width,
            "vocabulary": made.spec.vocabulary,
            "flops": {str(length): _flops(made, length) for length in sizes},
            "spared": {str(length): 2 * made.spec.stack.spared(length) for length in sizes},
        }
    texts: dict[str, Any] = {}
    for name, length, batch in sorted({(case.texts, case.length, case.batch) for case in cases}):
        if name == "running":
            texts[f"{name}-{length}"] = _blocks(folder, documents, tokenizer, length, batch * _STEPS)
            continue
        rows = _drawn(documents, tokenizer, PROFILES[name], length, seed) if data is None else _given(documents, name)
        (folder / f"{name}-{length}.json").write_text(json.dumps(rows), "utf-8")
        ids = tokenise_rows(tokenizer, rows, length)
        texts[f"{name}-{length}"] = _facts([tokenizer.frame.special(len(row)) + sum(map(len, row)) for row in ids])
    return {"networks": networks, "texts": texts}


def _read(data: Path | None) -> list[str]:
    if data is None:
        return [text for _, text in harvest(_TEXT).documents]
    ledger = Ledger()
    texts = [document.text.strip() for document in Reader(find_sources(data, ledger), ledger)]
    if len(texts) < _FEWEST:
        raise InputError(f"--data {data}: {len(texts)} texts are too few to measure on; {_FEWEST} are needed")
    return [text for text in texts if text]


def _network(name: str, tokenizer: Tokenizer, given: Path | None, seed: int) -> Model:
    if given is not None and name in (*_CLASSIFY, "encoder"):
        model = load(given)
        # What the folder advises for its vectors; a case says itself where texts are cut, to all sides.
        model.tokenizer.max_length = model.spec.longest
    else:
        spec = family_of("bert").new_spec(vocabulary=_VOCABULARY, **_SIZES["minilm" if name == "encoder" else name])
        model = create(spec, tokenizer, seed=seed)
    heads = {**dict.fromkeys(_CLASSIFY, ("classify",)), "encoder": ()}.get(name, ("mlm",))
    model.keep_heads(*(["pooler"] if name in _CLASSIFY else []))
    with seeded(seed):
        for head in heads:
            model.add_head(head, len(LABELS) if head == "classify" else 0)
    facts, labels = Classification(LABELS).card() if name in _CLASSIFY else ({"pooling": "mean"}, ())
    model.card = Card(facts if name in (*_CLASSIFY, "encoder") else {}, tuple(labels))
    return model


def _flops(model: Model, length: int) -> list[list[int]]:
    """[length, forward operations a token, without heads] at a tenth of the length and at the whole: linear in between."""
    return [[size, model.spec.flops(size)] for size in (length // 10, length)]


def _drawn(documents: Sequence[str], tokenizer: Tokenizer, profile: Profile, length: int, seed: int) -> Texts:
    """Cut runs of words out of the documents, of lengths drawn from the profile."""
    words = list(chain.from_iterable(document.split() for document in documents))
    known = sorted(set(words))
    pieces = dict(zip(known, map(len, tokenizer.encode_batch(known)), strict=True))
    after = np.cumsum([pieces[word] for word in words])  # pieces up to and including each word
    draw = Key(seed).stream("bench.texts")
    uniforms = draw.uniforms(profile.rows).tolist()
    middle = math.log(profile.mean) - profile.spread**2 / 2
    normal = statistics.NormalDist(middle, profile.spread)
    rows: Texts = []
    for uniform in uniforms:
        size = min(length, math.exp(normal.inv_cdf(min(max(uniform, 1e-6), 1 - 1e-6))))
        each = max(2, round((size - tokenizer.frame.special(profile.texts)) / profile.texts))
        row = []
        for _ in range(profile.texts):
            first = draw.below(len(words) - 2 * length)
            last = int(np.searchsorted(after, after[first] + each, "left"))
            row.append(" ".join(words[first : max(last, first + 1)]))
        rows.append(tuple(row))
    return rows


def _given(documents: Sequence[str], name: str) -> Texts:
    """The user's texts as they are, at most as many as the profile has; pairs are neighbours."""
    profile = PROFILES[name]
    rows: Texts = list(pairwise(documents)) if profile.texts == 2 else [(text,) for text in documents]
    return rows[: profile.rows]


def _blocks(folder: Path, documents: Sequence[str], tokenizer: Tokenizer, length: int, most: int) -> dict[str, Any]:
    """Cut the documents' tokens, end to end, into blocks that fill examples of the length."""
    room = length - tokenizer.frame.special(1)
    ids: list[int] = []
    for document in documents:
        ids += tokenizer.encode(document)
        if len(ids) >= most * room:
            break
    count = min(most, len(ids) // room)
    if count < _FEWEST:
        raise InputError(f"--data: {len(ids):,} tokens are too few for {_FEWEST} examples of {length}")
    np.save(folder / f"running-{length}.npy", np.array(ids[: count * room]).reshape(count, room))
    return _facts([length] * count)


def _facts(sizes: Sequence[int]) -> dict[str, Any]:
    return {
        "rows": len(sizes),
        "tokens": sum(sizes),
        "mean": round(statistics.fmean(sizes), 1),
        "median": statistics.median(sizes),
        "longest": max(sizes),
        "seen": sum(size * size for size in sizes) / sum(sizes),
    }
