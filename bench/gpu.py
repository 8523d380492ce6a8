"""Is one GPU right, and how fast: parity with the CPU first, then training and encoding beside transformers.

    python bench/gpu.py                             # everything, into gpu/bench.json and gpu/bench.html
    python bench/gpu.py --only parity               # CUDA or Apple's GPU
    python bench/gpu.py --peak 989 --only gpu-mlm   # shares of a data sheet's TFLOP/s too

Parity: BERT-mini without dropout, the same weights and tokens, sequences of unlike lengths; outputs and gradients of each way
to compute attention against fp32 on the CPU, as ‖a − b‖ / ‖b‖.  One that is farther off than its bound ends with exit code 1.
Speed: sides in turns, each in a process of its own, after a few steps to prepare; rates and shares are on real tokens
(``maskwright bench`` explains).  Networks have random weights and texts are this Python's documentation: nothing is downloaded.
"""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from maskwright import machine
from maskwright.bench.cases import CASES, OURS, Case, Side
from maskwright.bench.rounds import Settings, measure
from maskwright.bench.sheet import COLUMNS, bench_page, ceiling_rows, remarks, rows
from maskwright.bench.table import shares
from maskwright.errors import ConfigError, InputError, MaskwrightError
from maskwright.families import family_of
from maskwright.nn.layout import Ragged
from maskwright.report.numbers import share
from maskwright.report.terminal import show, table

LENGTHS = (128, 3, 77, 512, 64, 1, 200)
MINI = {"vocabulary": 8_192, "layers": 4, "width": 256, "heads": 4, "dropout": 0.0, "attention_dropout": 0.0}
LOUD = 3.0
"""Matrices are so many times as large as fresh ones, whose attention adds so little that two sequences that see each other
would be off by less than bf16 is."""
BOUNDS = {torch.float32: 1e-4, torch.bfloat16: 2e-2}
"""Of outputs and of the whole gradient; on a CPU bf16 is off by 0.006 and 0.009, and two of these sequences joined by 0.04."""

_HF, _FLASH = ("transformers",), ("transformers", "flash_attn")


def _sides(module: str, *more: Side) -> tuple[Side, ...]:
    return (
        Side(OURS, f"{module}:ours"),
        *more,
        Side("transformers bf16, sdpa", f"{module}:tuned", _HF, "pip install transformers"),
        Side("transformers bf16, flash attention", f"{module}:flash", _FLASH, "pip install flash-attn"),
    )


_COMPILED = Side("maskwright, compiled", "mlm:compiled", ("triton",), "a torch for CUDA brings it")
_MLM = _sides("mlm", _COMPILED)
_ENCODE = next(case for case in CASES if case.name == "encode")
_ENCODING = tuple(side for side in _ENCODE.sides if side.name == OURS or side.needs == ("sentence_transformers",))
GPU: tuple[Case, ...] = (
    Case("gpu-mlm-128", "MLM, BERT-base, 128 × 128", "tok/s", "running", "base", 128, _MLM, 128, warm=16),
    Case("gpu-mlm-512", "MLM, BERT-base, 32 × 512", "tok/s", "running", "base", 512, _MLM, 32, warm=16),
    Case(
        "gpu-unlike",
        "fine-tune BERT-base, 32 texts to 512",
        "ex/s",
        "long",
        "classifier",
        512,
        _sides("finetune"),
        warm=16,
    ),
    replace(_ENCODE, name="gpu-encode", sides=_ENCODING),
)


def gpu() -> torch.device:
    """Return where to measure; InputError where there is only a CPU."""
    where = machine.device()
    if where.type == "cpu":
        raise InputError(
            f"no GPU: torch {torch.__version__} finds neither CUDA nor Apple's here. On a machine with one install a torch "
            "that was built for it, and take MASKWRIGHT_DEVICE=cpu away; for a CPU there is maskwright bench"
        )
    return where


