"""Text, vocabulary, corpus, pre-training, fill-mask, fine-tuning, evaluation, a folder: one after the other, shown."""

from __future__ import annotations

import shutil
import time
from dataclasses import dataclass
from pathlib import Path

from maskwright.config import EncoderConfig, PretrainConfig, PretrainTrainConfig
from maskwright.corpus.build import build_from
from maskwright.corpus.passages import NoTask
from maskwright.corpus.show import summary
from maskwright.corpus.store import Corpus
from maskwright.errors import InputError
from maskwright.evaluation.pretraining import Heldout
from maskwright.model import Model
from maskwright.objectives.fill import Guess, fill_masks
from maskwright.quickstart.compare import Comparison, compare
from maskwright.quickstart.guess import Riddle, riddles
from maskwright.quickstart.text import Material, read_material
from maskwright.text.tokenizer import Tokenizer
from maskwright.train.pretrain import pretrain
from maskwright.train.setup import Pretraining

__all__ = ["LENGTH", "Guesses", "Outcome", "Quickstart"]

_LIMIT_BYTES = 8_000_000
_VOCABULARY = 8_192
LENGTH = 32
"""Tokens in an example.  In a run of minutes attention learns sooner on short examples, and nothing is seen often enough for
dropout to help."""
_REST_SECONDS = 95
"""Of the whole, what is not pre-training: reading, vocabulary, corpus, two fine-tunings, the baselines, the report."""


@dataclass(frozen=True)
class Guesses:
    """What was offered for a hidden word, before and after pre-training."""

    riddle: Riddle
    before: list[Guess]
    after: list[Guess]


@dataclass(frozen=True)
class Outcome:
    """Everything that the page and the terminal show at the end."""

    material: Material
    corpus: Corpus
    heldout: Heldout
    guesses: list[Guesses]
    comparison: Comparison | None
    seconds: float


@dataclass
class Quickstart:
    """The steps, to be taken in order; each leaves what the next one needs."""

    out: Path
    text: Path | None
    minutes: float
    seed: int
    command: str

    def __post_init__(self) -> None:
        self.began = time.monotonic()
        if self.minutes < 0.5:
            raise InputError(f"--minutes {self.minutes}: half a minute is the least in which anything is learnt")
        if self.out.exists() and any(self.out.iterdir()):
            raise InputError(f"{self.out} is not empty; choose another --out")

    def read(self) -> Material:
        """Collect the text."""
        # A tighter budget reads less, so that the parts keep their proportions.
        limit = int(_LIMIT_BYTES * min(1.0, self.minutes / 2))
        self.material = read_material(self.text, limit, self.seed)
        return self.material

    def learn_vocabulary(self) -> Tokenizer:
        """Train WordPiece on the text."""
        texts = (document.text for document in self.material.documents)
        self.tokenizer = Tokenizer.train(texts, vocab_size=_VOCABULARY)
        return self.tokenizer

    def build_corpus(self) -> Corpus:
        """Turn the text into a corpus."""
        self.corpus = build_from(self.material.documents, self.out / "corpus", self.tokenizer)
        return self.corpus

    def config(self) -> PretrainConfig:
        """Return the settings of the pre-training: a small encoder and many small steps, which learn most in minutes."""
        rest = min(_REST_SECONDS, 30 * self.minutes)
        return PretrainConfig(
            corpus=self.out / "corpus",
            out=self.out / "runs" / "pretrain",
            encoder=EncoderConfig(layers=2, width=256, heads=4, positions=128, dropout=0.0, attention_dropout=0.0),
            length=LENGTH,
            held_out=0.03,
            held_out_tokens=20_000,
            train=PretrainTrainConfig(
                minutes=max(0.2, self.minutes - rest / 60),
                tokens=1_024,
                lr=1e-3,
                # A post-norm encoder at this rate stays on the unigram plateau unless it is warmed up slowly.
                warmup=0.2,
                beta2=0.98,
                seed=self.seed,
            ),
        )

    def pretrain(self) -> Heldout:
        """Pre-train, and let the model guess hidden words of held-out text before and after."""
        parts = Pretraining.of(self.config())
        asked = riddles(self.corpus, parts.held_documents, self.tokenizer, 5, self.seed)
        before = [self._guess(parts.model, riddle) for riddle in asked]
        done = pretrain(self.config(), command=self.command)
        assert done.heldout is not None
        self.heldout, self.model = done.heldout, done.model
        after = [self._guess(done.model, riddle) for riddle in asked]
        self.guesses = [Guesses(*each) for each in zip(asked, before, after, strict=True)]
        shutil.copytree(done.folder / "model", self.out / "model")
        return done.heldout

    def _guess(self, model: Model, riddle: Riddle) -> list[Guess]:
        return fill_masks(model, riddle.prompt, 5)[0]

    def finetune(self) -> Comparison | NoTask:
        """Fine-tune on the labelled task beside the controls, when the text allows one."""
        self.comparison: Comparison | None = None
        task = self.material.task
        if isinstance(task, NoTask):
            return task
        self.comparison = compare(self.model, task, self.out, length=2 * LENGTH, seed=self.seed, command=self.command)
        return self.comparison

    def outcome(self) -> Outcome:
        """Return what there is to show."""
        seconds = time.monotonic() - self.began
        return Outcome(self.material, self.corpus, self.heldout, self.guesses, self.comparison, seconds)

    def facts(self) -> dict[str, object]:
        """Return the corpus in plain numbers."""
        return summary(self.corpus)
