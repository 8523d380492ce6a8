"""``maskwright doctor``: the machine, what will be fast on it, what is missing and how to get it."""

from __future__ import annotations

import importlib.util
import shutil
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

from maskwright.report.terminal import key_values, show, size, table

__all__ = ["doctor"]

_LIBRARIES = ("torch", "tokenizers", "safetensors", "pyarrow", "numpy", "scikit-learn", "sentencex")
_EXTRAS = (("transformers", "test", "parity tests and benchmarks against Hugging Face"),)


def doctor() -> None:
    """Look at the machine: cores, instruction sets, memory, versions; what will be fast; what is missing."""
    from maskwright import machine

    facts = machine.describe()
    show(key_values(facts, "Machine"))
    show(key_values({"free disk here": size(shutil.disk_usage(Path.cwd()).free)}))
    show(key_values({name: _version(name) for name in _LIBRARIES}, "Libraries"))
    show(table("What to expect", ["", "", "remedy"], _advice(facts)))


def _advice(facts: dict[str, object]) -> list[tuple[str, str, str]]:
    from maskwright import machine, native

    sets = set(machine.instruction_sets())
    rows = []
    if facts["device"] != "cpu":
        rows.append(("good", f"training runs on {facts.get('gpu', facts['device'])}", ""))
    elif "amx_bf16" in sets:
        rows.append(("good", "bf16 matrix units (AMX): training in bf16 is several times faster than in fp32", ""))
    elif "avx512_bf16" in sets:
        rows.append(("good", "bf16 dot products: training in bf16 is faster than in fp32", ""))
    else:
        rows.append(("fair", "no bf16 instructions: training runs in fp32", "a smaller encoder, or a newer processor"))
    if facts["device"] == "cpu" and "avx512_bf16" in sets:
        if native.here():
            rows.append(("good", "compiled kernels for attention, norms and scores over a vocabulary", ""))
        else:
            rows.append(("fair", f"no compiled kernels: {native.why_not()}", "a C compiler, such as gcc"))
    busy = machine.busy()
    if busy:
        rows.append(("poor", busy, "wait, or set OMP_NUM_THREADS"))
    else:
        rows.append(("good", "the cores are free", ""))
    for module, extra, purpose in _EXTRAS:
        if importlib.util.find_spec(module) is None:
            rows.append(("missing", f"{module}: {purpose}", f"pip install 'maskwright[{extra}]'"))
    return rows


def _version(name: str) -> str:
    try:
        return version(name)
    except PackageNotFoundError:
        return "not installed"
