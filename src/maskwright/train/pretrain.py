"""Pre-training: a corpus and objectives in, an encoder out."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from maskwright import machine
from maskwright.config import RUNTIME, PretrainConfig
from maskwright.corpus.store import Corpus, TokenColumn
from maskwright.data.batch import Batch, Collator
from maskwright.data.loader import Loader
from maskwright.data.pairs import NextPairs, Pairing, Runs
from maskwright.data.plan import Budget, Plan
from maskwright.data.source import CorpusSource
from maskwright.errors import ConfigError, InputError
from maskwright.evaluation.pretraining import Heldout, Reference, evaluate_pretraining, unigram_reference
from maskwright.evaluation.runner import forward_only
from maskwright.families import family_of
from maskwright.keys import Key
from maskwright.model import Model, create, load
from maskwright.objective import Objective, Together
from maskwright.objectives import OBJECTIVES
from maskwright.objectives.nsp import Nsp
from maskwright.train.budget import budget_of, micro_tokens_of, steps_of, warmed_up
from maskwright.train.loop import Evaluation, Finished, Run
from maskwright.train.world import ALONE, World, together

__all__ = ["Pretrained", "Pretraining", "evaluate_on", "make_objective", "pretrain"]

_HELD_OUT_EPOCH = 1 << 32
"""Epoch of the keys with which held-out text is paired and masked: always the same, and no training epoch's."""


@dataclass(frozen=True)
class Pretrained:
    """What a pre-training gave."""

    model: Model
    finished: Finished
    heldout: Heldout | None
    """Scores on documents that were never trained on; None when nothing was held out."""
    folder: Path


