"""Vectors of sentences: all of them in one call, or one after the other.  The case says which, by its batch."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from maskwright.bench.worker import Clock, Job, Ready

__all__ = ["onnx_int8", "openvino_bf16", "ours", "ours_int8", "sentences", "sentences_bf16"]

Vectors = NDArray[np.float32]
Encode = Callable[[Sequence[str]], Vectors]
_BATCH = 32
"""Rows that peers compute at once, the longest first, as sentence-transformers does."""
_WARM = "The first call of a process prepares things that no later one needs."


def ours(job: Job) -> Ready:
    """``model.encode``."""
    return _ours(job, "auto")


def ours_int8(job: Job) -> Ready:
    """The same with products in int8."""
    return _ours(job, "int8")


def _ours(job: Job, precision: str) -> Ready:
    from maskwright import machine
    from maskwright.model import load

    return _ready(job, partial(load(job.network).to(machine.device()).encode, precision=precision))


def sentences(job: Job) -> Ready:
    """sentence-transformers as it comes: fp32."""
    return _sentences(job)


def sentences_bf16(job: Job) -> Ready:
    """The same with its weights in bf16."""
    import torch

    return _sentences(job, model_kwargs={"dtype": torch.bfloat16})


def _sentences(job: Job, **given: Any) -> Ready:
    from sentence_transformers import SentenceTransformer

    from maskwright import machine

    model = SentenceTransformer(str(job.network), device=machine.device().type, **given)
    return _ready(job, lambda texts: model.encode(list(texts), show_progress_bar=False))


def openvino_bf16(job: Job) -> Ready:
    """OpenVINO with bf16 products; tokens by transformers, means by numpy."""
    import openvino

    net, tokenizer = _network(job)
    core = openvino.Core()
    path = job.kept / "openvino" / "model.xml"
    if not path.exists():
        made = tokenizer(["one text", "another text here"], padding=True, return_tensors="pt")
        openvino.save_model(openvino.convert_model(net, example_input=dict(made)), path, compress_to_fp16=False)
    compiled = core.compile_model(core.read_model(path), "CPU", {"INFERENCE_PRECISION_HINT": "bf16"})
    names = {name for put in compiled.inputs for name in put.get_names()}

    def states(made: dict[str, Any]) -> Vectors:
        return np.asarray(compiled({name: made[name] for name in names & made.keys()})[0], np.float32)

    return _ready(job, _padded(tokenizer, job.length, states))


def onnx_int8(job: Job) -> Ready:
    """ONNX Runtime with weights and activations in int8 (dynamic); tokens by transformers, means by numpy."""
    import onnxruntime
    import torch
    from onnxruntime.quantization import QuantType, quantize_dynamic

    net, tokenizer = _network(job)
    plain, path = job.kept / "onnx" / "model.onnx", job.kept / "onnx" / "int8.onnx"
    if not path.exists():
        plain.parent.mkdir(parents=True, exist_ok=True)
        made = dict(tokenizer(["one text", "another text here"], padding=True, return_tensors="pt"))
        sizes = {0: torch.export.Dim.DYNAMIC, 1: torch.export.Dim.DYNAMIC}
        torch.onnx.export(
            net, (), plain, kwargs=made, dynamo=True, dynamic_shapes=dict.fromkeys(made, sizes), verbose=False
        )
        quantize_dynamic(plain, path, weight_type=QuantType.QInt8)
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = torch.get_num_threads()
    session = onnxruntime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])
    names = [put.name for put in session.get_inputs()]

    def states(made: dict[str, Any]) -> Vectors:
        return np.asarray(session.run(None, {name: made[name] for name in names})[0], np.float32)

    return _ready(job, _padded(tokenizer, job.length, states))


def _network(job: Job) -> tuple[Any, Any]:
    import transformers

    net = transformers.AutoModel.from_pretrained(job.network, attn_implementation="sdpa").eval()
    return net, transformers.AutoTokenizer.from_pretrained(job.network)


def _padded(tokenizer: Any, length: int, states: Callable[[dict[str, Any]], Vectors]) -> Encode:
    """Return an encoding by padded batches: mean of the last states under the mask."""

    def encode(texts: Sequence[str]) -> Vectors:
        order = np.argsort([-len(text) for text in texts], kind="stable")
        found = []
        for at in range(0, len(order), _BATCH):
            group = [texts[n] for n in order[at : at + _BATCH]]
            made = dict(tokenizer(group, padding=True, truncation=True, max_length=length, return_tensors="np"))
            mask = made["attention_mask"][..., None]
            found.append((states(made) * mask).sum(1) / mask.sum(1))
        vectors = np.concatenate(found)
        return vectors[np.argsort(order)]

    return encode


def _ready(job: Job, encode: Encode) -> Ready:
    texts = [row[0] for row in job.rows()]
    encode([_WARM])

    def run(clock: Clock) -> None:
        if job.batch > 1:
            vectors = encode(texts)
            clock.lap(len(texts))
        else:
            vectors = np.empty((0, 0), np.float32)
            parts = []
            for text in texts:
                parts.append(encode([text]))
                if not clock.lap(1):
                    break
            vectors = np.concatenate(parts)
        _keep(vectors, job.out)

    return Ready(run)


def _keep(vectors: Any, path: Path) -> None:
    np.save(path, np.asarray(vectors, np.float32))
