"""Language models both ways: which words are asked for, from what, and at what loss."""

from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from maskwright.cli import run
from maskwright.corpus.store import Corpus
from maskwright.data.batch import Batch, Collator, Sample
from maskwright.data.pairs import Sentences
from maskwright.data.plan import Budget
from maskwright.data.source import CorpusSource
from maskwright.errors import ConfigError
from maskwright.evaluation.pretraining import unigram_reference
from maskwright.evaluation.runner import forward_only
from maskwright.keys import Key
from maskwright.model import Model
from maskwright.nn.dropout import dropout_key
from maskwright.objective import Pass, Together
from maskwright.objectives.bilm import SpellWords
from maskwright.text.characters import CharacterTokenizer, spell
from maskwright.text.rules import BEGIN_ID, END_ID, UNKNOWN_ID
from maskwright.text.split import split_words
from maskwright.text.tokenizer import Tokenizer
from maskwright.text.vocabulary import Spellings
from maskwright.train.setup import Pretraining, make_objective
from small import loud, tiny_of

QUIET: dict[str, Any] = {"dropout": 0.0, "width": 32}


def sample_of(words: Tokenizer, text: str, number: int = 0) -> Sample:
    """A sentence in its frame, as a corpus gives it."""
    ids = np.array(words.encode(text), dtype=np.int64)
    return Sample.of([(ids, words.starts_word_V[ids])], words.frame, number)


def model_and(words: Tokenizer, samples: int = 0, **changes: Any) -> tuple[Together, Model]:
    objective = make_objective("bilm", {"bilm": {"samples": samples}})
    model = tiny_of("elmo", words, **{**QUIET, **changes})
    objective.members[0].prepare(model)
    loud(model.net)
    return objective, model


def batch_of(objective: Together, model: Model, texts: list[str]) -> Batch:
    samples = [sample_of(model.stored, text, number) for number, text in enumerate(texts)]
    return Collator.of(objective.stages(model), model.tokenizer)(samples, Key(0))


TEXTS = ["return the zyzzyva 😀 of the string .", "我爱北京", "the", "a list of the items"]


def test_each_word_is_asked_for_from_its_neighbours_and_read_by_its_spelling(words: Tokenizer) -> None:
    text = "the zyzzyva 😀 string"
    made = SpellWords(Spellings.of(words))(sample_of(words, text), Key(0))
    the, string = (words.id_of(f"Ġ{word}") for word in ("the", "string"))
    assert np.array_equal(made.ids[1:-1], spell(split_words(text)))
    assert CharacterTokenizer().pieces(made.ids) == ["<S>", "the", "zyzzyva", "😀", "string", "</S>"]
    for name, places, labels in (
        ("forward", [0, 1, 2, 3, 4], [the, UNKNOWN_ID, UNKNOWN_ID, string, END_ID]),
        ("backward", [1, 2, 3, 4, 5], [BEGIN_ID, the, UNKNOWN_ID, UNKNOWN_ID, string]),
    ):
        found = made.targets[name]
        assert (found[0].tolist(), found[1].tolist()) == (places, labels)
    assert made.special.tolist() == [True, False, False, False, False, True]


def test_the_loss_of_each_direction_is_that_of_each_sentence_alone_summed_by_hand(words: Tokenizer) -> None:
    objective, model = model_and(words)
    head: Any = model.head("bilm")
    loss = objective.eval()(Pass(model.eval(), batch_of(objective, model, TEXTS)))
    sums, counts = {"forward": 0.0, "backward": 0.0}, 0
    with torch.no_grad():
        for text in TEXTS:
            split = split_words(text)
            known = [words.encode(word)[0] for word in split]  # of an unknown word the piece that begins it
            (one,) = [batch_of(objective, model, [text])]
            forward, backward = model.states(one)[-1][: len(split) + 2].chunk(2, -1)
            for name, states, asked in (
                ("forward", forward[:-1], [*known, END_ID]),
                ("backward", backward[1:], [BEGIN_ID, *known]),
            ):
                for state, word in zip(states, asked, strict=True):
                    scores = [float(state @ row + bias) for row, bias in zip(head.weight, head.bias, strict=True)]
                    sums[name] -= scores[word] - float(torch.tensor(scores).double().logsumexp(0))
            counts += len(split) + 1
    for name, expected in sums.items():
        assert float(loss[name].sum.detach()) == pytest.approx(expected, rel=1e-5)
        assert loss[name].count == counts and loss[name].weight == 0.5
        assert loss[name].hits is not None