def make_objective(names: str, options: Mapping[str, Mapping[str, Any]]) -> Together:
    """Build objectives from names with commas, and options by name; ConfigError for an unknown name or option."""
    wanted = [name.strip() for name in names.split(",") if name.strip()]
    if not wanted or len(set(wanted)) < len(wanted):
        raise ConfigError(f"objectives: name at least one, each once, not {names!r}")
    if unused := sorted(set(options) - set(wanted)):
        raise ConfigError(f"objective.{unused[0]}: options for an objective that is not among {names!r}")
    made: list[Objective] = []
    for name in wanted:
        kind = OBJECTIVES[name].load()
        made.append(kind(kind.Config.of(options.get(name, {}), f"objective.{name}.")))
    return Together(made)


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
        if model is not None:
            column = corpus.tokens(model.tokenizer)
        else:
            size = config.encoder
            if size.width % size.heads:
                raise ConfigError(f"encoder.width {size.width} is not a multiple of encoder.heads {size.heads}")
            tokenizer = corpus.tokenizer(column.tokenizer_fingerprint)
            spec = family_of(size.family).new_spec(
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
        objective = make_objective(config.objectives, config.objective)
        # Fresh heads must not depend on what was drawn before: two runs of one seed start from the same weights.
        with machine.seeded(seed):
            for part in objective.members:
                part.prepare(model)
        model.keep_heads(*objective.heads)
        order = Key(seed).stream("corpus.held-out").order(column.documents)
        held = min(max(2, round(config.held_out * column.documents)), column.documents // 2) if config.held_out else 0
        return cls(
            config,
            corpus,
            column,
            model.to(machine.device()),
            objective,
            np.sort(order[held:]),
            np.sort(order[:held]),
        )

    def pairing(self, length: int) -> Pairing:
        """Return how documents become examples of at most ``length`` tokens."""
        pairs = next((part for part in self.objective.members if isinstance(part, Nsp)), None)
        if pairs is None:
            return Runs(length, self.config.short_rate)
        return NextPairs(length, self.config.short_rate, pairs.config.random_rate)

    def source(self, documents: NDArray[np.int64], length: int | None = None) -> CorpusSource:
        """Return examples from the given documents, of the configured length unless another is given."""
        tokenizer = self.model.tokenizer
        fingerprint = f"{self.corpus.fingerprint}:{self.column.tokenizer_fingerprint}"
        pairing = self.pairing(length or self.config.length)
        return CorpusSource(self.column, documents, pairing, tokenizer.cls_id, tokenizer.sep_id, fingerprint)

    def collator(self) -> Collator:
        """Return the chain of collation of these objectives."""
        return Collator(self.objective.stages(self.model), self.model.tokenizer.pad_id)

    def loader(self, world: World = ALONE) -> Loader:
        """Return this process's share of the training batches."""
        train = self.config.train
        return Loader(
            self.source(self.train_documents),
            self.collator(),
            budget_of(train),
            train.seed,
            train.workers,
            micro_tokens_of(train, self.model, self.config.length, self.config.out, world),
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
            shorter=lambda length: self.source(self.train_documents, length),
        )

    def heldout_plan(self) -> tuple[CorpusSource, Plan]:
        """Return the plan of the held-out documents, cut into batches of at most ``micro_tokens`` tokens."""
        source = self.source(self.held_documents)
        wanted = self.config.train.micro_tokens
        budget = Budget(tokens=max(self.config.length, 8_192 if wanted == "auto" else min(8_192, wanted)))
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

    def evaluate(self, reference: Reference, dtype: torch.dtype) -> Heldout:
        """Score the model on all held-out documents, beside the baselines."""
        _, plan = self.heldout_plan()
        train_plan = self.source(self.train_documents).plan(
            Budget(examples=1), Key(self.config.train.seed, _HELD_OUT_EPOCH), shuffle=False
        )
        return evaluate_pretraining(
            self.model, self.objective, self.heldout_batches(), dtype, reference, train_plan.columns, plan.columns
        )


def pretrain(config: PretrainConfig, *, resume: bool = False, command: str = "") -> Pretrained:
    """Pre-train as configured; the run folder receives the log, the checkpoints and ``model/``.

    Started by torchrun, all its processes call this; the first one writes.

    Raises InputError for a corpus that gives nothing to train on and for a folder that already holds a run, ConfigError for
    settings that do not fit together, TrainingError and Stopped as ``Run.train`` does.
    """
    with together() as world:
        return _pretrain(config, world, resume, command)


def _pretrain(config: PretrainConfig, world: World, resume: bool, command: str) -> Pretrained:
    parts = Pretraining.of(config)
    train = config.train
    if not len(parts.train_documents):
        raise InputError(f"{config.corpus}: there are no documents to train on")
    loader = parts.loader(world)
    steps = steps_of(train, loader, parts.model, parts.objective, config.out, world)
    loader = parts.warmed_up(loader, steps)
    reference = unigram_reference(parts.column, parts.model.tokenizer)
    batches = parts.heldout_batches(config.held_out_tokens) if len(parts.held_documents) else []
    dtype = machine.precision(train.precision, parts.model.device)

    def evaluate() -> Evaluation:
        return Evaluation(forward_only(parts.model, parts.objective, batches, dtype))

    run = Run(
        parts.model,
        parts.objective,
        loader,
        train,
        config.out,
        steps,
        identity=_identity(config, loader, steps),
        evaluate=evaluate if batches else None,
        start_record=_start(config, parts, reference, command),
        label="pre-training",
        world=world,
    )
    finished = run.train(resume=resume)
    parts.model.eval()
    heldout = None
    if world.first:
        provenance = {"command": command, "steps": finished.steps, "corpus": parts.corpus.fingerprint}
        parts.model.save(config.out / "model", provenance={"pretrained": provenance})
        heldout = parts.evaluate(reference, dtype) if batches else None
    world.wait()
    return Pretrained(parts.model, finished, heldout, config.out)


def _identity(config: PretrainConfig, loader: Loader, steps: int) -> dict[str, Any]:
    """What a resumed run must share; where it lies, and how many processes feed it, is not part of it."""
    settings = config.model_dump(mode="json", exclude={"out", "corpus"})
    train = {name: value for name, value in settings.pop("train").items() if name not in RUNTIME}
    return {**settings, "train": train, "steps": steps, "data": loader.source.fingerprint}


def _start(config: PretrainConfig, parts: Pretraining, reference: Reference, command: str) -> dict[str, Any]:
    return {
        "name": "Pre-training",
        "config": config.model_dump(mode="json"),
        "machine": machine.describe(),
        "command": command,
        "parameters": sum(p.numel() for p in parts.model.parameters()),
        "reference": {"unigram entropy": round(reference.entropy, 3)},
        "accuracy_reference": {"most frequent token": reference.most_frequent},
    }


def evaluate_on(model: Model, corpus: Path, *, seed: int, length: int = 128) -> Heldout:
    """Score the heads of a pre-trained model on a corpus; the baselines learn from one half and are scored on the other.

    CheckpointError when the model has no head to score.
    """
    objectives = ",".join(head for head in ("mlm", "nsp") if head in model.net.heads)
    if not objectives:
        model.head("mlm")
    train = PretrainConfig.model_fields["train"].get_default()
    config = PretrainConfig(
        corpus=corpus,
        out=Path(),
        objectives=objectives,
        length=min(length, model.longest),
        held_out=0.499,
        train=train.model_copy(update={"seed": seed}),
    )
    parts = Pretraining.of(config, model)
    dtype = machine.precision(train.precision, parts.model.device)
    return parts.evaluate(unigram_reference(parts.column, model.tokenizer), dtype)
