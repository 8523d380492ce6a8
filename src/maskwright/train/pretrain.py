"""Pre-training: a corpus and objectives in, an encoder out."""

from __future__ import annotations

import math
import tempfile
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from maskwright import machine
from maskwright.config import RUNTIME, PretrainConfig
from maskwright.data.loader import Loader
from maskwright.evaluation.pretraining import Heldout, Reference, unigram_reference
from maskwright.evaluation.runner import forward_only
from maskwright.model import Model
from maskwright.report.log import RunLog
from maskwright.train.budget import steps_of
from maskwright.train.calibrate import step_times
from maskwright.train.estimate import refuse
from maskwright.train.find_lr import RateSearch, find_lr
from maskwright.train.loop import Evaluation, Finished, Run
from maskwright.train.masking import gazetteers_of, masking_of
from maskwright.train.outlook import Outlook, estimate_of, look_ahead
from maskwright.train.profile import Profile, profile_steps
from maskwright.train.setup import Pretraining
from maskwright.train.watch import Baselines, signs
from maskwright.train.world import World, together

__all__ = ["Pretrained", "evaluate_on", "foresee", "history_of", "pretrain", "profile", "search_rate"]

_TIMED = 4.0
"""Seconds spent on timing steps for the estimate."""


@dataclass(frozen=True)
class Pretrained:
    """What a pre-training gave."""

    model: Model
    finished: Finished
    heldout: Heldout | None
    """Scores on documents that were never trained on; None when nothing was held out."""
    folder: Path


def pretrain(
    config: PretrainConfig,
    *,
    resume: bool = False,
    command: str = "",
    tell: Callable[[Outlook], None] | None = None,
) -> Pretrained:
    """Pre-train as configured; the run folder receives the log, the checkpoints and ``model/``.

    Started by torchrun, all its processes call this; the first one writes.  ``tell`` is called with the outlook before the
    first step of a new run; some steps are timed for it.

    Raises InputError for a corpus that gives nothing to train on, for a run that does not fit the memory or the disk and for
    a folder that already holds a run, ConfigError for settings that do not fit together, TrainingError and Stopped as
    ``Run.train`` does.
    """
    with together() as world:
        return _pretrain(config, world, resume, command, None if resume else tell)


def foresee(config: PretrainConfig) -> Outlook:
    """Return the outlook of a run; nothing is written."""
    parts = Pretraining.of(config)
    with tempfile.TemporaryDirectory() as folder:  # for the plan and the numbers that a run would keep
        parts.config = config.model_copy(update={"out": Path(folder)})
        loader = parts.loader()
        steps = steps_of(config.train, loader, parts.model, parts.objective, Path(folder))
        times = step_times(parts.model, parts.objective, loader, config.train, _TIMED)
        parts.config = config
        reference = unigram_reference(parts.column, parts.model.stored)
        return look_ahead(parts, loader, reference, estimate_of(parts, loader, steps, times))


def search_rate(config: PretrainConfig) -> RateSearch:
    """Return what the learning-rate finder sees in this pre-training; nothing is written."""
    parts = Pretraining.of(config)
    return find_lr(parts.model, parts.objective, replace(parts.loader(), plans=None), config.train)


def profile(config: PretrainConfig, steps: int) -> Profile:
    """Return where the time of this pre-training's steps goes; ``profile.json`` in the run folder holds it."""
    parts = Pretraining.of(config)
    found = profile_steps(parts.model, parts.objective, replace(parts.loader(), plans=None), config.train, steps)
    found.save(config.out)
    return found