def test_no_direction_sees_what_it_is_asked_for(words: Tokenizer) -> None:
    objective, model = model_and(words)
    model.eval()

    def states(text: str) -> torch.Tensor:
        with torch.no_grad():
            return model.states(batch_of(objective, model, [text]))[-1]

    one, other = states("the list of items here"), states("the list in items here")
    forward, backward = one.chunk(2, -1)[0], one.chunk(2, -1)[1]
    forward_2, backward_2 = other.chunk(2, -1)
    # <S> the list [of] items here </S>: the word at place 3 is asked for at 2 forward and at 4 backward.
    assert torch.equal(forward[:3], forward_2[:3]) and not torch.equal(forward[3], forward_2[3])
    assert torch.equal(backward[4:7], backward_2[4:7]) and not torch.equal(backward[3], backward_2[3])


def test_candidates_are_drawn_in_training_only_anew_each_step_and_the_same_for_the_same(words: Tokenizer) -> None:
    objective, model = model_and(words, samples=40)
    whole, _ = model_and(words, samples=0)
    batch = batch_of(objective, model, TEXTS)
    losses = []
    for step in (1, 1, 2):
        with dropout_key(0, step):
            losses.append({name: float(part.sum.detach()) for name, part in objective(Pass(model, batch)).items()})
    assert losses[0] == losses[1] != losses[2]
    found, expected = (forward_only(model, each, [batch], torch.float32) for each in (objective, whole))
    assert (
        found == expected
        and found.accuracy
        and losses[0]["forward"] / found.counts["forward"] != found.parts["forward"]
    )
    assert objective(Pass(model, batch))["forward"].hits is None


def test_the_vocabulary_is_scored_whole_where_it_is_no_larger_than_the_draw(words: Tokenizer) -> None:
    objective, model = model_and(words, samples=words.words)
    assert objective(Pass(model, batch_of(objective, model, TEXTS)))["forward"].hits is not None


