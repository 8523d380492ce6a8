"""What is measured, on what, and who takes part.

A side names the function that does its work and the libraries that this needs, so that one that is not installed can be
said and left out before anything is started.  Imports no torch.
"""

from __future__ import annotations

import importlib.util
from collections.abc import Sequence
from dataclasses import dataclass

from maskwright.errors import InputError, did_you_mean

__all__ = ["CASES", "CEILING", "OURS", "Case", "Side", "absent", "chosen"]

OURS = "maskwright"


@dataclass(frozen=True)
class Side:
    """One way of doing a case's work."""

    name: str
    make: str
    """``module:function`` in this room."""
    needs: tuple[str, ...] = ()
    """Modules that must be importable."""
    install: str = ""
    """What brings them."""
    rough: bool = False
    """It computes something else on purpose (int8): its cosine is shown, and its ratio stands all the same."""


@dataclass(frozen=True)
class Case:
    """One kind of work."""

    name: str
    title: str
    unit: str
    texts: str
    """Which texts; see ``place.PROFILES``."""
    network: str
    length: int
    """Tokens at which a text is cut."""
    sides: tuple[Side, ...]
    batch: int = 32
    least: int = 8
    """Laps (steps, batches, calls) measured at least, however long they take."""
    warm: int = 0
    """Laps before those: taken, and not measured."""
    by: str = "rate"
    """How laps become a number: ``rate`` (amount a second), ``lap`` (mean seconds of one) or ``median`` (of one)."""
    scale: float = 1.0
    """From seconds, or amounts a second, to the unit."""
    cosine: float = 0.0
    """Vectors must be as near to the reference's as this, on average; 0: there are none."""

    @property
    def lower_is_better(self) -> bool:
        """Whether the number is a time."""
        return self.by != "rate"


_HF = ("transformers",)
_EXTRA = "pip install 'maskwright[bench]'"
_TRAINING = (
    Side("transformers", "default", _HF, _EXTRA),
    Side("transformers, tuned", "tuned", _HF, _EXTRA),
)
_ST = ("sentence_transformers",)
_OV = (*_HF, "openvino")
_ORT = (*_HF, "onnxruntime", "onnx", "onnxscript")


def _training(module: str) -> tuple[Side, ...]:
    return tuple(
        Side(side.name, f"{module}:{side.make}", side.needs, side.install) for side in (Side(OURS, "ours"), *_TRAINING)
    )


_ENCODERS = (
    Side("sentence-transformers", "encode:sentences", _ST, _EXTRA),
    Side("sentence-transformers bf16", "encode:sentences_bf16", _ST, _EXTRA),
    Side("OpenVINO bf16", "encode:openvino_bf16", _OV, "pip install openvino"),
    Side("ONNX Runtime int8", "encode:onnx_int8", _ORT, "pip install onnxruntime onnx onnxscript", rough=True),
)
_BF16, _INT8 = ((Side(OURS, f"encode:{make}"), *_ENCODERS) for make in ("ours", "ours_int8"))

CASES: tuple[Case, ...] = (
    Case("finetune-pairs", "fine-tune MiniLM-L6, pairs", "ex/s", "pairs", "minilm", 128, _training("finetune")),
    Case("finetune-long", "fine-tune MiniLM-L6, long texts", "ex/s", "long", "minilm", 512, _training("finetune")),
    Case("mlm-mini-128", "MLM step, BERT-mini 128 × 32", "ms", "running", "mini", 128, _training("mlm"), 32, 8, 0, "lap", 1e3),
    Case("mlm-mini-512", "MLM step, BERT-mini 512 × 16", "ms", "running", "mini", 512, _training("mlm"), 16, 8, 0, "lap", 1e3),
    Case("mlm-base-128", "MLM step, BERT-base 128 × 16", "ms", "running", "base", 128, _training("mlm"), 16, 8, 0, "lap", 1e3),
    Case("encode", "encode 2,000 sentences", "sentences/s", "sentences", "encoder", 128, _BF16, 2_000, 1, cosine=0.9999),
    Case("encode-int8", "encode them in int8", "sentences/s", "sentences", "encoder", 128, _INT8, 2_000, 1, cosine=0.999),
    Case("single", "one sentence, p50", "ms", "sentences", "encoder", 128, _BF16, 1, 100, 0, "median", 1e3, 0.999),
    Case("single-int8", "one in int8, p50", "ms", "sentences", "encoder", 128, _INT8, 1, 100, 0, "median", 1e3, 0.999),
    Case(
        "tokenise",
        "token ids, batches of 32",
        "Mtok/s",
        "long",
        "encoder",
        512,
        (
            Side(OURS, "tokenise:ours"),
            Side("tokenizers", "tokenise:raw"),
            Side("transformers", "tokenise:transformers", _HF, _EXTRA),
        ),
        scale=1e-6,
    ),
    Case(
        "ready",
        "first vector after start",
        "s",
        "sentences",
        "encoder",
        128,
        (
            Side(OURS, "ready:ours"),
            Side("import torch alone", "ready:torch"),
            Side("transformers", "ready:transformers", _HF, _EXTRA),
            Side("sentence-transformers", "ready:sentences", _ST, _EXTRA),
        ),
        1,
        3,
        by="median",
    ),
)  # fmt: skip

CEILING = Case("ceiling", "matrix products", "TFLOP/s", "", "", 0, (Side(OURS, "ceiling:products"),), scale=1e-12)
"""Measured in every round, for shares of it."""


def chosen(only: str) -> tuple[Case, ...]:
    """Return the cases whose names begin with one of some names with commas, all for none; InputError for an unknown one."""
    wanted = [name.strip() for name in only.split(",") if name.strip()]
    for name in wanted:
        if not any(case.name.startswith(name) for case in CASES):
            names = [case.name for case in CASES]
            raise InputError(f"--only: no case {name!r}.{did_you_mean(name, names)} There are {', '.join(names)}")
    return tuple(case for case in CASES if not wanted or case.name.startswith(tuple(wanted)))


def absent(cases: Sequence[Case]) -> dict[str, str]:
    """Return the sides that cannot take part -> which library is missing, and how to get it."""
    found: dict[str, str] = {}
    for side in (side for case in cases for side in case.sides):
        missing = [module for module in side.needs if importlib.util.find_spec(module) is None]
        if missing:
            found[side.name] = f"{', '.join(missing)} not installed: {side.install}"
    return found
