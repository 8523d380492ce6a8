"""Signs on real logs: none at any step of the runs that learn, the right one on each that does not."""

import json
import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from runs import config

from maskwright.corpus.store import Corpus
from maskwright.data.pairs import NextPairs, Runs
from maskwright.evaluation.intervals import wilson
from maskwright.evaluation.pretraining import Reference
from maskwright.keys import Key
from maskwright.report.log import read_log
from maskwright.train.pretrain import foresee, pretrain
from maskwright.train.watch import Baselines, baselines, signs, to_beat

RECORDED = json.loads((Path(__file__).parents[1] / "golden" / "runs.json").read_text())
REFERENCE = Reference(RECORDED["entropy"], RECORDED["most_frequent"], "the")
FOUND = Baselines(RECORDED["vocabulary"], REFERENCE, wilson(*RECORDED["nsp_majority"]))


def log(name: str) -> list[dict[str, Any]]:
    """Records as the training loop writes them."""
    run = RECORDED["runs"][name]
    names = [each for each in ("mlm", "nsp") if each in run]
    return [
        {
            "kind": "step",
            "step": step + 1,
            "loss": sum(run[each][step] for each in names),
            "parts": {each: run[each][step] for each in names},
            "accuracy": {each: run[f"{each} right"][step] for each in names},
            "grad_norm": run["grad_norm"][step],
        }
        for step in range(run["steps"])
    ]


def told(records: list[dict[str, Any]], warmup: int, every: int = 10) -> dict[str, int]:
    """Each sign, and the step at which it was first seen."""
    first: dict[str, int] = {}
    for step in range(every, len(records) + 1, every):
        for sign in signs(records[:step], FOUND, steps=len(records), warmup=warmup):
            first.setdefault(sign.name, step)
    return first


@pytest.mark.parametrize("name", ["healthy", "slow"])
def test_a_run_that_learns_shows_no_sign_at_any_step(name: str) -> None:
    assert told(log(name), RECORDED["runs"][name]["warmup"]) == {}


def test_a_rate_that_is_too_high_shows_as_a_plateau_long_before_the_end() -> None:
    first = told(log("plateau"), 24)
    assert first["plateau"] == 230 and first["spikes"] == 130
    assert set(first) == {"plateau", "spikes", "next sentence at chance"}
    sign = next(each for each in signs(log("plateau"), FOUND, steps=600, warmup=24) if each.name == "plateau")
    assert "6.806" in sign.fact and "4.3 %" in sign.fact and "train.warmup" in sign.remedy


def test_weights_that_hardly_move_are_not_called_a_plateau() -> None:
    assert set(told(log("still"), 18)) == {"not learning"}


def test_a_run_that_blew_up_is_named_at_once() -> None:
    first = told(log("explode"), 0)
    assert first["diverged"] == 20
    assert "plateau" in first


def test_without_baselines_only_losses_and_gradients_are_looked_at() -> None:
    assert [each.name for each in signs(log("plateau")[:150], None, steps=600, warmup=24)] == ["spikes"]
    assert signs(log("still"), None, steps=300, warmup=18) == []
    assert signs([], FOUND, steps=10, warmup=1) == []
    assert signs([{"kind": "start"}, {"kind": "note", "text": ""}], FOUND, steps=10, warmup=1) == []


def _nan_loss(record: dict[str, Any]) -> None:
    record["loss"] = math.nan


def _endless_gradient(record: dict[str, Any]) -> None:
    record["grad_norm"] = math.inf


@pytest.mark.parametrize("damage", [_nan_loss, _endless_gradient])
def test_what_is_not_finite_is_counted_and_hides_no_other_sign(damage: Callable[[dict[str, Any]], None]) -> None:
    records = log("healthy")
    for step in (700, 720):
        damage(records[step])
    (sign,) = signs(records[:800], FOUND, steps=1500, warmup=300)
    assert sign.name == "not finite" and sign.fact.startswith("2 of the last 800") and "step 721" in sign.fact


def test_a_loss_ten_times_the_usual_is_a_spike() -> None:
    records = log("healthy")
    records[900]["loss"] = 70.0
    (sign,) = signs(records[:1000], FOUND, steps=1500, warmup=300)
    assert sign.name == "spikes" and sign.severity == "note" and "the loss 12 times at step 901" in sign.fact


def test_masked_tokens_never_right_is_a_sign_of_wrong_labels() -> None:
    records = log("healthy")
    for record in records:
        record["accuracy"]["mlm"] = 0.0
    assert "accuracy 0" in told(records, 300, every=100)


def test_next_sentence_is_judged_only_late() -> None:
    records = log("slow")
    for record in records:
        record["accuracy"]["nsp"] = 0.5
    assert told(records, 100, every=50) == {"next sentence at chance": 750}


def renamed(records: list[dict[str, Any]], **names: str) -> list[dict[str, Any]]:
    """The same log, of other parts."""
    return [
        record
        | {
            group: {names[part]: value for part, value in record[group].items() if part in names}
            for group in ("parts", "accuracy")
        }
        for record in records
    ]


