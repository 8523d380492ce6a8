"""Small pre-training runs, for the tests of this folder; also a script that a test can start and kill."""

import json
import sys
from pathlib import Path
from typing import Any

import torch

from maskwright.config import PretrainConfig
from maskwright.report.log import read_log
from maskwright.train.pretrain import pretrain

ENCODER = {"layers": 1, "width": 32, "heads": 2, "positions": 64}
TRAIN = {"steps": 12, "tokens": 2_000, "micro_tokens": 1_200, "save_every": 3, "precision": "fp32", "lr": 0.01}


def config(corpus: Path, out: Path, train: dict[str, Any] | None = None, **changes: Any) -> PretrainConfig:
    """A run of twelve steps that takes a second."""
    values = {"encoder": ENCODER, "length": 64, "held_out": 0.0, "train": TRAIN | (train or {})}
    return PretrainConfig.of({"corpus": corpus, "out": out, **values, **changes})


def weights(run: Path, step: int) -> dict[str, bytes]:
    """The bytes of a checkpoint: of the network and of the optimiser."""
    folder = run / "checkpoints" / f"step-{step:08}"
    return {name: (folder / name).read_bytes() for name in ("net.safetensors", "optimizer.safetensors")}


def steps(run: Path) -> list[dict[str, Any]]:
    """The log's steps and evaluations without what the clock had to do with."""
    clock = ("time", "tokens_per_second")
    records = [record for record in read_log(run / "log.jsonl") if record["kind"] in ("step", "eval")]
    return [{name: value for name, value in record.items() if name not in clock} for record in records]


if __name__ == "__main__":
    torch.set_num_threads(int(sys.argv[2]))
    pretrain(PretrainConfig.of(json.loads(sys.argv[1])), resume=True)
