"""What the compiled kernels are worth: attention, and whole steps of masked-token training, with them and without.

    python bench/kernels.py --threads 1 --rounds 7

Attention: the kernel and the plain path in turns in one process.  Steps: the same blocks, head and optimiser in processes of
their own, with the kernels and with MASKWRIGHT_NATIVE=0, in turns.  bf16 products; seconds are of the processor, which other
programs disturb less than the clock's.
"""

from __future__ import annotations

import argparse
import os
import random
import statistics
import subprocess
import sys
import time
from collections.abc import Callable

import torch
from torch import Tensor, nn

from maskwright import native
from maskwright.machine import keep_buffers
from maskwright.nn.attend import attend
from maskwright.nn.block import Block, BlockSpec
from maskwright.nn.dropout import dropout_key
from maskwright.nn.layout import Ragged
from maskwright.nn.vocabulary import cross_entropy

ATTENTION = {
    "32 of 128, 4 heads of 64": ([128] * 32, 4, 64),
    "64 of 16 to 90, 12 of 32": ([random.Random(0).randint(16, 90) for _ in range(64)], 12, 32),
    "8 of 512, 12 of 64": ([512] * 8, 12, 64),
}
"""Lengths, heads, width of a head."""

STEPS = {
    "BERT-mini, 32 x 128": (4, 256, 4, 8_192, 128, 32),
    "MiniLM-L6, 64 x 48": (6, 384, 12, 30_522, 48, 64),
    "BERT-base, 8 x 128": (12, 768, 12, 30_522, 128, 8),
}
"""Layers, width, heads, vocabulary, length, sequences."""


def seconds(act: Callable[[], object]) -> float:
    began = time.process_time()
    act()
    return time.process_time() - began


def attention(lengths: list[int], heads: int, width: int, dropout: float, rounds: int) -> dict[str, list[float]]:
    """Forward and backward of both ways, in turns."""
    layout = Ragged.of(sorted(lengths))
    joined = torch.randn(sum(lengths), 3, heads, width).bfloat16().requires_grad_()
    grad = torch.randn(sum(lengths), heads, width).bfloat16()
    taken: dict[str, list[float]] = {"packed": [], "per-sequence": []}

    def once(kernel: str) -> None:
        with dropout_key(1, 2):
            out = attend(*joined.unbind(1), layout, layout, dropout=dropout, kernel=kernel)
        out.backward(grad)

    for turn in range(rounds + 1):
        for kernel, times in taken.items():
            took = seconds(lambda kernel=kernel: once(kernel))
            if turn:  # the first one prepares things
                times.append(took)
    return taken


def step(name: str, dropout: float) -> float:
    """Seconds of one step, the median of eight."""
    layers, width, heads, vocabulary, length, sequences = STEPS[name]
    torch.manual_seed(0)
    spec = BlockSpec(width=width, heads=heads, feed_forward=4 * width, dropout=dropout, attention_dropout=dropout)
    blocks = nn.ModuleList([spec.build() for _ in range(layers)]).train()
    table, head = nn.Embedding(vocabulary, width), nn.Linear(width, width)
    layout, tokens = Ragged.of([length] * sequences), length * sequences
    ids, positions = torch.randint(0, vocabulary, (tokens,)), torch.arange(tokens) % length
    hidden = torch.randperm(tokens)[: round(0.15 * tokens)].sort().values
    parameters = [*blocks.parameters(), *table.parameters(), *head.parameters()]
    optimizer = torch.optim.AdamW(parameters, lr=1e-4, fused=True)

    def once() -> None:
        with torch.autocast("cpu", torch.bfloat16):
            x: Tensor = table(ids)
            for block in blocks:
                assert isinstance(block, Block)
                x = block(x, positions, layout)
            scores = torch.nn.functional.gelu(head(x[hidden])) @ table.weight.T
            loss = cross_entropy(scores, ids[hidden])[0].mean()
        loss.backward()
        nn.utils.clip_grad_norm_(parameters, 1.0)
        optimizer.step()
        optimizer.zero_grad()

    times = [seconds(once) for _ in range(10)]
    return statistics.median(times[2:])


def line(name: str, dropout: float, ours: list[float], plain: list[float]) -> str:
    ratios = [b / a for a, b in zip(ours, plain, strict=True)]
    return (
        f"{name:26} dropout {dropout:3}   {1e3 * statistics.median(ours):7.1f} ms   plain {1e3 * statistics.median(plain):7.1f}"
        f"   {statistics.median(ratios):.2f} x ({min(ratios):.2f} to {max(ratios):.2f})"
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--step", help="only this step, in this process: prints its seconds")
    parser.add_argument("--dropout", type=float, default=0.1)
    args = parser.parse_args()
    keep_buffers()
    torch.set_num_threads(args.threads)
    if args.step:
        print(step(args.step, args.dropout))
        return
    if native.library() is None:
        raise SystemExit(f"no kernels here: {native.why_not()}")
    print(f"{args.threads} threads, {args.rounds} rounds, load {os.getloadavg()[0]:.1f}, torch {torch.__version__}")
    for name, (lengths, heads, width) in ATTENTION.items():
        for dropout in (0.0, 0.1):
            taken = attention(lengths, heads, width, dropout, args.rounds)
            print(line(name, dropout, taken["packed"], taken["per-sequence"]), flush=True)
    for name in STEPS:
        for dropout in (0.0, 0.1):
            both: tuple[list[float], list[float]] = [], []
            for _ in range(max(3, args.rounds // 2)):
                for times, switch in zip(both, ("1", "0"), strict=True):
                    command = [sys.executable, __file__, "--step", name, "--dropout", str(dropout)]
                    given = [*command, "--threads", str(args.threads)]
                    env = {**os.environ, "MASKWRIGHT_NATIVE": switch}
                    times.append(
                        float(subprocess.run(given, env=env, check=True, capture_output=True, text=True).stdout)
                    )
            print(line(name, dropout, *both), flush=True)
    print(f"load {os.getloadavg()[0]:.1f}")


if __name__ == "__main__":
    main()
