"""``maskwright quickstart``: the main job, on text that is already here, in a few minutes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from maskwright.cli.common import command_line, heldout_table, share, warn_if_busy
from maskwright.report.terminal import console, duration, key_values, show, table

__all__ = ["quickstart"]


def quickstart(*, text: Path | None = None, out: Path | None = None, minutes: float = 4.0, seed: int = 0) -> None:
    """Pre-train a small BERT on your text (or on Python's own documentation), fine-tune it, and see what it learnt.

    Parameters
    ----------
    text
        Your text: a file or a folder of .txt and .jsonl; by default the docstrings of this Python installation.
    out
        Folder for everything; by default quickstart, or quickstart-2 and so on when that is taken.
    minutes
        Time for all of it.
    seed
        Of all random choices.
    """
    warn_if_busy()
    from maskwright.corpus.passages import NoTask
    from maskwright.quickstart.flow import Quickstart
    from maskwright.quickstart.page import write_page

    folder = out or _free()
    flow = Quickstart(folder, text, minutes, seed, command_line())
    _head(1, "Reading the text")
    material = flow.read()
    show(f"{material.what}", material.remark)
    _account(material.account)
    _head(2, "Learning a vocabulary and building the corpus")
    tokenizer = flow.learn_vocabulary()
    corpus = flow.build_corpus()
    facts = flow.facts()
    show(
        key_values(
            {
                "documents": facts["documents"],
                "sentences": facts["sentences"],
                "tokens": facts["tokens"],
                "vocabulary": f"{tokenizer.vocab_size:,} pieces",
                "unigram entropy": f"{facts['unigram_entropy']:.3f} nats",
            }
        )
    )
    _account(corpus.ledger.accounts())
    _head(3, "Pre-training a small BERT: hidden words and next sentences")
    heldout = flow.pretrain()
    show(heldout_table(heldout))
    _guesses(flow.guesses)
    _head(4, "Fine-tuning on a labelled task from the same text")
    found = flow.finetune()
    if isinstance(found, NoTask):
        show(found.reason)
    else:
        show(f"{material.question} {found.classes} classes, {found.train:,} to learn from, {found.test:,} held out")
        rows = [(s.name, share(s.accuracy), duration(s.seconds)) for s in found.systems]
        show(table("Accuracy on held-out passages", ["", "accuracy [95 % interval]", "time"], rows))
        show(found.verdict())
    outcome = flow.outcome()
    report = write_page(outcome, folder)
    show(f"\nDone in {duration(outcome.seconds)}. The report: {report}\n", "Next:")
    prompt = flow.guesses[0].riddle.prompt if flow.guesses else "The [MASK] is returned."
    for line in _next(folder, prompt, text):
        console().print(line, soft_wrap=True)  # a command that is to be pasted must not be broken


def _free() -> Path:
    """The first of quickstart, quickstart-2, … that is not there yet."""
    number = 1
    while True:
        folder = Path("quickstart" if number == 1 else f"quickstart-{number}")
        if not folder.exists():
            return folder
        number += 1


def _head(number: int, title: str) -> None:
    show(f"\n{number}. {title}")


def _account(account: Mapping[str, Mapping[str, Any]]) -> None:
    from maskwright.cli.corpus import show_accounts

    if account:
        show_accounts(account)


def _guesses(guesses: Sequence[Any]) -> None:
    for each in guesses:
        riddle = each.riddle
        show(f"  {riddle.left}[{riddle.answer}]{riddle.right}")
        for name in ("before", "after"):
            offered = ", ".join(f"{g.piece} {100 * g.share:.0f} %" for g in getattr(each, name)[:4])
            show(f"    {name:<7} {offered}")


def _next(folder: Path, prompt: str, text: Path | None) -> list[str]:
    return [
        f'  maskwright fill {folder}/model "{prompt}"',
        f"  maskwright params {folder}/model",
        "  maskwright quickstart --text YOUR_FOLDER" if text is None else f"  maskwright corpus show {folder}/corpus",
    ]