def _pretrain(
    config: PretrainConfig, world: World, resume: bool, command: str, tell: Callable[[Outlook], None] | None
) -> Pretrained:
    parts = Pretraining.of(config)
    if world.first:
        parts.corpus.verify(parts.column.tokenizer_fingerprint)  # a flipped byte would be learnt from in silence
    train = config.train
    loader = parts.loader(world)
    steps = steps_of(train, loader, parts.model, parts.objective, config.out, world)
    times = step_times(parts.model, parts.objective, loader, train, _TIMED, world) if tell else []
    loader = parts.warmed_up(loader, steps)
    reference = unigram_reference(parts.column, parts.model.stored)
    taken = estimate_of(parts, loader, steps, times)
    if not resume:  # a run that is gone on with has its files already
        refuse(taken)
    found = Baselines(parts.model.stored.classes, reference)
    masking: Mapping[str, Any] = {}
    if tell and world.first:
        outlook = look_ahead(parts, loader, reference, taken)
        found, masking = outlook.baselines, outlook.masking
        tell(outlook)
    elif world.first and not resume:
        masking = masking_of(parts, loader)
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
        start_record=_start(config, parts, reference, command, masking),
        label="pre-training",
        world=world,
        watch=lambda records: signs(records, found, steps=steps, warmup=math.ceil(train.warmup * steps)),
    )
    finished = run.train(resume=resume)
    parts.model.eval()
    heldout = None
    if world.first:
        provenance = {"pretrained": history_of(parts, finished.steps, command)}
        parts.model.save(config.out / "model", provenance=provenance)
        parts.objective.save(config.out, parts.model, provenance)
        if batches:
            heldout = parts.evaluate(reference, dtype)
            with RunLog(config.out / "log.jsonl") as log:
                log.write("result", title="On text it never saw", scores=heldout.scores())
    world.wait()
    return Pretrained(parts.model, finished, heldout, config.out)


def _identity(config: PretrainConfig, loader: Loader, steps: int) -> dict[str, Any]:
    """What a resumed run must share; where it lies, and how many processes feed it, is not part of it."""
    settings = config.model_dump(mode="json", exclude={"out", "corpus"})
    train = {name: value for name, value in settings.pop("train").items() if name not in RUNTIME}
    made = {**settings, "train": train, "steps": steps, "data": loader.source.fingerprint}
    lists = [gazetteer.digest for gazetteer in gazetteers_of(loader.collator.stages)]
    return made | ({"gazetteer": lists} if lists else {})


def history_of(parts: Pretraining, steps: int, command: str) -> dict[str, Any]:
    """Return what a model's folder says of its pre-training: which documents of which text it saw, and as what examples."""
    fields = {"start", "objectives", "objective", "length", "short_rate", "held_out"}
    settings = parts.config.model_dump(mode="json", include=fields)
    made = {"command": command, "steps": steps, "corpus": parts.corpus.fingerprint}
    return made | settings | {"seed": parts.config.train.seed}


def _start(
    config: PretrainConfig, parts: Pretraining, reference: Reference, command: str, masking: Mapping[str, Any]
) -> dict[str, Any]:
    return {
        "config": config.model_dump(mode="json"),
        "command": command,
        "ledger": parts.corpus.ledger.accounts(),
        "data": parts.corpus.fingerprint,
        "masking": masking,
        "reference": {"unigram entropy": round(reference.entropy, 3)},
        "accuracy_reference": {"most frequent token": reference.most_frequent},
    }


def evaluate_on(model: Model, corpus: Path, *, seed: int, length: int = 128, precision: str = "auto") -> Heldout:
    """Score the heads of a pre-trained model on a corpus; the baselines learn from one half and are scored on the other.

    precision: of matrix products, as in ``Model.encode``.  CheckpointError when the model has no head to score.
    """
    pairs = [head for head in ("nsp", "sop") if head in model.net.heads][
        :1
    ]  # of two rules of pairs one can be followed
    tokens = [name for name, head in (("mlm", "mlm"), ("causal", "lm"), ("bilm", "bilm")) if head in model.net.heads]
    objectives = ",".join([*tokens, *pairs])
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
    dtype = machine.precision(precision, parts.model.device)
    return parts.evaluate(unigram_reference(parts.column, model.stored), dtype)