def computed(where: torch.device, dtype: torch.dtype, kernel: str) -> tuple[Tensor, Tensor]:
    """Return the output and the gradient of every parameter in one row, on the CPU in fp32.

    kernel: of attention, or nothing for the one that is chosen.  ConfigError where it does not serve such a device or dtype.
    """
    net = family_of("bert").new_spec(**MINI).build()
    with machine.seeded(0):
        net.initialise()
        layout = Ragged.of(list(LENGTHS), 1_024)
        ids_T = torch.randint(5, MINI["vocabulary"], (1_024,))
        weights_TD = torch.randn(sum(LENGTHS), MINI["width"]).to(where)
    with torch.no_grad():
        for p in net.parameters():
            p.mul_(LOUD if p.dim() > 1 else 1.0)
    positions_T = torch.cat([*map(torch.arange, LENGTHS), torch.zeros(1_024 - sum(LENGTHS), dtype=torch.int64)])
    net, layout = net.to(where).train(), layout.to(where)
    os.environ["MASKWRIGHT_ATTENTION"] = kernel
    try:
        with machine.autocast(where, dtype):
            hidden_TD = net(ids_T.to(where), positions_T.to(where), torch.zeros_like(ids_T).to(where), layout)[-1]
        hidden_TD = hidden_TD[: sum(LENGTHS)].float()
        (hidden_TD * weights_TD).sum().backward()
    finally:
        del os.environ["MASKWRIGHT_ATTENTION"]
    gradient = torch.cat([p.grad.flatten().cpu() for p in net.parameters() if p.grad is not None])
    return hidden_TD.detach().cpu(), gradient


def parity(where: torch.device) -> list[tuple[str, str, str, str]]:
    """Return a line for every way: its name, how far its output and its gradient are off, and whether that will do."""
    exact = computed(torch.device("cpu"), torch.float32, "plain")
    found = []
    for dtype, bound in BOUNDS.items():
        for kernel in ("", "padded", "varlen", "per-sequence", "packed"):
            with suppress(ConfigError):  # it does not serve here
                made = computed(where, dtype, kernel)
                far = [float((a - b).norm() / b.norm()) for a, b in zip(made, exact, strict=True)]
                name = f"{str(dtype).removeprefix('torch.')}, {kernel or 'as chosen'}"
                # Written so that a NaN is too far.
                verdict = "equal" if all(each <= bound for each in far) else f"MORE THAN {bound:g}"
                found.append((name, *(f"{each:.1e}" for each in far), verdict))
    return found


def of_peak(record: Mapping[str, Any], peak: float) -> list[tuple[str, str, str]]:
    """Return for each case and side TFLOP/s on real tokens and what share that is of so many TFLOP/s."""
    found = []
    for case, facts in record["cases"].items():
        for side in (each["name"] for each in facts["sides"]):
            if one := shares(record, case, side):
                parts = [getattr(one.rate, name) / 1e12 for name in ("median", "least", "most")]
                middle, least, most = (share(each / peak) for each in parts)
                found.append((f"{facts['title']}, {side}", f"{parts[0]:.1f}", f"{middle} ({least}–{most})"))
    return found


def chosen(only: str) -> tuple[bool, tuple[Case, ...]]:
    """Return whether parity is asked for, and the cases whose names begin so; InputError for a name that there is not."""
    wanted = [name.strip() for name in only.split(",") if name.strip()]
    names = ["parity", *(case.name for case in GPU)]
    for name in wanted:
        if not any(each.startswith(name) for each in names):
            raise InputError(f"--only: no {name!r}; there are {', '.join(names)}")
    taken = [each for each in names if not wanted or each.startswith(tuple(wanted))]
    return "parity" in taken, tuple(case for case in GPU if case.name in taken)


def main(given: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--only", default="", help="parity and names of cases, or their beginnings, with commas")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--seconds", type=float, default=20.0, help="of a measurement, unless its epoch ends before")
    parser.add_argument("--peak", type=float, help="TFLOP/s in bf16 that the data sheet promises, without sparsity")
    parser.add_argument("--out", type=Path, default=Path("gpu"))
    parser.add_argument("--resume", action="store_true")
    args = parser.parse_args(given)
    try:
        equal, cases = chosen(args.only)
        where = gpu()
        if equal:
            lines = parity(where)
            show(table(f"{where.type} against fp32 on the CPU", ["", "outputs", "gradients", ""], lines))
            if any(line[-1] != "equal" for line in lines):
                return 1
        if cases:
            settings = Settings(cases, args.out, args.rounds, args.seconds, command=" ".join(sys.argv))
            record = measure(settings, lambda text: print(text, file=sys.stderr, flush=True), resume=args.resume)
            show(table("", COLUMNS, rows(record)))
            show(
                table(
                    "Against products measured here, on real tokens", ("work", "TFLOP/s", "share"), ceiling_rows(record)
                )
            )
            if args.peak:
                columns = ("work", "TFLOP/s", "model FLOPs utilisation")
                show(table(f"Against {args.peak:g} TFLOP/s, on real tokens", columns, of_peak(record, args.peak)))
            show(
                *(f"Note: {remark}." for remark in remarks(record)),
                f"{bench_page(record).write(args.out / 'bench.html')}",
            )
    except MaskwrightError as error:
        print(f"gpu.py: {error}", file=sys.stderr)
        return error.exit_code
    return 0


if __name__ == "__main__":
    sys.exit(main())
