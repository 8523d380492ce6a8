"""How fast each unit of masking is: tokens a second in one process, and as a ratio to single tokens.

    python bench/masks.py CORPUS [--gazetteer FILE] [--length 128] [--rounds 5]

Only the stage is timed, in seconds of the processor; the samples lie ready in memory.  Units take turns, round by round, so
that a machine that others use too slows all of them alike.  Without a gazetteer one is made of the corpus's own pairs of
successive words, 50,000 of them: nearly every word is in an entity then, far more than with a real list.
"""

from __future__ import annotations

import argparse
import statistics
import time
from pathlib import Path

import numpy as np

from maskwright.corpus.store import Corpus
from maskwright.data.batch import Sample
from maskwright.data.pairs import Runs
from maskwright.data.plan import Budget
from maskwright.data.source import CorpusSource
from maskwright.keys import Key
from maskwright.objectives.gazetteer import Gazetteer
from maskwright.objectives.mlm import HideTokens, MlmConfig
from maskwright.text.tokenizer import Tokenizer

UNITS = ("token", "word", "span", "ngram", "entity")


def made_of(samples: list[Sample], tokenizer: Tokenizer, most: int = 50_000) -> Gazetteer:
    """A gazetteer of the first pairs of successive words."""
    names: dict[str, None] = {}
    for sample in samples:
        bounds = np.append(np.flatnonzero(sample.starts_word & ~sample.special), len(sample.ids) - 1).tolist()
        for begin, end in zip(bounds, bounds[2:], strict=False):
            names[tokenizer.decode(sample.ids[begin:end].tolist())] = None
        if len(names) >= most:
            break
    return Gazetteer.of(names, tokenizer)


def main() -> None:
    """Time the units and print a line for each."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("corpus", type=Path)
    parser.add_argument("--gazetteer", type=Path)
    parser.add_argument("--length", type=int, default=128)
    parser.add_argument("--rate", type=float, default=0.15)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--tokens", type=int, default=200_000)
    given = parser.parse_args()

    corpus = Corpus.open(given.corpus)
    tokenizer, column = corpus.tokenizer(), corpus.tokens()
    documents = np.arange(column.documents)
    source = CorpusSource(
        column, documents, Runs(given.length, special=tokenizer.frame.special(1)), tokenizer.frame, ""
    )
    plan = source.plan(Budget(tokens=given.tokens), Key(0))
    samples = [source.sample(plan, int(number)) for number in plan.examples(0)]
    tokens = sum(len(sample.ids) for sample in samples)
    began = time.process_time()
    gazetteer = Gazetteer.read(given.gazetteer, tokenizer) if given.gazetteer else made_of(samples, tokenizer)
    made = time.process_time() - began
    found = sum(len(gazetteer.find(s.ids, s.starts_word, s.special)) for s in samples)
    ordinary = np.setdiff1d(np.arange(tokenizer.vocab_size), sorted(tokenizer.special_ids))
    stages = {
        unit: HideTokens(MlmConfig(unit=unit, rate=given.rate), tokenizer.mask_id, ordinary, gazetteer)
        for unit in UNITS
    }
    seconds: dict[str, list[float]] = {unit: [] for unit in UNITS}
    for epoch in range(given.rounds):
        for unit, stage in stages.items():
            began = time.process_time()
            for sample in samples:
                stage(sample, Key(0, epoch, sample.number))
            seconds[unit].append(time.process_time() - began)
    print(
        f"{tokens:,} tokens in {len(samples):,} samples of up to {given.length}, rate {given.rate}, {given.rounds} rounds; "
        f"gazetteer: {gazetteer.counts['entities']:,} entities, made in {made:.1f} s, {found:,} found\n"
    )
    print(f"{'unit':8}{'Mtok/s':>8}{'min':>7}{'max':>7}{'to token':>10}{'[min':>7}{'max]':>7}")
    for unit in UNITS:
        rates = sorted(tokens / 1e6 / each for each in seconds[unit])
        ratios = sorted(token / each for token, each in zip(seconds["token"], seconds[unit], strict=True))
        print(
            f"{unit:8}{statistics.median(rates):8.2f}{rates[0]:7.2f}{rates[-1]:7.2f}"
            f"{statistics.median(ratios):10.2f}{ratios[0]:7.2f}{ratios[-1]:7.2f}"
        )


if __name__ == "__main__":
    main()