@pytest.mark.parametrize(
    ("part", "title"), [("causal", "next-token"), ("plm", "any-order token"), ("denoise", "mended-text")]
)
def test_every_question_about_tokens_is_judged(part: str, title: str) -> None:
    assert "plateau" in told(renamed(log("plateau"), mlm=part), 24)
    assert told(renamed(log("healthy"), mlm=part), RECORDED["runs"]["healthy"]["warmup"]) == {}
    (sign,) = signs(renamed(log("plateau"), mlm=part)[200:], FOUND, steps=600, warmup=24)
    assert sign.name == "plateau" and f"the {title} loss has been" in sign.fact
    assert "diverged" in told(renamed(log("explode"), mlm=part), 0)
    assert "not learning" in told(renamed(log("still"), mlm=part), 18)


def test_sentence_order_is_judged_as_next_sentences_are() -> None:
    first = told(renamed(log("plateau"), mlm="mlm", nsp="sop"), 24)
    assert "sentence order at chance" in first and "next sentence at chance" not in first


def test_marks_of_an_objective_are_no_text_that_was_learnt() -> None:
    """A span model that knows where sentinels may stand, and words by their frequency, is at the plateau."""
    share = 0.27
    known = REFERENCE.with_marks(share)
    records = renamed(log("plateau"), mlm="spans")
    for record in records:
        record |= {
            "parts": {"spans": known.entropy + 0.02},
            "accuracy": {"spans": share + 0.01},
            "usual": {"spans": share},
        }
    assert "plateau" in told(records, 24)
    for record in records:
        record |= {"parts": {"spans": known.entropy - 0.5}, "accuracy": {"spans": 1.5 * share}}
    assert "plateau" not in told(records, 24)


def test_marks_count_in_what_is_to_beat(small_corpus: Corpus, tmp_path: Path) -> None:
    given = config(small_corpus.folder, tmp_path / "run", {"steps": 2}, objectives="blank", held_out=0.1)
    looked, scored = foresee(given).baselines, pretrain(given).heldout
    assert scored is not None
    assert 0.1 < looked.marks == pytest.approx(scored.usual["blank"], abs=0.02)
    words = looked.reference.with_marks(looked.marks)
    lines = dict(to_beat(looked))
    assert f"{words.entropy:.3f} nats: word frequencies, the objective's marks counted" in lines["blank loss"]
    assert "always 'the next mark'" in lines["blank accuracy"]


def test_a_discriminator_that_names_no_token_is_at_chance() -> None:
    draw = np.random.default_rng(0)

    def of(gain: float) -> list[dict[str, Any]]:
        usual = 0.86 + 0.01 * draw.standard_normal(400)
        right = usual + gain + 0.004 * draw.standard_normal(400)
        return [
            {
                "kind": "step",
                "step": step + 1,
                "loss": 20.0,
                "parts": {"rtd": 0.4},
                "accuracy": {"rtd": a},
                "usual": {"rtd": b},
            }
            for step, (a, b) in enumerate(zip(right.tolist(), usual.tolist(), strict=True))
        ]

    assert told(of(-0.001), 40) == {"replaced tokens at chance": 300}
    assert told(of(0.01), 40) == {}


def test_signs_read_the_log_that_a_run_writes(small_corpus: Corpus, tmp_path: Path) -> None:
    out = tmp_path / "run"
    pretrain(config(small_corpus.folder, out, {"steps": 6}))
    records = read_log(out / "log.jsonl")
    assert signs(records, FOUND, steps=6, warmup=1) == []
    # As if the run were long and its steps all like these: every number is found under its name.
    steps = [record for record in records if record["kind"] == "step"]
    stretched = [{**steps[at % 6], "step": at + 1} for at in range(400)]
    tight = Baselines(800, Reference(1.0, 0.5, "the"), wilson(9, 10))
    found = {each.name for each in signs(stretched, tight, steps=400, warmup=1)}
    assert "next sentence at chance" in found and found & {"plateau", "not learning"}


def test_baselines_are_known_before_training(small_corpus: Corpus) -> None:
    column = small_corpus.tokens()
    columns = NextPairs(32)(column, np.arange(column.documents), Key(0))
    train, test = columns[:-200], columns[-200:]
    found = baselines(REFERENCE, 800, train, test, pairs=True)
    usual = round(train[:, 4].mean())
    assert found.nsp_majority is not None and found.nsp_majority.value == (test[:, 4] == usual).mean()
    assert found.nsp_lengths is not None and 0.3 < found.nsp_lengths.value <= 1
    names = [name for name, _ in to_beat(found)]
    assert names == ["masked-token loss", "masked-token accuracy", "next-sentence accuracy"]
    alone = baselines(REFERENCE, 800, columns, columns[:0], pairs=True)
    assert alone.nsp_majority is not None


def test_without_pairs_there_is_nothing_to_beat_but_word_frequencies(small_corpus: Corpus) -> None:
    columns = Runs(32)(small_corpus.tokens(), np.arange(4), Key(0))
    found = baselines(REFERENCE, 800, columns, columns[:0], pairs=False)
    assert found.nsp_majority is None and len(to_beat(found)) == 2
    assert baselines(REFERENCE, 800, columns[:0], columns[:0], pairs=True).nsp_majority is None


def test_pairs_of_one_kind_have_a_majority_and_no_length_rule(small_corpus: Corpus) -> None:
    columns = Runs(32)(small_corpus.tokens(), np.arange(4), Key(0))
    found = baselines(REFERENCE, 800, columns, columns[:5], pairs=True)
    assert found.nsp_majority is not None and found.nsp_majority.value == 1.0 and found.nsp_lengths is None
