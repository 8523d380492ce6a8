"""A small pre-training with settings that never change, to be run with a fault and without."""

import json
from pathlib import Path
from typing import Any

import pytest
from injector import Child, maskwright, sabotage

from maskwright.config import PretrainConfig
from maskwright.errors import Stopped
from maskwright.report.log import read_log
from maskwright.train.pretrain import pretrain

STEPS = 12


class Trial:
    """A run to be: the same settings every time, in a folder of its own."""

    def __init__(self, corpus: Path, out: Path) -> None:
        self.corpus, self.out = corpus, out
        self.orders = out.with_name(f"{out.name}-orders.json")

    def values(self, **train: Any) -> dict[str, Any]:
        size = {"steps": STEPS, "tokens": 1_000, "micro_tokens": 2_000, "save_every": 3, "evaluate_every": 6}
        return {
            "encoder": {"layers": 1, "width": 32, "heads": 2, "positions": 64},
            "objectives": "sabotaged",
            # The same path with a fault and without: it is among the settings that a resumed run must share.
            "objective": {"sabotaged": {"orders": str(self.orders)}},
            "length": 64,
            "held_out": 0.1,
            "train": {**size, "precision": "fp32", "lr": 0.01, **train},
        }

    def go(self, resume: bool = False, **train: Any) -> None:
        """Run it here."""
        with sabotage():
            pretrain(PretrainConfig.of({"corpus": self.corpus, "out": self.out, **self.values(**train)}), resume=resume)

    def start(self, *more: str, longest_file: int | None = None, **train: Any) -> Child:
        """Run it as a command in a process of its own."""
        recipe = self.orders.with_name(f"{self.out.name}-recipe.json")  # JSON is YAML
        recipe.write_text(json.dumps({"schema": 1, **self.values(**train)}))
        given = ("--recipe", recipe, "--corpus", self.corpus, "--out", self.out)
        said = self.orders.with_name(f"{self.out.name}-said.txt")
        return maskwright("pretrain", *given, *more, said=said, longest_file=longest_file)

    def stop_after(self, steps: int, /, resume: bool = False, **train: Any) -> None:
        """Run it here until SIGTERM comes in the last of so many steps."""
        self.order(stop=[steps - 1])
        with pytest.raises(Stopped):
            self.go(resume, **train)
        self.order()

    def order(self, **acts: list[int]) -> None:
        """What is to go wrong from now on, and when; nothing at all without arguments."""
        self.orders.write_text(json.dumps(acts))

    def weights(self, step: int = STEPS) -> dict[str, bytes]:
        """The bytes of a checkpoint's tensors."""
        folder = self.out / "checkpoints" / f"step-{step:08}"
        return {name: (folder / name).read_bytes() for name in ("net.safetensors", "optimizer.safetensors")}

    def log(self, kind: str) -> list[dict[str, Any]]:
        """The log's records of a kind, without what the clock had to do with."""
        found = [record for record in read_log(self.out / "log.jsonl") if record["kind"] == kind]
        return [{k: v for k, v in record.items() if k not in ("time", "tokens_per_second")} for record in found]
