"""Does it pay to start from what exists?  One domain, four encoders, the same held-out words.

    python bench/continued.py TEXTS --start FOLDER --out runs/continued

TEXTS: a .jsonl (.gz, .xz) of documents; every twelfth is held out.  FOLDER: a BERT-like model folder.  Compared are

    start           the weights as they are, with a fresh masked LM head
    extended-start  the same with 2,000 words of the domain added to the vocabulary
    continued       pre-training goes on from start
    extended        pre-training goes on from extended-start
    fresh           the same architecture and vocabulary from random weights, the same number of tokens
    mini            four layers of width 256 with a vocabulary of 8,192 of its own, about the same time

Vocabularies differ, so a loss a token cannot be compared.  Scored are whole words: the same words of the same passages, all
pieces of a word hidden together; a word's loss is the sum over its pieces, and it is right when all its pieces are.  How many
[MASK] stand for a word tells a model with longer spellings something, and scoring the pieces apart costs it something.

Each stage leaves a folder and is not done again when that is there.
"""

from __future__ import annotations

import argparse
import gzip
import json
import lzma
import shutil
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import tokenizers
import torch
import torch.nn.functional as F

from maskwright import machine
from maskwright.config import PretrainConfig
from maskwright.corpus.build import add_tokens, build
from maskwright.corpus.show import piece_counts
from maskwright.corpus.store import Corpus
from maskwright.grow import grow
from maskwright.keys import Key
from maskwright.model import Model, load
from maskwright.text.extend import extend
from maskwright.text.tokenizer import Tokenizer
from maskwright.train.pretrain import pretrain

ADD, HELD_EVERY, WORDS, PASSAGES, RATE = 2000, 12, 40, 2000, 0.15
LENGTH, TOKENS = 64, 512
SEED = 0

Asked = tuple[list[str], list[int]]
"""A passage's words, and the numbers of those that are hidden."""


