"""From the start of a process to its first vector, each time in a new Python."""

from __future__ import annotations

import os
import subprocess
import sys
import time

from maskwright.bench.worker import Clock, Job, Ready
from maskwright.errors import InputError

__all__ = ["ours", "sentences", "torch", "transformers"]

_TEXT = "a first sentence"
_SCRIPTS = {
    "ours": "import maskwright\nmaskwright.load({folder!r}).encode([{text!r}])",
    "torch": "import torch",
    "transformers": (
        "import torch\nfrom transformers import AutoModel, AutoTokenizer\n"
        "tokenizer, model = AutoTokenizer.from_pretrained({folder!r}), AutoModel.from_pretrained({folder!r})\n"
        "with torch.no_grad(): model(**tokenizer([{text!r}], return_tensors='pt')).last_hidden_state.mean(1)"
    ),
    "sentences": (
        "from sentence_transformers import SentenceTransformer\n"
        "SentenceTransformer({folder!r}, device='cpu').encode([{text!r}], show_progress_bar=False)"
    ),
}


def ours(job: Job) -> Ready:
    """``import maskwright``, load, encode."""
    return _ready(job, "ours")


def torch(job: Job) -> Ready:
    """The floor: nothing here starts sooner than torch does."""
    return _ready(job, "torch")


def transformers(job: Job) -> Ready:
    """AutoModel and AutoTokenizer."""
    return _ready(job, "transformers")


def sentences(job: Job) -> Ready:
    """SentenceTransformer."""
    return _ready(job, "sentences")


def _ready(job: Job, name: str) -> Ready:
    script = _SCRIPTS[name].format(folder=str(job.network), text=_TEXT)

    def start() -> None:
        done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, env=dict(os.environ))
        if done.returncode:
            raise InputError(done.stderr.strip().splitlines()[-1])

    start()  # what the disk and the byte-code cache have to do is done once

    def run(clock: Clock) -> None:
        for _ in range(clock.least):
            before = time.perf_counter()
            start()
            clock.took(time.perf_counter() - before, 1)

    return Ready(run)
