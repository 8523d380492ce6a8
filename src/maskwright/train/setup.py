"""What a pre-training is made of, before its first step: corpus, model, objectives, and which documents are held out."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from maskwright import machine
from maskwright.config import PretrainConfig
from maskwright.corpus.store import Corpus, TokenColumn
from maskwright.data.batch import Batch, Collator
from maskwright.data.loader import Loader
from maskwright.data.pairs import Pairing
from maskwright.data.plan import Budget, Plan
from maskwright.data.source import CorpusSource
from maskwright.errors import ConfigError
from maskwright.evaluation.pretraining import Heldout, Reference, evaluate_pretraining
from maskwright.families import family_of
from maskwright.keys import Key
from maskwright.model import Model, create, load
from maskwright.objective import Objective, Together
from maskwright.objectives import OBJECTIVES
from maskwright.text.characters import CharacterTokenizer
from maskwright.text.tokenizer import Tokenizer
from maskwright.train.budget import budget_of, micro_tokens_of
from maskwright.train.warmup import warmed_up
from maskwright.train.world import ALONE, World

__all__ = ["Pretraining", "held_out", "make_objective"]

_HELD_OUT_EPOCH = 1 << 32
"""Epoch of the keys with which held-out text is paired and masked: always the same, and no training epoch's."""


def make_objective(
    names: str,
    options: Mapping[str, Mapping[str, Any]],
    weights: Mapping[str, float] | None = None,
    weighting: str = "fixed",
) -> Together:
    """Build objectives from names with commas, options by name, and weights of their parts.

    ConfigError for an unknown name, option or part.
    """
    wanted = [name.strip() for name in names.split(",") if name.strip()]
    if not wanted or len(set(wanted)) < len(wanted):
        raise ConfigError(f"objectives: name at least one, each once, not {names!r}")
    if unused := sorted(set(options) - set(wanted)):
        raise ConfigError(f"objective.{unused[0]}: options for an objective that is not among {names!r}")
    made: list[Objective] = []
    for name in wanted:
        kind = OBJECTIVES[name].load()
        made.append(kind(kind.Config.of(options.get(name, {}), f"objective.{name}.")))
    return Together(made, weights, weighting)