@given(length=st.integers(4, 90))
@settings(max_examples=20, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_sentences_lose_no_token_and_are_cut_between_words(word_corpus: Corpus, length: int) -> None:
    column = word_corpus.tokens()
    columns = Sentences(length)(column, np.arange(column.documents), Key(0))
    begin, end = columns[:, 0], columns[:, 1]
    assert begin[0] == 0 and end[-1] == column.tokens and (begin[1:] == end[:-1]).all()
    assert (end - begin > 0).all() and (end - begin <= length - 2).all()
    ends = {int(shard.first_token) + int(at) for shard in column.shards for at in shard.sentence_ends}
    assert ends <= set(end.tolist())
    starts = np.concatenate([shard.starts_word(0, shard.tokens) for shard in column.shards])
    long_word = np.diff(np.flatnonzero(np.append(starts, True))).max()
    if long_word < length - 2:
        assert starts[begin].all()


def test_every_word_of_a_corpus_is_asked_for_once_each_way(word_corpus: Corpus) -> None:
    column, words = word_corpus.tokens(), word_corpus.tokenizer()
    source = CorpusSource(column, np.arange(column.documents), Sentences(5_000), words.frame, "")
    plan = source.plan(Budget(examples=1), Key(0))
    counts = {name: np.zeros(words.words, dtype=np.int64) for name in ("forward", "backward")}
    spell_words = SpellWords(Spellings.of(words))
    for number in range(len(plan.lengths)):
        for name, (_, labels) in spell_words(source.sample(plan, number), Key(0)).targets.items():
            counts[name] += np.bincount(labels, minlength=words.words)
    ids = np.concatenate([shard.ids for shard in column.shards])
    expected = np.bincount(ids[ids < words.words], minlength=words.words)
    expected[END_ID] = column.sentences
    assert np.array_equal(counts["forward"], expected)
    expected[[END_ID, BEGIN_ID]] = 0, column.sentences
    assert np.array_equal(counts["backward"], expected)
    shares = counts["forward"][counts["forward"] > 0] / counts["forward"].sum()
    reference = unigram_reference(column, words)
    assert reference.entropy == pytest.approx(-(shares * np.log(shares)).sum())
    assert reference.most_frequent == pytest.approx(shares.max())


def test_a_run_takes_the_words_of_a_corpus_that_has_pieces_too_and_refuses_one_that_has_none(
    small_corpus: Corpus, words: Tokenizer, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    import shutil

    both = tmp_path / "both"
    shutil.copytree(small_corpus.folder, both)
    given = ["--objectives", "bilm", "--encoder.family", "elmo", "--encoder.width", "16", "--length", "32"]
    given += ["--train.steps", "2", "--train.tokens", "400", "--held-out", "0.1"]
    assert run(["pretrain", "--corpus", str(both), "--out", str(tmp_path / "run"), *given]) == 1
    assert "maskwright tokenizer train --kind words" in " ".join(capsys.readouterr().err.split())
    words.save(tmp_path / "words")
    assert run(["corpus", "add-tokens", str(both), "--tokenizer", str(tmp_path / "words"), "--processes", "1"]) == 0
    assert run(["pretrain", "--corpus", str(both), "--out", str(tmp_path / "run"), *given]) == 0
    shown = " ".join(capsys.readouterr().out.split())
    assert "next-word loss" in shown and "previous-word accuracy" in shown and "unigram entropy" in shown
    assert run(["evaluate", str(tmp_path / "run" / "model"), "--corpus", str(both)]) == 0
    assert "previous-word" in capsys.readouterr().out
    assert run(["params", str(tmp_path / "run" / "model")]) == 0
    assert "as predicted" in capsys.readouterr().out


def test_a_run_goes_on_from_a_model_with_its_words_and_its_head(word_corpus: Corpus, tmp_path: Path) -> None:
    _, model = model_and(word_corpus.tokenizer())
    model.save(tmp_path / "model")
    made = {
        "corpus": word_corpus.folder,
        "out": tmp_path / "run",
        "objectives": "bilm",
        "start": str(tmp_path / "model"),
    }
    from maskwright.config import PretrainConfig

    parts = Pretraining.of(PretrainConfig.of(made))
    ours, theirs = (dict(each.net.named_parameters()) for each in (model, parts.model))
    assert all(torch.equal(value, theirs[name]) for name, value in ours.items()) and ours.keys() == theirs.keys()


def test_families_without_the_head_and_models_without_words_are_refused(words: Tokenizer, tokenizer: Tokenizer) -> None:
    objective = make_objective("bilm", {}).members[0]
    with pytest.raises(ConfigError, match="objective bilm: bert cannot carry a 'bilm' head"):
        objective.prepare(tiny_of("bert", tokenizer))
    model = tiny_of("elmo", words)
    model.tokenizer = CharacterTokenizer()  # type: ignore[assignment]
    with pytest.raises(ConfigError, match="has no vocabulary of words"):
        objective.prepare(model)


def test_sentences_begin_anew_in_company(words: Tokenizer) -> None:
    objective, model = model_and(words)
    model.eval()
    together = batch_of(objective, model, TEXTS)
    with torch.no_grad():
        states = model.states(together)[-1]
        for text, (begin, end) in zip(TEXTS, pairwise(together.layout.cu.tolist()), strict=True):  # type: ignore[union-attr]
            alone = model.states(batch_of(objective, model, [text]))[-1]
            assert torch.allclose(states[begin:end], alone[: end - begin], atol=1e-5)
