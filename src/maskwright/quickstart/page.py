"""The quickstart's report: one page to show a friend."""

from __future__ import annotations

from pathlib import Path

from maskwright.corpus.passages import NoTask
from maskwright.quickstart.flow import Guesses, Outcome
from maskwright.report import page
from maskwright.report.chart import Bar, bar_chart
from maskwright.report.log import read_log
from maskwright.report.page import Candidate, MaskedSentence, Section
from maskwright.report.run import run_page

__all__ = ["write_page"]


def write_page(outcome: Outcome, out: Path) -> Path:
    """Write ``report.html`` into the quickstart's folder."""
    sections = [
        page.paragraph(f"Text: {outcome.material.what}. {outcome.material.remark}".strip()),
        page.heading("What it makes of a hidden word"),
        page.paragraph(
            "Sentences from documents that were never trained on; the hidden word is marked where it was found."
        ),
        page.fill_mask([_sentence(each) for each in outcome.guesses]),
        *_task(outcome),
    ]
    account = {**outcome.material.account, **outcome.corpus.ledger.accounts()}
    built = run_page(read_log(out / "runs" / "pretrain" / "log.jsonl"), account, sections)
    built.title = "Quickstart: your text in, a BERT you own out"
    return built.write(out / "report.html")


def _sentence(guesses: Guesses) -> MaskedSentence:
    riddle = guesses.riddle
    offers = {
        name: [Candidate(guess.piece, guess.share) for guess in offered]
        for name, offered in (("before", guesses.before), ("after", guesses.after))
    }
    return MaskedSentence(riddle.left, riddle.answer, riddle.right, offers)


def _task(outcome: Outcome) -> list[Section]:
    comparison = outcome.comparison
    if comparison is None:
        assert isinstance(outcome.material.task, NoTask)
        return [page.heading("A labelled task"), page.callout(outcome.material.task.reason)]
    bars = [
        Bar(system.name, 100 * system.accuracy.value, 100 * system.accuracy.low, 100 * system.accuracy.high)
        for system in comparison.systems
    ]
    rows = [
        (
            s.name,
            f"{100 * s.accuracy.value:.1f} %",
            f"{100 * s.accuracy.low:.1f} to {100 * s.accuracy.high:.1f}",
            f"{s.seconds:.0f} s",
        )
        for s in comparison.systems
    ]
    best = max(range(len(rows)), key=lambda n: comparison.systems[n].accuracy.value)
    return [
        page.heading("A labelled task from the same text"),
        page.paragraph(
            f"{outcome.material.question} {comparison.classes} classes, {comparison.train:,} passages to learn from, "
            f"{comparison.test:,} to be scored on; near-duplicates are kept on one side."
        ),
        page.chart(bar_chart("Accuracy on held-out passages, with 95 % intervals", bars, "%")),
        page.table(["", "accuracy", "95 % interval", "time"], rows, highlight=best),
        page.callout(comparison.verdict(), "good" if comparison.against_fresh.difference.low > 0 else "note"),
    ]
