"""One process of several, for the tests of world sizes: pre-trains and writes down what it saw and what it computed.

torchrun … worlds.py CONFIG FOLDER [FAULT]; a fault is "die" (the last process ends itself in step 2) or "raise".
"""

import json
import os
import signal
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import save_file

from maskwright.config import PretrainConfig
from maskwright.errors import MaskwrightError
from maskwright.train import loop
from maskwright.train.pretrain import pretrain

seen: dict[int, list[int]] = {}
gradients: dict[str, torch.Tensor] = {}
real_backward, real_update = loop.backward, loop.update
rank = int(os.environ.get("RANK", "0"))
last = rank == int(os.environ.get("WORLD_SIZE", "1")) - 1
fault = sys.argv[3] if len(sys.argv) > 3 else ""


def backward(model: Any, objective: Any, batches: Sequence[Any], *, step: int, **rest: Any) -> Any:
    seen[step] = sorted(number for batch in batches for number in batch.examples)
    if fault and last and step == 2:
        if fault == "die":
            os.kill(os.getpid(), signal.SIGKILL)
        raise MemoryError("this process has no memory left")
    return real_backward(model, objective, batches, step=step, **rest)


def update(parameters: Sequence[Any], *rest: Any, step: int, **named: Any) -> float:
    gradients.update({f"{step}.{at}": p.grad.clone() for at, p in enumerate(parameters) if p.grad is not None})
    return real_update(parameters, *rest, step=step, **named)


loop.backward, loop.update = backward, update
torch.set_num_threads(1)
out = Path(sys.argv[2])
try:
    pretrain(PretrainConfig.of(json.loads(sys.argv[1])))
except MaskwrightError as error:
    print(f"maskwright: {error}", file=sys.stderr)
    sys.exit(error.exit_code)
(out / f"seen-{rank}.json").write_text(json.dumps(seen))
if rank == 0:
    save_file(gradients, out / "gradients.safetensors")