def prepare(args: argparse.Namespace) -> None:
    """Split the documents, extend the model, train the small vocabulary, build the corpus with all three."""
    out: Path = args.out
    train, held = out / "train.jsonl", out / "held.jsonl"
    if not held.exists():
        out.mkdir(parents=True, exist_ok=True)
        unpack = {".gz": gzip.open, ".xz": lzma.open}.get(args.texts.suffix, open)
        with train.open("wb") as kept, (out / "held.part").open("wb") as apart, unpack(args.texts, "rb") as lines:
            for number, line in enumerate(lines):
                (apart if number % HELD_EVERY == HELD_EVERY // 2 else kept).write(line)
        (out / "held.part").rename(held)
    if not (out / "start").exists():
        # Short runs learn soonest without dropout; the weights are the same.
        shutil.copytree(args.start, out / "source", dirs_exist_ok=True)
        config = json.loads((out / "source" / "config.json").read_text("utf-8"))
        config |= {"hidden_dropout_prob": 0.0, "attention_probs_dropout_prob": 0.0}
        (out / "source" / "config.json").write_text(json.dumps(config), "utf-8")
        load(out / "source").save(out / "start")
    if not (out / "extended").exists():
        model = load(out / "start")
        made = extend(model.tokenizer, texts(train), add=ADD)
        before, after = made.tokens_before / made.words, made.tokens_after / made.words
        print(f"extended by {len(made.pieces):,}: {before:.4f} -> {after:.4f} tokens a word")
        grow(model, made.tokenizer).save(out / "extended")
    if not (out / "small").exists():
        Tokenizer.train(texts(train), vocab_size=8192).save(out / "small")
    if not (out / "corpus" / "manifest.json").exists():
        build(train, out / "corpus", Tokenizer.load(out / "start"))
        add_tokens(out / "corpus", Tokenizer.load(out / "extended"))
    if not (out / "corpus-small" / "manifest.json").exists():
        build(train, out / "corpus-small", Tokenizer.load(out / "small"))


def texts(file: Path) -> Iterator[str]:
    """Yield the texts of a .jsonl file."""
    with file.open(encoding="utf-8") as lines:
        for line in lines:
            yield json.loads(line)["text"]


def train(args: argparse.Namespace, name: str, steps: int, lr: float, **fields: Any) -> Path:
    """Pre-train, and return the model's folder."""
    out = args.out / name
    if not (out / "model").exists():
        shutil.rmtree(out, ignore_errors=True)
        settings = {"steps": steps, "tokens": TOKENS, "lr": lr, "warmup": 0.1, "beta2": 0.98, "save_every": steps}
        began = time.process_time()
        pretrain(
            PretrainConfig.of(
                {"corpus": args.out / "corpus", "out": out, "length": LENGTH, "held_out": 0.0, "train": settings}
                | {"objectives": "mlm", "objective": {"mlm": {"unit": "word"}}}
                | fields
            )
        )
        print(f"{name}: {steps:,} steps, {time.process_time() - began:.0f} s of CPU in all", flush=True)
    return out / "model"


def passages(args: argparse.Namespace, vocabularies: list[Tokenizer]) -> list[Asked]:
    """Return held-out passages of 40 words with the numbers of the words to hide: the same for every model."""
    content, _ = vocabularies[0].__getstate__()
    rules = tokenizers.Tokenizer.from_str(content)
    found = []
    for text in texts(args.out / "held.jsonl"):
        chunks = [part for line in text.splitlines() for part in rules.normalizer.normalize_str(line).split()]
        words = [word for chunk in chunks for word, _ in rules.pre_tokenizer.pre_tokenize_str(chunk)]
        found += [words[at : at + WORDS] for at in range(0, len(words) - WORDS, WORDS)]
    kept = []
    for place in Key(SEED).stream("bench.passages").order(len(found)).tolist():
        words = found[place]
        pieces = [[vocabulary.encode(word) for word in words] for vocabulary in vocabularies]
        if all(sum(map(len, ids)) <= LENGTH - 2 for ids in pieces):
            known = [
                all(v.unk_id not in ids[n] for v, ids in zip(vocabularies, pieces, strict=True)) for n in range(WORDS)
            ]
            order = Key(SEED, 0, place).stream("bench.words").order(WORDS).tolist()
            kept.append((words, sorted(n for n in order[: round(RATE * WORDS)] if known[n])))
        if len(kept) == args.passages:
            break
    return kept


@torch.no_grad()
def score(model: Model, asked: list[Asked]) -> np.ndarray:
    """Return (words, 3): each hidden word's loss in nats, whether it was found, and its pieces."""
    tokenizer, rows = model.tokenizer, []
    dtype = machine.precision("auto", model.device)
    for begin in range(0, len(asked), 32):
        group = asked[begin : begin + 32]
        ids = torch.full((len(group), LENGTH), tokenizer.pad_id)
        real, of_word, labels = torch.zeros_like(ids), torch.full_like(ids, -1), torch.zeros_like(ids)
        hidden = 0
        for row, (words, wanted) in enumerate(group):
            pieces = [[tokenizer.cls_id], *(tokenizer.encode(word) for word in words), [tokenizer.sep_id]]
            flat = [number for each in pieces for number in each]
            ids[row, : len(flat)], real[row, : len(flat)] = torch.tensor(flat), 1
            labels[row, : len(flat)] = torch.tensor(flat)
            ends = np.cumsum([len(each) for each in pieces]).tolist()
            for word in wanted:
                of_word[row, ends[word] : ends[word + 1]] = hidden
                hidden += 1
        chosen = of_word >= 0
        ids[chosen] = tokenizer.mask_id
        with machine.autocast(model.device, dtype):
            logits = model.head("mlm")(model(ids, real).last_hidden_state[chosen]).float()
        losses = F.cross_entropy(logits, labels[chosen], reduction="none")
        right = (logits.max(-1).indices == labels[chosen]).float()
        word = of_word[chosen]
        summed = torch.zeros(hidden, 3)
        summed.index_add_(0, word, torch.stack([losses, right, torch.ones_like(losses)], dim=1))
        rows.append(summed)
    result = torch.cat(rows).numpy()
    result[:, 1] = result[:, 1] == result[:, 2]
    return result


def with_head(model: Model) -> Model:
    """Give a model the masked LM head that it lacks, the one that pre-training would give it."""
    with machine.seeded(SEED):
        model.add_head("mlm")
    return model


def main() -> None:
    """Prepare, train, score, print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("texts", type=Path)
    parser.add_argument("--start", type=Path, required=True)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--steps", type=int, default=350)
    parser.add_argument("--mini-steps", type=int, default=1200)
    parser.add_argument("--lr", type=float, default=5e-4)
    parser.add_argument("--passages", type=int, default=PASSAGES)
    parser.add_argument("--only", default="start,extended-start,continued,extended,fresh,mini")
    args = parser.parse_args()
    prepare(args)
    size = {"layers": 6, "width": 384, "heads": 12, "dropout": 0.0, "attention_dropout": 0.0}
    mini = {"layers": 4, "width": 256, "heads": 4, "dropout": 0.0, "attention_dropout": 0.0}
    runs: dict[str, Callable[[], Path]] = {
        "start": lambda: args.out / "start",
        "extended-start": lambda: args.out / "extended",
        "continued": lambda: train(args, "run-continued", args.steps, args.lr, start=str(args.out / "start")),
        "extended": lambda: train(args, "run-extended", args.steps, args.lr, start=str(args.out / "extended")),
        "fresh": lambda: train(args, "run-fresh", args.steps, args.lr, encoder=size),
        "mini": lambda: train(args, "run-mini", args.mini_steps, 1e-3, encoder=mini, corpus=args.out / "corpus-small"),
    }
    vocabularies = [Tokenizer.load(args.out / name) for name in ("start", "extended", "small")]
    asked = passages(args, vocabularies)
    scores = {"word frequencies": unigram(args, vocabularies[0], asked)}
    for name in args.only.split(","):
        file = args.out / f"score-{name}.npy"
        if not file.exists():
            np.save(file, score(with_head(load(runs[name]())), asked))
        scores[name] = np.load(file)
    print(f"{len(asked):,} passages, {sum(len(wanted) for _, wanted in asked):,} hidden words")
    report(scores, vocabularies, asked)


def unigram(args: argparse.Namespace, tokenizer: Tokenizer, asked: list[Asked]) -> np.ndarray:
    """Score what knows only how frequent pieces are, as ``score`` does."""
    counts = piece_counts(Corpus.open(args.out / "corpus").tokens(tokenizer), tokenizer.vocab_size) + 1
    losses = -np.log(counts / counts.sum())
    ids = [tokenizer.encode(words[n]) for words, wanted in asked for n in wanted]
    return np.array([(losses[each].sum(), each == [int(counts.argmax())], len(each)) for each in ids])


def report(scores: dict[str, np.ndarray], vocabularies: list[Tokenizer], asked: list[Asked]) -> None:
    """Print each model's loss a word and accuracy, on all words and on three kinds of them, and paired differences."""
    hidden = [words[n] for words, wanted in asked for n in wanted]
    pieces = np.array([[len(v.encode(word)) for v in vocabularies[:2]] for word in hidden])
    kinds = {
        "all": np.ones(len(hidden), bool),
        "one piece from the start": pieces[:, 0] == 1,
        "made one by extension": (pieces[:, 0] > 1) & (pieces[:, 1] == 1),
        "several in both": pieces[:, 1] > 1,
    }
    print("| | " + " | ".join(f"{kind}, n = {mask.sum():,}" for kind, mask in kinds.items()) + " |")
    print("|---" * (len(kinds) + 1) + "|")
    for name, each in scores.items():
        cells = [f"{each[mask, 0].mean():.3f} nats, {100 * each[mask, 1].mean():.1f} %" for mask in kinds.values()]
        print(f"| {name} | " + " | ".join(cells) + " |")
    passage = np.repeat(np.arange(len(asked)), [len(wanted) for _, wanted in asked])
    for one, other in (
        ("continued", "start"),
        ("extended", "continued"),
        ("continued", "fresh"),
        ("continued", "mini"),
    ):
        if one in scores and other in scores:
            gaps = [difference(scores[one], scores[other], mask, passage) for mask in kinds.values()]
            print(f"| {one} - {other}, nats | " + " | ".join(gaps) + " |")


def difference(one: np.ndarray, other: np.ndarray, mask: np.ndarray, passage: np.ndarray) -> str:
    """Return the mean difference of the loss a word and its 95 % bootstrap interval over passages."""
    gap = np.where(mask, one[:, 0] - other[:, 0], 0.0)
    sums, counts = np.bincount(passage, gap), np.bincount(passage, mask)
    draw = Key(SEED).stream("bench.bootstrap").integers(len(sums), 1000 * len(sums)).reshape(1000, -1)
    means = sums[draw].sum(1) / counts[draw].sum(1)
    low, high = np.quantile(means, (0.025, 0.975))
    return f"{sums.sum() / counts.sum():+.3f} [{low:+.3f}, {high:+.3f}]"


if __name__ == "__main__":
    main()
