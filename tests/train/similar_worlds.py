"""One process of several, for the tests of coupled losses: trains on similarity and writes down the gradients.

torchrun … similar_worlds.py CONFIG FOLDER
"""

import json
import os
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import save_file

from maskwright.tasks.similar_config import SimilarityConfig
from maskwright.train import loop
from maskwright.train.similar import train_similarity

gradients: dict[str, torch.Tensor] = {}
real_update = loop.update


def update(parameters: Sequence[Any], *rest: Any, step: int, **named: Any) -> float:
    gradients.update({f"{step}.{at}": p.grad.clone() for at, p in enumerate(parameters) if p.grad is not None})
    return real_update(parameters, *rest, step=step, **named)


loop.update = update
torch.set_num_threads(1)
train_similarity(SimilarityConfig.of(json.loads(sys.argv[1])))
if os.environ.get("RANK", "0") == "0":
    save_file(gradients, Path(sys.argv[2]) / "gradients.safetensors")
