"""A probe gives a head the score that its pre-training gave it, changes no bit of the model, and says what it may have seen."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

import maskwright as mw
from maskwright.cli import run
from maskwright.config import PretrainConfig
from maskwright.corpus.store import Corpus
from maskwright.errors import ConfigError, InputError
from maskwright.model import Model
from maskwright.studies.fresh import fit_pairs, fit_tokens
from maskwright.studies.probe import Probed, probe
from maskwright.studies.seen import documents_of
from maskwright.studies.states import States
from maskwright.text.tokenizer import Tokenizer
from maskwright.train.pretrain import Pretrained, pretrain
from small import tiny_model, tiny_of

SIZE = {"layers": 1, "width": 32, "heads": 2, "positions": 64}


def trained(corpus: Corpus, out: Path, **changes: Any) -> Pretrained:
    train = {"steps": 30, "tokens": 1_000, "precision": "auto", "lr": 0.01, "seed": 5}
    values = {"encoder": SIZE, "length": 48, "held_out": 0.3, "train": train} | changes
    return pretrain(PretrainConfig.of({"corpus": corpus.folder, "out": out, **values}))


@pytest.fixture(scope="module")
def done(small_corpus: Corpus, tmp_path_factory: pytest.TempPathFactory) -> Pretrained:
    """A model of both of BERT's tasks, on seven tenths of the documents."""
    return trained(small_corpus, tmp_path_factory.mktemp("probe") / "run")


@pytest.fixture(scope="module")
def found(done: Pretrained, small_corpus: Corpus) -> Probed:
    """It, probed from its folder."""
    return probe(done.folder / "model", small_corpus.folder, examples=300)


def test_own_heads_score_what_pre_training_said(done: Pretrained, found: Probed) -> None:
    assert done.heldout is not None
    for task in ("mlm", "nsp"):
        own = found.tasks[task].heads.own
        assert own is not None
        assert own.accuracy == done.heldout.accuracy[task] and own.count == done.heldout.counts[task]
        assert own.loss == pytest.approx(done.heldout.loss[task], rel=1e-6)
    assert found.tasks["sop"].heads.own is None
    assert done.heldout.pair_majority is not None
    assert found.tasks["nsp"].beside.accuracy["majority"] == done.heldout.pair_majority.value
    assert found.tasks["mlm"].beside.entropy == done.heldout.reference.entropy


def test_the_documents_are_those_of_the_pre_training_and_in_two_parts(
    done: Pretrained, found: Probed, small_corpus: Corpus
) -> None:
    learn, scored = set(found.documents.learn.tolist()), set(found.documents.scored.tolist())
    assert not learn & scored and learn | scored == set(range(small_corpus.documents))
    assert len(scored) == round(0.3 * small_corpus.documents)
    assert f"on none of the {len(scored)} scored" in found.documents.seen
    assert (found.length, found.seed) == (48, 5)  # as its folder says; neither was given


def test_frozen_means_frozen(done: Pretrained, small_corpus: Corpus) -> None:
    model = mw.load(done.folder / "model")
    before = {name: value.clone() for name, value in model.state_dict().items()}
    probe(model, small_corpus.folder, examples=100)
    after = model.state_dict()
    assert before.keys() == after.keys()
    assert all(torch.equal(before[name], after[name]) for name in before)
    assert all(parameter.grad is None for parameter in model.parameters())


def test_a_probe_gives_the_same_again(done: Pretrained, small_corpus: Corpus, found: Probed) -> None:
    again = probe(done.folder / "model", small_corpus.folder, examples=300)
    assert again.as_dict() == found.as_dict()


