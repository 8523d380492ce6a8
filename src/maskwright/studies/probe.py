"""What a model knows of its pre-training tasks: the heads that it has, and fresh ones on its frozen encoder.

A head of its own says what was learnt together; a fresh head says what stands in the states for anybody who looks.  Both answer
on the same examples of documents that neither learnt from, with the same tokens hidden, beside rules that know nothing.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from maskwright import machine
from maskwright.corpus.store import Corpus
from maskwright.errors import ConfigError
from maskwright.evaluation.intervals import wilson
from maskwright.evaluation.pretraining import PAIR_TITLES, TOKEN_TITLES, pair_rules, unigram_reference
from maskwright.evaluation.runner import Taken, forward_only
from maskwright.model import Model, load
from maskwright.objective import Together
from maskwright.objectives import OBJECTIVES
from maskwright.studies.fresh import Score, fit_pairs, fit_tokens
from maskwright.studies.seen import Documents, documents_of, history_of
from maskwright.studies.states import learn_batches, parts_of, read_states
from maskwright.train.setup import Pretraining, make_objective

__all__ = [
    "TASKS",
    "Beside",
    "Heads",
    "Probed",
    "TaskProbe",
    "beside",
    "own_scores",
    "probe",
    "probe_heads",
    "score_of",
]

TASKS = ("mlm", "nsp", "sop")


@dataclass(frozen=True)
class Heads:
    """What answers to one task."""

    own: Score | None
    """The model's own head; None where it has none."""
    fresh: Score
    """A fresh head on the frozen encoder."""
    learnt: int
    """Answers that the fresh head learnt from."""


@dataclass(frozen=True)
class Beside:
    """What knows nothing of the text."""

    accuracy: Mapping[str, float]
    """Rule -> share that it gets right."""
    entropy: float | None
    """Of the token frequencies in nats, for hidden tokens: the loss of who knows only these."""


@dataclass(frozen=True)
class TaskProbe:
    """One task."""

    title: str
    heads: Heads
    beside: Beside


@dataclass(frozen=True)
class Probed:
    """All tasks of one model on one corpus."""

    documents: Documents
    length: int
    seed: int
    tasks: Mapping[str, TaskProbe]

    def as_dict(self) -> dict[str, Any]:
        """Return plain values."""
        found = asdict(self)
        found["documents"] |= {name: found["documents"][name].tolist() for name in ("learn", "scored")}
        return found


def probe(
    model: Model | str | Path,
    corpus: str | Path,
    *,
    tasks: str = "mlm,nsp,sop",
    examples: int = 4_000,
    length: int | None = None,
    held_out: float = 0.1,
    seed: int = 0,
) -> Probed:
    """Score a model, or the folder of one, on its pre-training tasks; nothing in it changes.

    tasks: names with commas.  examples: how many of each task fresh heads learn from, at most.  length: tokens in an example,
    default that of its pre-training on this corpus, or 128.  held_out, seed: which documents are scored; a model that was
    pre-trained on this corpus knows.

    Raises ConfigError for a task that the model's family cannot carry, InputError for a corpus without tokens of its vocabulary
    or of fewer than four documents.
    """
    loaded = (model if isinstance(model, Model) else load(model)).to(machine.device())
    wanted = _checked(loaded, tasks)
    opened = Corpus.open(corpus)
    documents = documents_of(loaded, opened, held_out, seed)
    past = history_of(loaded, opened)
    seed, length = past.get("seed", seed), length or past.get("length", 128)
    groups: dict[str, tuple[Together, list[str]]] = {}
    for task in wanted:
        objective = _objective(loaded, task, past.get("objective", {}))
        groups.setdefault(objective.name, (objective, []))[1].append(task)
    found: dict[str, TaskProbe] = {}
    for objective, members in groups.values():
        parts = parts_of(
            loaded, opened, objective, documents, length=length, short_rate=past.get("short_rate", 0.1), seed=seed
        )
        for task, heads in probe_heads(parts, members, examples).items():
            found[task] = TaskProbe((TOKEN_TITLES | PAIR_TITLES)[task], heads, beside(parts, task))
    return Probed(documents, min(length, loaded.longest), seed, {task: found[task] for task in wanted})


def probe_heads(parts: Pretraining, tasks: Sequence[str], examples: int) -> dict[str, Heads]:
    """Score both kinds of heads on tasks that share their examples; ``parts`` says which documents teach, which are scored."""
    model = parts.model
    dtype = machine.precision("auto", model.device)
    own = own_scores(parts)
    learn = read_states(model, learn_batches(parts, examples), tasks, dtype)
    scored = read_states(model, parts.heldout_batches(), tasks, dtype)
    found = {}
    for task in tasks:
        sides = learn[task], scored[task]
        seed = parts.config.train.seed
        fresh = fit_tokens(model, *sides, seed) if task == "mlm" else fit_pairs(*sides, seed)
        found[task] = Heads(own.get(task), fresh, len(learn[task].y_E))
    return found


def beside(parts: Pretraining, task: str) -> Beside:
    """Score what knows nothing on the same documents."""
    if task == "mlm":
        reference = unigram_reference(parts.column, parts.model.tokenizer)
        return Beside({f"always {reference.piece!r}": reference.most_frequent}, reference.entropy)
    majority, lengths = pair_rules(*parts.columns())
    return Beside({"majority": majority.value} | ({"lengths only": lengths.value} if lengths else {}), None)


def own_scores(parts: Pretraining) -> dict[str, Score]:
    """Return what the model's own heads score, by task; empty where it lacks one of those that ``parts`` names."""
    model = parts.model
    if set(parts.objective.heads) - set(model.net.heads):
        return {}
    taken = forward_only(model, parts.objective, parts.heldout_batches(), machine.precision("auto", model.device))
    return {task: score_of(taken, task) for task in taken.accuracy}


def score_of(taken: Taken, task: str) -> Score:
    """Return what a pass over batches says of one part."""
    count = taken.counts[task]
    return Score(wilson(round(taken.accuracy[task] * count), count), taken.parts[task], count)


def _checked(model: Model, tasks: str) -> list[str]:
    """The names; ConfigError for one that is not known or that this model's family cannot carry."""
    names = [name.strip() for name in tasks.split(",") if name.strip()]
    if not names or len(set(names)) < len(names) or set(names) - set(TASKS):
        raise ConfigError(f"tasks: name some of {', '.join(TASKS)}, each once, not {tasks!r}")
    family, tokenizer = model.family, model.tokenizer
    for name in names:
        if hasattr(model.spec, "decoder"):
            raise ConfigError(f"tasks: {name} asks an encoder, and {family.name} has a decoder too")
        if name == "mlm" and (reason := OBJECTIVES[name].load().misfit(family, model.spec)):
            raise ConfigError(f"tasks: {name}: {reason}")
        if name != "mlm" and "cls" not in tokenizer.roles:
            raise ConfigError(
                f"tasks: {name}: this {family.name} model's tokenizer has no piece for a whole pair of texts, such as [CLS], "
                "that a head could read"
            )
    return names


def _objective(model: Model, task: str, options: Mapping[str, Mapping[str, Any]]) -> Together:
    """The objectives whose examples a task is scored on: those of its pre-training, as far as its heads tell."""
    pair = task if task in PAIR_TITLES else next((name for name in PAIR_TITLES if name in model.net.heads), None)
    names = [*(["mlm"] if task == "mlm" or "mlm" in model.net.heads else []), *([pair] if pair else [])]
    return make_objective(",".join(names), {name: options[name] for name in names if name in options})