def held_out(documents: int, share: float, seed: int) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Return the numbers of the documents to train on and of those held out, each rising: the same for the same seed.

    At least two are held out, for one document gives no pairs, and at most half; none of fewer than four, or for a share of 0.
    """
    order = Key(seed).stream("corpus.held-out").order(documents)
    held = min(max(2, round(share * documents)), documents // 2) if share else 0
    if held < 2:
        held = 0
    return np.sort(order[held:]), np.sort(order[:held])


@dataclass
class Pretraining:
    """Everything a pre-training is made of, before its first step."""

    config: PretrainConfig
    corpus: Corpus
    column: TokenColumn
    model: Model
    objective: Together
    train_documents: NDArray[np.int64]
    held_documents: NDArray[np.int64]

    @classmethod
    def of(cls, config: PretrainConfig, model: Model | None = None) -> Pretraining:
        """Open the corpus, build or load the model (unless it is given), choose the held-out documents."""
        corpus = Corpus.open(config.corpus)
        column = corpus.tokens()
        seed = config.train.seed
        if model is None and config.start is not None:
            model = load(config.start)
            _check_size(config, model)
        if model is not None:
            column = corpus.tokens(model.stored)
        else:
            size = config.encoder
            if size.width % size.heads:
                raise ConfigError(f"encoder.width {size.width} is not a multiple of encoder.heads {size.heads}")
            family = family_of(size.family)
            tokenizer: Any = corpus.tokenizer(column.tokenizer_fingerprint)
            if family.tokens == "characters":
                words = _words_of(corpus)
                tokenizer, column = CharacterTokenizer(words=words), corpus.tokens(words)
            else:  # a corpus knows no limit, and the model's folder must not keep whatever its tokenizer came with
                tokenizer = tokenizer.cut_at(size.positions)
            spec = family.new_spec(
                vocabulary=tokenizer.vocab_size,
                width=size.width,
                layers=size.layers,
                heads=size.heads,
                feed_forward=size.feed_forward,
                positions=size.positions,
                dropout=size.dropout,
                attention_dropout=size.attention_dropout,
            )
            model = create(spec, tokenizer, seed=seed)
        if config.length > model.spec.longest:
            raise ConfigError(f"length {config.length} is more than the model's {model.spec.longest} positions")
        objective = make_objective(config.objectives, config.objective, config.objective_weights, config.weighting)
        # Fresh heads must not depend on what was drawn before: two runs of one seed start from the same weights.
        with machine.seeded(seed):
            for part in objective.members:
                part.prepare(model)
        model.keep_heads(*objective.heads)
        return cls(
            config,
            corpus,
            column,
            model.to(machine.device()),
            objective.to(machine.device()),
            *held_out(column.documents, config.held_out, seed),
        )

    @property
    def pairs(self) -> bool:
        """Whether examples are pairs of segments."""
        return self.pairing(self.config.length).texts == 2

    def pairing(self, length: int) -> Pairing:
        """Return how documents become examples of at most ``length`` tokens."""
        return self.objective.pairing(length, self.config.short_rate, self.model.stored.frame)

    def source(self, documents: NDArray[np.int64], length: int | None = None) -> CorpusSource:
        """Return examples from the given documents, of the configured length unless another is given."""
        frame = self.model.stored.frame
        fingerprint = f"{self.corpus.fingerprint}:{self.column.tokenizer_fingerprint}"
        pairing, sizes = self.pairing(length or self.config.length), self.objective.sizes(frame)
        return CorpusSource(self.column, documents, pairing, frame, fingerprint, sizes)

    @property
    def longest_example(self) -> int:
        """Tokens of the longest example, a decoder's included."""
        sizes = self.objective.sizes(self.model.stored.frame)
        return self.config.length if sizes is None else int(sizes(np.array([self.config.length]))[0])

    def collator(self) -> Collator:
        """Return the chain of collation of these objectives."""
        return Collator.of(self.objective.stages(self.model), self.model.tokenizer)

    def loader(self, world: World = ALONE) -> Loader:
        """Return this process's share of the training batches."""
        train = self.config.train
        return Loader(
            self.source(self.train_documents),
            self.collator(),
            budget_of(train),
            train.seed,
            train.workers,
            micro_tokens_of(train, self.model, self.config.length, self.config.out, world, self.objective),
            world.rank,
            world.size,
            plans=self.config.out / "plans",
        )

    def warmed_up(self, loader: Loader, steps: int) -> Loader:
        """Return the loader with the warm-ups of a run of so many steps."""
        return warmed_up(
            loader,
            steps,
            batch=self.config.train.batch_warmup,
            length=self.config.length_warmup,
            full_length=self.config.length,
            least=self.longest_example,
            shorter=lambda length: self.source(self.train_documents, length),
        )

    def heldout_plan(self) -> tuple[CorpusSource, Plan]:
        """Return the plan of the held-out documents, cut into batches of at most ``micro_tokens`` tokens."""
        source = self.source(self.held_documents)
        wanted = self.config.train.micro_tokens
        budget = Budget(tokens=max(self.longest_example, 8_192 if wanted == "auto" else min(8_192, wanted)))
        return source, source.plan(budget, Key(self.config.train.seed, _HELD_OUT_EPOCH))

    def heldout_batches(self, tokens: int | None = None) -> list[Batch]:
        """Return held-out batches, masked the same way every time; at most about ``tokens`` tokens of them."""
        source, plan = self.heldout_plan()
        collate, key = self.collator(), Key(self.config.train.seed, _HELD_OUT_EPOCH)
        batches, seen = [], 0
        for step in range(plan.steps):
            if tokens is not None and seen >= tokens:
                break
            batches.append(collate([source.sample(plan, int(n)) for n in plan.examples(step)], key))
            seen += batches[-1].tokens
        return batches

    def columns(self) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        """Return the plans' columns that baselines learn from, of the training documents, and those that are scored."""
        train_plan = self.source(self.train_documents).plan(
            Budget(examples=1), Key(self.config.train.seed, _HELD_OUT_EPOCH), shuffle=False
        )
        return train_plan.columns, self.heldout_plan()[1].columns

    def evaluate(self, reference: Reference, dtype: torch.dtype) -> Heldout:
        """Score the model on all held-out documents, beside the baselines."""
        return evaluate_pretraining(
            self.model, self.objective, self.heldout_batches(), dtype, reference, *self.columns()
        )


def _words_of(corpus: Corpus) -> Tokenizer:
    """The first vocabulary of words that a corpus is stored in; ConfigError where there is none."""
    for fingerprint in corpus.fingerprints:
        if (tokenizer := corpus.tokenizer(fingerprint)).words:
            return tokenizer
    raise ConfigError(
        f"encoder.family: elmo reads and predicts whole words, and {corpus.folder} is stored in pieces of words only. Train a "
        "vocabulary of words (maskwright tokenizer train --kind words) and add it to the corpus (maskwright corpus add-tokens)"
    )


def _check_size(config: PretrainConfig, model: Model) -> None:
    """Refuse a size that was asked for and is not that of the model to go on from: it would be ignored."""
    stack = model.spec.stack
    has = {
        "family": model.spec.family,
        "layers": stack.layers,
        "width": stack.block.width,
        "heads": stack.block.heads,
        "feed_forward": stack.block.feed_forward,
        "positions": model.spec.longest,
        "dropout": stack.block.dropout,
        "attention_dropout": stack.block.attention_dropout,
    }
    for name, value in has.items():
        wanted = getattr(config.encoder, name)
        # A field with its default may not have been set by anybody.
        if wanted not in (type(config.encoder).model_fields[name].default, value):
            raise ConfigError(
                f"encoder.{name}: {wanted} is asked for and the model at {config.start} has {value}; a run that goes on from a "
                "model keeps its size and dropout. Leave it out, or start anew without --start"
            )
