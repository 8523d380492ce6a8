"""Turn a folder with a pickled ``pytorch_model.bin`` into one with safetensors, once.

Unpickling can run code.  It happens here only, in a process of its own, with torch's restricted unpickler
(``weights_only=True``), which builds tensors and plain containers and refuses the rest.
"""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

from maskwright.checkpoint.hub import TOKENIZER_FILES
from maskwright.errors import CheckpointError, InputError

__all__ = ["convert_folder"]

_CHILD = """
import sys, torch
from safetensors.torch import save_file
source, target = sys.argv[1:]
tensors = torch.load(source, map_location="cpu", weights_only=True)
if not isinstance(tensors, dict) or not all(torch.is_tensor(value) for value in tensors.values()):
    sys.exit("it does not hold a mapping of names to tensors")
save_file({name: value.contiguous().clone() for name, value in tensors.items()}, target, metadata={"format": "pt"})
"""

_KEPT = ("config.json", *TOKENIZER_FILES)


def convert_folder(folder: Path, out: Path) -> None:
    """Write ``out`` with the weights as safetensors and the tokenizer's and configuration's files beside them.

    InputError when there is no pickle to convert or ``out`` is not empty; CheckpointError when the pickle holds anything
    but tensors.
    """
    pickles = [folder / name for name in ("pytorch_model.bin", "model.pt") if (folder / name).is_file()]
    if not pickles:
        raise InputError(f"{folder}: no pytorch_model.bin there to convert")
    if out.exists() and any(out.iterdir()):
        raise InputError(f"{out} is not empty; choose another --out")
    side = out.parent / f".{out.name}.part"
    shutil.rmtree(side, ignore_errors=True)
    side.mkdir(parents=True)
    try:
        command = [sys.executable, "-I", "-c", _CHILD, str(pickles[0]), str(side / "model.safetensors")]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        if done.returncode:
            reason = (done.stderr.strip().splitlines() or ["no reason given"])[-1]
            raise CheckpointError(f"{pickles[0]}: not converted: {reason}")
        for name in _KEPT:
            if (folder / name).is_file():
                shutil.copyfile(folder / name, side / name)
        if out.exists():
            out.rmdir()
        side.rename(out)
    finally:
        shutil.rmtree(side, ignore_errors=True)
