"""A study of a few steps, for the tests of this folder; also a script that ends itself where a test says."""

import os
import signal
import sys
from pathlib import Path
from typing import Any

import torch

from maskwright.studies import nsp_sop
from maskwright.studies.nsp_sop_config import NspSopConfig
from maskwright.train.loop import Run


def config(corpus: Path, out: Path, **changes: Any) -> NspSopConfig:
    """Two seeds, some twenty seconds."""
    values: dict[str, Any] = {
        "seeds": 2,
        "steps": 4,
        "arm_steps": 4,
        "tune_steps": 4,
        "length": 48,
        "held_out": 0.2,
        "examples": 300,
        "encoder": {"layers": 1, "width": 32, "heads": 2, "positions": 64, "dropout": 0.0},
    }
    values["train"] = {"tokens": 600, "lr": 0.01, "save_every": 2, "precision": "fp32"} | changes.pop("train", {})
    return NspSopConfig.of({"corpus": corpus, "out": out, **values, **changes})


if __name__ == "__main__":
    corpus, out, threads, when = sys.argv[1:]
    torch.set_num_threads(int(threads))  # those of the test: another number rounds otherwise
    wanted: list[str] = []
    real = Run._save

    def save(self: Run, step: int, *rest: Any) -> None:
        """Kill this process behind the second step of the part that was asked for."""
        real(self, step, *rest)
        if wanted and step == 2:
            os.kill(os.getpid(), signal.SIGKILL)

    Run._save = save  # type: ignore[method-assign]
    nsp_sop.run_nsp_sop(
        config(Path(corpus), Path(out)), tell=lambda text: wanted.extend([text] * text.startswith(when))
    )
