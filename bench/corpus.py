"""``maskwright corpus build`` beside ``datasets``: the same text and vocabulary, to tokens ready for pre-training.

The other side does what Hugging Face's masked-language-modelling example does unless told otherwise: load the text, ``map``
the tokenizer over it in batches with the special-tokens mask, ``map`` again to join all of it and cut it into examples of
512 tokens.  It stores no sentence ends, word starts or ledger; the build does.  Both keep the text and hash what they wrote,
for a cache or a manifest.  "without text" is the same build with ``keep_text=False``.  Each runs in a process tree of its own,
in turns.

    .venv/bin/python bench/corpus.py TEXT.jsonl [...] --vocabulary DIR [--rounds 3] [--processes 1 2] [--megabytes 52]

Reported: wall time of the whole command, processor time and peak memory of its processes together (resident, and proportional,
which counts a page shared by several once), bytes on disk.  Medians with least and most.
"""

from __future__ import annotations

import argparse
import json
import lzma
import os
import resource
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from functools import partial
from itertools import chain
from pathlib import Path

LENGTH = 512


def with_datasets(text: str, vocabulary: str, out: str, processes: int) -> None:
    from datasets import load_dataset
    from transformers import BertTokenizerFast

    tokenizer = BertTokenizerFast.from_pretrained(vocabulary)
    rows = load_dataset("json", data_files={"train": text}, cache_dir=out)
    names = rows["train"].column_names
    workers = processes if processes > 1 else None

    def tokenize(examples: dict[str, list[str]]) -> dict[str, list[list[int]]]:
        return tokenizer(examples["text"], return_special_tokens_mask=True)

    def group(examples: dict[str, list[list[int]]]) -> dict[str, list[list[int]]]:
        joined = {name: list(chain(*lists)) for name, lists in examples.items()}
        whole = len(next(iter(joined.values()))) // LENGTH * LENGTH
        return {name: [values[at : at + LENGTH] for at in range(0, whole, LENGTH)] for name, values in joined.items()}

    tokens = rows.map(tokenize, batched=True, num_proc=workers, remove_columns=names)
    grouped = tokens.map(group, batched=True, num_proc=workers)
    print(LENGTH * len(grouped["train"]))


def with_maskwright(text: str, vocabulary: str, out: str, processes: int, *, keep_text: bool = True) -> None:
    from maskwright.corpus.build import build
    from maskwright.text.tokenizer import Tokenizer

    tokenizer = Tokenizer.load(vocabulary)
    print(build(text, f"{out}/corpus", tokenizer, processes=processes, keep_text=keep_text).tokens().tokens)


SYSTEMS = {
    "datasets": with_datasets,
    "maskwright": with_maskwright,
    "without text": partial(with_maskwright, keep_text=False),
}


def measure(system: str, text: Path, vocabulary: Path, processes: int) -> dict[str, float]:
    """Run one system in its own process tree, and watch it."""
    import psutil

    with tempfile.TemporaryDirectory(dir=text.parent) as out:
        command = [sys.executable, __file__, "--only", system, str(text), "--vocabulary", str(vocabulary)]
        environment = {**os.environ, "HF_HUB_OFFLINE": "1", "HF_DATASETS_CACHE": out, "TOKENIZERS_PARALLELISM": "false"}
        environment |= {"HF_DATASETS_DISABLE_PROGRESS_BARS": "1"}
        begin, before = time.perf_counter(), resource.getrusage(resource.RUSAGE_CHILDREN)
        child = subprocess.Popen(
            [*command, "--out", out, "--processes", str(processes)],
            env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE,
        )  # fmt: skip
        resident = proportional = looked = 0
        tree = psutil.Process(child.pid)
        while child.poll() is None:
            rss = pss = 0
            try:
                for each in [tree, *tree.children(recursive=True)]:
                    rss += each.memory_info().rss
                    if looked % 10 == 0:  # dear: the kernel walks all pages
                        pss += each.memory_full_info().pss
            except psutil.Error:
                pass
            resident, proportional, looked = max(resident, rss), max(proportional, pss), looked + 1
            time.sleep(0.03)
        seconds = time.perf_counter() - begin
        if child.returncode:
            raise SystemExit(child.stderr.read().decode() if child.stderr else "failed")
        used = resource.getrusage(resource.RUSAGE_CHILDREN)
        disk = sum(file.stat().st_size for file in Path(out).rglob("*") if file.is_file())
    return {
        "seconds": seconds,
        "processor seconds": used.ru_utime + used.ru_stime - before.ru_utime - before.ru_stime,
        "MB resident": resident / 1e6,
        "MB proportional": proportional / 1e6,
        "MB on disk": disk / 1e6,
    }


def gather(files: list[Path], megabytes: float, out: Path) -> None:
    """Write documents of at most 20,000 characters, as crawled pages have, until there is enough text."""
    left = megabytes * 1e6
    with out.open("w", encoding="utf-8") as stream:
        for file in files:
            opener = lzma.open if file.suffix == ".xz" else open
            with opener(file, "rt", encoding="utf-8") as lines:
                for line in lines:
                    row = json.loads(line)
                    for at in range(0, len(row["text"]), 20_000):
                        if left <= 0:
                            return
                        written = json.dumps({"id": f"{row['id']}-{at}", "text": row["text"][at : at + 20_000]}) + "\n"
                        stream.write(written)
                        left -= len(written.encode())


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("files", nargs="+", type=Path, help="JSONL with the fields id and text, plain or .xz")
    parser.add_argument("--vocabulary", required=True, type=Path, help="folder with vocab.txt or tokenizer.json")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--processes", type=int, nargs="+", default=[1, 2])
    parser.add_argument("--megabytes", type=float, default=52)
    parser.add_argument("--only", choices=SYSTEMS, help=argparse.SUPPRESS)
    parser.add_argument("--out", help=argparse.SUPPRESS)
    asked = parser.parse_args()
    if asked.only:
        SYSTEMS[asked.only](str(asked.files[0]), str(asked.vocabulary), asked.out, asked.processes[0])
        return
    work = Path(tempfile.mkdtemp())
    try:
        text = work / "text.jsonl"
        gather(asked.files, asked.megabytes, text)
        print(
            f"{text.stat().st_size / 1e6:.1f} MB of JSONL, {asked.rounds} rounds, load {os.getloadavg()[0]:.1f} at the start"
        )
        for processes in asked.processes:
            results: dict[str, list[dict[str, float]]] = {name: [] for name in SYSTEMS}
            for _ in range(asked.rounds):
                for name in SYSTEMS:
                    results[name].append(measure(name, text, asked.vocabulary, processes))
            for what in results["datasets"][0]:
                row = {name: sorted(one[what] for one in runs) for name, runs in results.items()}
                told = [f"{name} {statistics.median(v):,.1f} ({v[0]:,.1f}–{v[-1]:,.1f})" for name, v in row.items()]
                theirs, *ours = (statistics.median(values) for values in row.values())
                ratios = " and ".join(f"{theirs / each:.1f}" for each in ours)
                print(f"{processes} process(es), {what}: {', '.join(told)}, ratios {ratios}", flush=True)
        print(f"load {os.getloadavg()[0]:.1f} at the end")
    finally:
        shutil.rmtree(work)


if __name__ == "__main__":
    main()
