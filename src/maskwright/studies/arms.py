"""The models of one seed: the encoder that the arms share, the arms themselves, and the network as it begins."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from maskwright.config import PretrainConfig, PretrainTrainConfig
from maskwright.corpus.store import Corpus
from maskwright.keys import Key
from maskwright.model import Model, load
from maskwright.studies.nsp_sop_config import NspSopConfig
from maskwright.studies.protocol import ARMS, UNTRAINED
from maskwright.studies.seen import Documents
from maskwright.train.loop import Run
from maskwright.train.pretrain import history_of
from maskwright.train.setup import Pretraining, held_out

__all__ = ["Seed", "Tell", "run_parts"]

Tell = Callable[[str], None]


@dataclass(frozen=True)
class Seed:
    """Everything that one seed decides."""

    config: NspSopConfig
    corpus: Corpus
    seed: int
    tell: Tell
    """Receives a line before each part."""

    @property
    def folder(self) -> Path:
        """Where everything of this seed lies."""
        return self.config.out / f"seed-{self.seed}"

    @property
    def documents(self) -> Documents:
        """The two halves of what is held out."""
        _, held = held_out(self.corpus.tokens().documents, self.config.held_out, self.seed)
        order = held[Key(self.seed).stream("study.halves").order(len(held))]
        half = len(held) // 2
        return Documents(np.sort(order[:half]), np.sort(order[half:]), "")

    def begun(self) -> Model:
        """The untrained network."""
        config = self.pretraining("base", **ARMS["none"])
        model = Pretraining.of(config).model
        model.keep_heads()
        return model

    def model(self, arm: str) -> Model:
        """The model of an arm, trained where it is not there yet; with the heads that it was trained with alone."""
        if arm == UNTRAINED:
            return self.begun()
        path = self.folder / arm / "model"
        if not path.exists():
            start = None if arm == "base" else self.model("base")
            base = arm == "base"
            config = self.pretraining(arm, **ARMS["none" if base else arm])
            self._train(Pretraining.of(config, start), self.config.steps if base else self.config.arm_steps, arm)
        return load(path)

    def pretraining(self, arm: str, **given: Any) -> PretrainConfig:
        """Return the configuration of an arm's training; given: what it is trained with."""
        options = {name: dict(values) for name, values in given.pop("objective", {}).items()}
        if arm == "nsp":
            options["nsp"] = {"random_rate": self.config.random_rate}
        train = self.config.train.model_dump(exclude={"steps", "epochs", "minutes", "seed"})
        steps = self.config.steps if arm == "base" else self.config.arm_steps
        return PretrainConfig(
            corpus=self.config.corpus,
            out=self.folder / arm / "run",
            encoder=self.config.encoder,
            objective=options,
            length=self.config.length,
            held_out=self.config.held_out,
            train=PretrainTrainConfig.of(train | {"steps": steps, "seed": self.seed}),
            **given,
        )

    def _train(self, parts: Pretraining, steps: int, arm: str) -> None:
        self.tell(f"seed {self.seed}, {arm}: pre-training, {steps:,} steps of {parts.config.objectives}")
        run_parts(parts, steps, f"seed {self.seed}, {arm}")
        weights = parts.config.objective_weights
        parts.model.keep_heads(
            *(head for each in parts.objective.members if weights.get(each.name) != 0 for head in each.heads)
        )
        history = history_of(parts, steps, "maskwright study nsp-vs-sop")
        parts.model.save(self.folder / arm / "model", provenance={"pretrained": history})
        shutil.rmtree(parts.config.out / "checkpoints")


def run_parts(parts: Pretraining, steps: int, label: str) -> None:
    """Train to the end, from the newest checkpoint where there is one."""
    folder = parts.config.out
    identity = parts.config.model_dump(mode="json", exclude={"out", "corpus"}) | {"steps": steps}
    run = Run(parts.model, parts.objective, parts.loader(), parts.config.train, folder, steps, identity, label=label)
    run.train(resume=(folder / "log.jsonl").exists())
    parts.model.eval()
