"""Whole runs of every objective: stopped and resumed with the same bits, and a folder at the end that holds what was learnt."""

import signal
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
import torch
from runs import ENCODER, config, steps, weights
from safetensors.torch import load_file

from maskwright.corpus.build import build_from
from maskwright.corpus.store import Corpus
from maskwright.data.loader import Place
from maskwright.errors import ConfigError, Stopped
from maskwright.model import load
from maskwright.objectives import OBJECTIVES
from maskwright.report.log import read_log
from maskwright.text.sentinels import with_sentinels
from maskwright.text.tokenizer import Tokenizer
from maskwright.train import loop
from maskwright.train.pretrain import pretrain
from maskwright.train.setup import Pretraining, make_objective
from small import carrier, documents, of_words

NAMES = [entry.name for entry in OBJECTIVES if entry.name != "mlm"]
TRAIN = {"steps": 4, "save_every": 2, "tokens": 1_200, "micro_tokens": 800}


@pytest.fixture(scope="module")
def corpus(tokenizer: Tokenizer, tmp_path_factory: pytest.TempPathFactory) -> Corpus:
    """The small corpus, of a tokenizer with sentinels."""
    out = tmp_path_factory.mktemp("sentinels") / "corpus"
    return build_from(documents(), out, with_sentinels(tokenizer, 30), sentences="lines", shard_bytes=40_000)


@pytest.fixture
def fit(request: pytest.FixtureRequest, corpus: Corpus, word_corpus: Corpus) -> Corpus:
    """The corpus in what the family of the objectives ``names`` reads."""
    return word_corpus if of_words(request.getfixturevalue("names")) else corpus


def settings(names: str) -> dict[str, Any]:
    family = carrier(make_objective(names, {}).members)
    made = {"objectives": names, "encoder": ENCODER | {"family": family, "heads": 4, "dropout": 0.1}, "held_out": 0.1}
    return made | ({"objective": {"bilm": {"samples": 100}}} if names == "bilm" else {})


@pytest.mark.parametrize("names", NAMES)
def test_a_run_of_every_objective_resumes_bitwise(
    names: str, fit: Corpus, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    made = settings(names)
    whole = pretrain(config(fit.folder, tmp_path / "whole", TRAIN, **made))
    real = loop.backward

    def backward(*given: Any, step: int, **rest: Any) -> Any:
        if step == 1:
            signal.raise_signal(signal.SIGTERM)
        return real(*given, step=step, **rest)

    with monkeypatch.context() as patch, pytest.raises(Stopped):
        patch.setattr(loop, "backward", backward)
        pretrain(config(fit.folder, tmp_path / "run", TRAIN, **made))
    torch.manual_seed(99)
    pretrain(config(fit.folder, tmp_path / "run", TRAIN, **made), resume=True)
    assert weights(tmp_path / "run", 4) == weights(tmp_path / "whole", 4)
    assert steps(tmp_path / "run") == steps(tmp_path / "whole")
    record = next(each for each in read_log(tmp_path / "whole" / "log.jsonl") if each["kind"] == "step")
    assert set(record["parts"]) == set(make_objective(names, {}).parts)
    assert whole.heldout is not None and whole.heldout.scores()


def test_the_generator_is_trained_saved_and_shares_the_tables(corpus: Corpus, tmp_path: Path) -> None:
    pretrain(config(corpus.folder, tmp_path / "run", TRAIN, **settings("rtd")))
    state = load_file(tmp_path / "run" / "checkpoints" / "step-00000004" / "net.safetensors")
    mine = {name for name in state if name.startswith("objective.")}
    assert mine and not any("embed.token" in name or "embed.norm" in name for name in mine)
    generator, discriminator = load(tmp_path / "run" / "generator"), load(tmp_path / "run" / "model")
    assert (set(generator.net.heads), set(discriminator.net.heads)) == ({"mlm"}, {"rtd"})
    for name in ("token", "position", "segment", "norm"):
        ours, theirs = (getattr(model.net.embed, name).weight for model in (generator, discriminator))
        assert torch.equal(ours, theirs), name
    assert generator.spec.stack.block.width == 8 < discriminator.spec.stack.block.width == 32
    transformers = pytest.importorskip("transformers")
    for name, kind in (("generator", "ElectraForMaskedLM"), ("model", "ElectraForPreTraining")):
        _, report = getattr(transformers, kind).from_pretrained(tmp_path / "run" / name, output_loading_info=True)
        assert not any(report.values()), report


@pytest.mark.parametrize(("family", "kind", "names"), [("roberta", "bpe", "mlm"), ("albert", "unigram", "mlm,sop")])
def test_families_with_other_frames_are_pre_trained_in_them(family: str, kind: Any, names: str, tmp_path: Path) -> None:
    tokenizer = Tokenizer.train([each.text for each in documents()], vocab_size=700, kind=kind)
    corpus = build_from(documents(), tmp_path / "corpus", tokenizer, sentences="lines")
    made = settings(names) | {"encoder": ENCODER | {"family": family}, "length": 40}
    done = pretrain(config(corpus.folder, tmp_path / "run", TRAIN, **made))
    assert done.heldout is not None and set(done.heldout.loss) == set(names.split(","))
    parts = Pretraining.of(config(corpus.folder, tmp_path / "again", TRAIN, **made))
    batch = next(parts.loader().steps(Place())).batches[0]
    frame, cu = tokenizer.frame.around(1 + ("sop" in names)), batch.layout.cu.tolist()
    for begin, end in pairwise(cu):
        ids = batch.ids_T[begin:end].tolist()
        assert (ids[0], ids[-1]) == (frame[0].id, frame[-1].id) and end - begin <= 40
        assert sum(number in (frame[0].id, frame[-1].id) for number in ids) == len(frame) - 1 - ("sop" in names)
    assert load(tmp_path / "run" / "model").tokenizer.frame == tokenizer.frame


def test_two_objectives_that_choose_their_examples_are_refused(corpus: Corpus, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="nsp and sop each choose what an example is made of"):
        pretrain(config(corpus.folder, tmp_path / "run", TRAIN, objectives="nsp,sop"))
    with pytest.raises(ConfigError, match="mlm and rtd both make the part 'mlm'"):
        pretrain(config(corpus.folder, tmp_path / "run", TRAIN, objectives="mlm,rtd"))
    with pytest.raises(ConfigError, match="objective rtd: bert cannot carry a 'rtd' head; it can: pooler, mlm"):
        pretrain(config(corpus.folder, tmp_path / "run", TRAIN, objectives="rtd"))