@pytest.mark.parametrize(
    ("history", "said"),
    [
        ({}, "does not say what the model was pre-trained on"),
        ({"corpus": "ab" * 32}, "on another corpus \\(abababababababab\\)"),
        ({"corpus": None}, "may have seen any of the"),
        ({"corpus": None, "held_out": 0.0, "seed": 0}, "the scored ones too"),
        (
            {"corpus": None, "held_out": 0.2, "seed": 0, "start": "org/name"},
            "went on from org/name, whose text is not known",
        ),
    ],
)
def test_what_a_model_may_have_seen_is_said(
    small_corpus: Corpus, tokenizer: Tokenizer, history: dict[str, Any], said: str
) -> None:
    model = tiny_model(tokenizer, ("mlm",))
    if history:
        pretrained = history | ({"corpus": small_corpus.fingerprint} if history["corpus"] is None else {})
        model.card = type(model.card)(provenance={"pretrained": pretrained})
    documents = documents_of(model, small_corpus, 0.25, 1)
    with pytest.raises(AssertionError, match=said):
        raise AssertionError(documents.seen)
    assert not set(documents.learn) & set(documents.scored)


def test_fresh_heads_find_what_stands_in_states_and_nothing_else(tokenizer: Tokenizer) -> None:
    draw = np.random.default_rng(0)
    x = draw.normal(size=(600, 8)).astype(np.float32)
    there, lot = (x[:, 2] > 0).astype(np.int64), draw.integers(0, 2, 600)
    assert fit_pairs(States(x[:400], there[:400]), States(x[400:], there[400:]), 0).accuracy.value > 0.95
    assert fit_pairs(States(x[:400], lot[:400]), States(x[400:], lot[400:]), 0).accuracy.value < 0.6
    model = tiny_model(tokenizer)
    ids = draw.integers(5, 15, 2_000)
    states = States(np.eye(32, dtype=np.float32)[ids], ids)
    assert fit_tokens(model, states, states, 0).accuracy.value > 0.95


def test_a_family_that_cannot_carry_a_task_is_refused(small_corpus: Corpus, tokenizer: Tokenizer) -> None:
    with pytest.raises(ConfigError, match="tasks: mlm: gpt2 cannot carry a 'mlm' head"):
        probe(tiny_of("gpt2", tokenizer), small_corpus.folder, tasks="mlm")
    with pytest.raises(ConfigError, match="tasks: nsp asks an encoder, and bart has a decoder too"):
        probe(tiny_of("bart", tokenizer), small_corpus.folder, tasks="nsp")
    with pytest.raises(ConfigError, match="tasks: name some of mlm, nsp, sop, each once, not 'mlm,rtd'"):
        probe(tiny_model(tokenizer), small_corpus.folder, tasks="mlm,rtd")


def test_a_corpus_of_two_documents_is_refused(small_corpus: Corpus, tokenizer: Tokenizer, tmp_path: Path) -> None:
    from maskwright.corpus.build import build_from
    from small import documents

    two = build_from(documents()[:2], tmp_path / "two", tokenizer)
    with pytest.raises(InputError, match="has 2 documents"):
        probe(tiny_model(tokenizer), two.folder)


def test_a_family_without_the_pair_heads_is_probed_by_fresh_ones(small_corpus: Corpus, tokenizer: Tokenizer) -> None:
    model: Model = tiny_of("distilbert", tokenizer)
    found = probe(model, small_corpus.folder, tasks="sop", examples=60, length=32)
    assert found.tasks["sop"].heads.own is None and found.tasks["sop"].heads.fresh.count > 20


def test_the_command_shows_both_heads_and_writes_the_rest(
    done: Pretrained, small_corpus: Corpus, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    words = ["probe", str(done.folder / "model"), "--corpus", str(small_corpus.folder), "--tasks", "nsp,sop"]
    assert run([*words, "--examples", "60", "--out", str(tmp_path / "probe.json")]) == 0
    shown = capsys.readouterr()
    assert all(text in shown.out for text in ("no such head", "next-sentence", "sentence-order", "majority"))
    assert "on none of the" in shown.err
    assert '"scored": [' in (tmp_path / "probe.json").read_text("utf-8")
