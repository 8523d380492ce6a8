"""The quickstart on a small text: everything it promises is in its folder, and the page says what the run found."""

import json
import re
from pathlib import Path

import pytest

from maskwright.config import PretrainConfig
from maskwright.corpus.passages import NoTask
from maskwright.errors import InputError
from maskwright.evaluation.pretraining import Heldout
from maskwright.model import load
from maskwright.quickstart import compare as comparing
from maskwright.quickstart.flow import Quickstart
from maskwright.quickstart.guess import riddles
from maskwright.quickstart.page import write_page
from small import documents


@pytest.fixture
def text(tmp_path: Path) -> Path:
    """A folder with the documentation of some modules, a file each."""
    folder = tmp_path / "text"
    folder.mkdir()
    for document in documents():
        (folder / f"{document.id}.txt").write_text(document.text, "utf-8")
    return folder


def hurried(config: PretrainConfig) -> PretrainConfig:
    """The same settings for a few steps of a small encoder."""
    train = config.train.model_copy(update={"minutes": None, "steps": 4})
    encoder = config.encoder.model_copy(update={"layers": 1, "width": 16, "heads": 2})
    return config.model_copy(update={"train": train, "encoder": encoder})


def taken(flow: Quickstart, monkeypatch: pytest.MonkeyPatch) -> Heldout:
    """Run all steps in a hurry."""
    usual = flow.config
    monkeypatch.setattr(flow, "config", lambda: hurried(usual()))
    settings = {"examples": 64, "epochs": 1, "evaluate_every": 100}
    monkeypatch.setattr(comparing, "FINETUNING", {**comparing.FINETUNING, **settings})
    flow.read()
    flow.learn_vocabulary()
    flow.build_corpus()
    heldout = flow.pretrain()
    flow.finetune()
    return heldout


def test_the_folder_holds_model_predictions_and_report(
    text: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    out = tmp_path / "out"
    flow = Quickstart(out, text, 1.0, 0, "maskwright quickstart")
    heldout = taken(flow, monkeypatch)
    outcome = flow.outcome()
    page = write_page(outcome, out).read_text("utf-8")

    assert set(load(out / "model").net.heads) == {"pooler", "mlm", "nsp"}
    assert outcome.comparison is not None
    assert load(out / "classifier").card.labels
    answers = [json.loads(line) for line in (out / "predictions.jsonl").read_text("utf-8").splitlines()]
    assert len(answers) == outcome.comparison.test
    right = sum(answer["gold"] == answer["label"] for answer in answers)
    assert right / len(answers) == pytest.approx(outcome.comparison.systems[0].accuracy.value)

    assert outcome.comparison.verdict() in re.sub(r"&#x27;", "'", page).replace("\u00a0", " ")
    assert all(guesses.riddle.answer in page for guesses in outcome.guesses)
    assert "<script" not in page
    assert not re.search(r'(src|href)="(?!#)', page)
    assert heldout.counts["mlm"] > 0
    assert set(heldout.accuracy) == {"mlm", "nsp"}


def test_a_text_without_sources_enough_says_why_there_is_no_task(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = tmp_path / "one.txt"
    file.write_text("\n\n".join(document.text for document in documents()[:4]), "utf-8")
    flow = Quickstart(tmp_path / "out", file, 1.0, 0, "")
    found = flow.read().task
    assert isinstance(found, NoTask)
    assert "at least 3 sources" in found.reason


def test_a_folder_with_something_in_it_is_left_alone(tmp_path: Path) -> None:
    (tmp_path / "thesis.txt").write_text("mine", "utf-8")
    with pytest.raises(InputError, match="not empty"):
        Quickstart(tmp_path, None, 1.0, 0, "")
    assert (tmp_path / "thesis.txt").read_text("utf-8") == "mine"


def test_riddles_are_held_out_sentences_with_one_known_word_hidden(small_corpus, tokenizer) -> None:  # type: ignore[no-untyped-def]
    import numpy as np

    numbers = np.arange(small_corpus.documents)
    asked = riddles(small_corpus, numbers, tokenizer, 4, seed=0)
    assert asked == riddles(small_corpus, numbers, tokenizer, 4, seed=0)
    everything = "\n".join(small_corpus.text(int(n))[1] for n in numbers)
    for riddle in asked:
        assert riddle.left + riddle.answer + riddle.right in everything
        assert len(tokenizer.encode(riddle.answer)) == 1
        assert riddle.prompt.count("[MASK]") == 1
