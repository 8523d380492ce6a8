"""A made-up but realistic run: 3,000 steps of BERT pre-training, evaluated every 300."""

import math
import random

MACHINE = {"cpu": "AMD EPYC 7B13, 8 cores", "memory": "32 GB", "threads": 8, "system": "Linux 6.8, x86-64"}
CONFIG = {
    "schema": 1,
    "seed": 17,
    "model": {"family": "bert", "spec": {"layers": 4, "width": 256, "heads": 4, "dropout": 0.1, "norm_eps": 1e-12}},
    "objective": {"mlm": {"rate": 0.15, "whole_words": True}, "nsp": {}},
    "train": {"steps": 3000, "lr": 5e-4, "betas": [0.9, 0.98], "warmup": 300, "clip": 1.0, "compile": False},
}
COMMAND = "maskwright pretrain --recipe bert-tiny.yaml --corpus corpus/ --out runs/tiny --train.steps 3000"


def make_records(steps: int = 3000, every: int = 300) -> list[dict]:
    """The records of a finished run, as read_log would return them."""
    noise = random.Random(17)
    clock = 1_760_000_000.0
    records: list[dict] = [
        {
            "kind": "start", "time": clock, "name": "BERT tiny on village newspapers", "config": CONFIG, "machine": MACHINE,
            "command": COMMAND, "versions": {"maskwright": "0.1.0", "python": "3.11.7", "torch": "2.13.0"},
            "parameters": 11_170_560, "reference": {"unigram entropy": 7.21},
            "accuracy_reference": {"most frequent word": 0.051},
        }
    ]  # fmt: skip
    for step in range(1, steps + 1):
        clock += 0.245
        mlm = 4.0 + 5.1 * math.exp(-step / 620) + noise.gauss(0, 0.13)
        nsp = 0.36 + 0.34 * math.exp(-step / 900) + noise.gauss(0, 0.03)
        accuracy = {"mlm": 0.34 * (1 - math.exp(-step / 900)) + noise.gauss(0, 0.012), "nsp": 1 - nsp * 0.72}
        lr = 5e-4 * min(step / 300, (steps - step) / max(steps - 300, 1))
        records.append(
            {
                "kind": "step", "time": clock, "step": step, "epoch": step * 32 / 9000, "loss": mlm + nsp,
                "parts": {"mlm": mlm, "nsp": nsp}, "accuracy": {k: min(max(v, 0), 1) for k, v in accuracy.items()},
                "lr": lr, "grad_norm": abs(0.9 + 2 * math.exp(-step / 200) + noise.gauss(0, 0.15)),
                "tokens": step * 4096, "tokens_per_second": 16_700 + noise.gauss(0, 400),
            }
        )  # fmt: skip
        if step % every == 0:
            clock += 3
            mlm = 4.08 + 5.1 * math.exp(-step / 620)
            records.append(
                {
                    "kind": "eval", "time": clock, "step": step, "loss": mlm + 0.41, "parts": {"mlm": mlm, "nsp": 0.41},
                    "accuracy": {"mlm": 0.33 * (1 - math.exp(-step / 900)), "nsp": 0.74 - 0.1 * math.exp(-step / 900)},
                    "metrics": {"perplexity": math.exp(mlm)},
                }
            )  # fmt: skip
    records.append({"kind": "end", "time": clock + 1, "reason": "finished", "seconds": clock + 1 - records[0]["time"]})
    return records
