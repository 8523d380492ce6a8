"""Writing with kept keys and values: ``maskwright.generate`` beside ``transformers``' ``generate``, same weights, same tokens.

A network of GPT-2's published size with random weights (speed does not depend on them), prompts of random tokens; greedily and
with a beam search; no end piece, so that both write all the tokens.  Each way is run in turns and the tokens are compared.

    .venv/bin/python bench/generate.py [--preset gpt2] [--prompts 8] [--read 32] [--write 32] [--rounds 3] [--threads N]

Reported: new tokens a second, the median of the rounds (least–most), and the ratio of the medians.
"""

from __future__ import annotations

import argparse
import statistics
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import tokenizers
import torch

from maskwright.families import FAMILIES
from maskwright.model import Model, create
from maskwright.text.tokenizer import Tokenizer
from maskwright.writing.beam import search
from maskwright.writing.decoder import Decoder
from maskwright.writing.draw import follow, likeliest

Lines = list[list[int]]


def any_tokenizer(pieces: int) -> Tokenizer:
    """A vocabulary of that many words: only its size matters here."""
    return Tokenizer(tokenizers.Tokenizer(tokenizers.models.WordLevel({f"w{n}": n for n in range(pieces)}, "w0")), 1024)


def ours(model: Model, prompts: Sequence[Sequence[int]], most: int, beams: int) -> Lines:
    with torch.no_grad():
        decoder = Decoder(model, prompts)
        if beams == 1:
            return [tokens for tokens, _, _ in follow(decoder, likeliest, most=most, ends=())]
        return [lines[0][0] for lines in search(decoder, beams=beams, best=1, penalty=1.0, most=most, ends=())]


def theirs(model: Any, prompts: Sequence[Sequence[int]], most: int, beams: int) -> Lines:
    ids = torch.tensor(prompts)
    options = {
        "max_new_tokens": most,
        "min_new_tokens": most,
        "do_sample": False,
        "num_beams": beams,
        "pad_token_id": 0,
    }
    rows = model.generate(ids, attention_mask=torch.ones_like(ids), **options)
    return [row[ids.shape[1] :].tolist() for row in rows]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--preset", default="gpt2")
    for name, value in (("prompts", 8), ("read", 32), ("write", 32), ("rounds", 3), ("threads", 0)):
        parser.add_argument(f"--{name}", type=int, default=value)
    args = parser.parse_args()
    if args.threads:
        torch.set_num_threads(args.threads)
    import transformers

    transformers.logging.set_verbosity_error()
    family = next(each for each in (entry.load() for entry in FAMILIES) if args.preset in each.presets)
    spec = family.presets[args.preset]
    model = create(spec, any_tokenizer(spec.vocabulary), seed=0).eval()
    model.add_head("lm")
    with tempfile.TemporaryDirectory() as folder:
        model.save(folder)
        peer = (
            getattr(transformers, model.family.base.replace("Model", "LMHeadModel"))
            .from_pretrained(Path(folder))
            .eval()
        )
    generator = torch.Generator().manual_seed(1)
    prompts = torch.randint(5, spec.vocabulary, (args.prompts, args.read), generator=generator).tolist()
    for beams in (1, 4):
        sides: dict[str, Callable[[], Lines]] = {
            "transformers": lambda beams=beams: theirs(peer, prompts, args.write, beams),  # type: ignore[misc]
            "maskwright": lambda beams=beams: ours(model, prompts, args.write, beams),  # type: ignore[misc]
        }
        times: dict[str, list[float]] = {side: [] for side in sides}
        lines: dict[str, Lines] = {side: run() for side, run in sides.items()}  # the first round warms up
        for _ in range(args.rounds):
            for side, run in sides.items():
                began = time.perf_counter()
                lines[side] = run()
                times[side].append(time.perf_counter() - began)
        new = args.prompts * args.write
        same = sum(a == b for a, b in zip(*lines.values(), strict=True))
        medians = {side: statistics.median(each) for side, each in times.items()}
        print(f"{'greedy' if beams == 1 else f'{beams} beams'}: the same tokens for {same} of {args.prompts} prompts")
        for side, each in times.items():
            print(f"  {side:13} {new / medians[side]:7.1f} tokens/s  ({new / max(each):.1f}–{new / min(each):.1f})")
        print(f"  ratio         {medians['transformers'] / medians['maskwright']:7.2f} ×")


if __name__ == "__main__":
    main()
