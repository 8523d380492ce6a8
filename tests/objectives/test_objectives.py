"""What every objective must keep, over the registry; and BERT's two against the transformers library."""

import pickle
from collections.abc import Sequence
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
import torch

from maskwright.corpus.store import Corpus
from maskwright.data.batch import IGNORED, Batch, Collator, Sample
from maskwright.data.plan import Budget
from maskwright.data.source import CorpusSource
from maskwright.errors import ConfigError
from maskwright.keys import Key
from maskwright.model import Model
from maskwright.nn.dropout import dropout_key
from maskwright.nn.layout import Ragged
from maskwright.objective import Pass, Together
from maskwright.objectives import OBJECTIVES
from maskwright.text.sentinels import with_sentinels
from maskwright.text.tokenizer import Tokenizer
from maskwright.train.setup import make_objective
from maskwright.train.step import backward
from small import carrier, of_words, tiny_of

NAMES = [entry.name for entry in OBJECTIVES]
TOGETHER = ["mlm,nsp", "mlm,sop"]
QUIET = {"dropout": 0.0, "attention_dropout": 0.0}


def collated(objective: Together, model: Model, samples: Sequence[Sample], key: Key = Key(0)) -> Batch:  # noqa: B008
    return Collator.of(objective.stages(model), model.tokenizer)(samples, key)


def examples(corpus: Corpus, objective: Together, count: int, length: int = 48) -> list[Sample]:
    """The first examples of an epoch as the objective wants them, before its stage."""
    frame = corpus.tokenizer().frame
    documents = np.arange(corpus.documents)
    rule, sizes = objective.pairing(length, 0.1, frame), objective.sizes(frame)
    source = CorpusSource(corpus.tokens(), documents, rule, frame, "", sizes)
    plan = source.plan(Budget(examples=64), Key(0))
    return [source.sample(plan, int(n)) for n in plan.order[:count]]


def prepared(objective: Together, tokenizer: Tokenizer, **changes: float) -> Model:
    """A model of the first family that can carry the objective, with its heads, and sentinels among its pieces."""
    if "spans" in objective.parts:
        tokenizer = with_sentinels(tokenizer, 20)
    model = tiny_of(carrier(objective.members), tokenizer, **changes)
    torch.manual_seed(0)
    for part in objective.members:
        part.prepare(model)
    model.keep_heads(*objective.heads)
    return model


@pytest.fixture(params=[*NAMES, *TOGETHER])
def objective(request: pytest.FixtureRequest) -> Together:
    return make_objective(request.param, {})


@pytest.fixture
def corpus(objective: Together, small_corpus: Corpus, word_corpus: Corpus) -> Corpus:
    """The small corpus, in what the objective's family reads."""
    return word_corpus if of_words(objective.name.replace("+", ",")) else small_corpus


def test_the_loss_is_finite_and_its_gradient_reaches_every_parameter(objective: Together, corpus: Corpus) -> None:
    model = prepared(objective, corpus.tokenizer(), initializer_range=0.1).train()
    taken = backward(
        model,
        objective,
        [collated(objective, model, examples(corpus, objective, 24))],
        seed=0,
        step=0,
        dtype=torch.float32,
    )
    assert np.isfinite(taken.loss) and taken.loss > 0
    assert set(taken.parts) == set(taken.counts) == set(objective.parts)
    for name, parameter in (*model.named_parameters(), *objective.named_parameters()):
        assert parameter.grad is not None and parameter.grad.isfinite().all(), name
        assert parameter.grad.any(), name


def test_the_same_key_makes_the_same_batch(objective: Together, corpus: Corpus) -> None:
    model = prepared(objective, corpus.tokenizer())
    one, same = (collated(objective, model, examples(corpus, objective, 8), Key(4, 2)) for _ in range(2))
    assert one.counts and one.counts.keys() == same.counts.keys()
    for mine, other in ((one, same), (one.decoder, same.decoder)):
        if mine is None or other is None:
            assert mine is other
            continue
        assert torch.equal(mine.ids_T, other.ids_T)
        for name, target in mine.targets.items():
            assert torch.equal(target.rows, other.targets[name].rows)
            assert torch.equal(target.labels, other.targets[name].labels)


def test_targets_are_named_after_their_part_and_counted_before_the_pass(objective: Together, corpus: Corpus) -> None:
    model = prepared(objective, corpus.tokenizer())
    batch = collated(objective, model, examples(corpus, objective, 8))
    loss = objective(Pass(model, batch))
    assert loss.keys() == set(objective.parts)
    targets = batch.targets if batch.decoder is None else batch.decoder.targets
    for name, part in loss.items():
        assert part.count == batch.counts[name] == int((targets[name].labels != IGNORED).sum())
        assert part.sum.shape == () and (part.hits is None or 0 <= part.hits <= part.count)


def test_four_examples_are_learnt_by_heart(objective: Together, corpus: Corpus) -> None:
    model = prepared(objective, corpus.tokenizer(), **QUIET).train()
    chosen = examples(corpus, objective, 64)
    four = [*[s for s in chosen if s.label == 0][:2], *[s for s in chosen if s.label == 1]][:4]
    batch = collated(objective, model, four)
    optimizer = torch.optim.Adam([*model.parameters(), *objective.parameters()], lr=5e-3)
    losses = []
    for step in range(150):
        losses.append(backward(model, objective, [batch], seed=0, step=step, dtype=torch.float32).loss)
        optimizer.step()
        optimizer.zero_grad()
        if losses[-1] < 0.1 * losses[0]:
            break
    assert losses[-1] < 0.1 * losses[0]


def test_stages_travel_to_workers_without_torch(objective: Together, corpus: Corpus) -> None:
    stages = objective.stages(prepared(objective, corpus.tokenizer()))
    packed = pickle.dumps(stages)
    assert b"torch" not in packed and len(packed) < 20_000
    assert len(pickle.loads(packed)) == len(stages)


def test_unknown_objectives_and_options_are_refused() -> None:
    with pytest.raises(ConfigError, match=r"no objective 'nsq'\. Did you mean 'nsp'\?"):
        make_objective("mlm,nsq", {})
    with pytest.raises(ConfigError, match="each once"):
        make_objective("mlm,mlm", {})
    with pytest.raises(ConfigError, match=r"no field 'objective\.mlm\.rat'\. Did you mean 'rate'\?"):
        make_objective("mlm", {"mlm": {"rat": 0.2}})
    with pytest.raises(ConfigError, match=r"objective\.nsp: options for an objective that is not among"):
        make_objective("mlm", {"nsp": {}})
    with pytest.raises(ConfigError, match=r"field 'objective\.mlm\.rate': .*less than 1, not 1.5"):
        make_objective("mlm", {"mlm": {"rate": 1.5}})
    with pytest.raises(ConfigError, match="make more than 1"):
        make_objective("mlm", {"mlm": {"mask_share": 0.9, "random_share": 0.2}})


def test_the_vocabulary_is_scored_at_masked_rows_only(small_corpus: Corpus, tokenizer: Tokenizer) -> None:
    objective = make_objective("mlm,nsp", {})
    model = prepared(objective, tokenizer)
    batch = collated(objective, model, examples(small_corpus, objective, 8))
    shapes: list[torch.Size] = []
    model.net.heads["mlm"].register_forward_hook(lambda _, given, out: shapes.append(out.shape))
    objective(Pass(model, batch))
    assert shapes == [(len(batch.targets["mlm"].rows), model.tokenizer.vocab_size)]
    assert len(batch.targets["mlm"].rows) < batch.tokens / 4


def test_the_encoder_runs_once_for_both_objectives(small_corpus: Corpus, tokenizer: Tokenizer) -> None:
    objective = make_objective("mlm,nsp", {})
    model = prepared(objective, tokenizer)
    passes: list[int] = []
    model.net.embed.register_forward_hook(lambda *_: passes.append(1))
    objective(Pass(model, collated(objective, model, examples(small_corpus, objective, 4))))
    assert passes == [1]


def test_mlm_and_nsp_losses_are_those_of_transformers(
    small_corpus: Corpus, tokenizer: Tokenizer, tmp_path: Path
) -> None:
    transformers = pytest.importorskip("transformers")
    objective = make_objective("mlm,nsp", {})
    model = prepared(objective, tokenizer, initializer_range=0.3, **QUIET).eval()
    model.save(tmp_path / "model")
    theirs = transformers.BertForPreTraining.from_pretrained(tmp_path / "model").eval()
    batch = collated(objective, model, examples(small_corpus, objective, 12))
    assert isinstance(batch.layout, Ragged)
    cu = batch.layout.cu.tolist()
    sequences = [slice(a, b) for a, b in pairwise(cu)]
    labels_T = torch.full_like(batch.ids_T, IGNORED)
    target = batch.targets["mlm"]
    labels_T[target.rows[: target.count]] = target.labels[: target.count]

    def padded(values_T: torch.Tensor, fill: int) -> torch.Tensor:
        return torch.nn.utils.rnn.pad_sequence([values_T[s] for s in sequences], batch_first=True, padding_value=fill)

    expected = theirs(
        input_ids=padded(batch.ids_T, 0),
        attention_mask=padded(torch.ones_like(batch.ids_T), 0),
        token_type_ids=padded(batch.segments_T, 0),
        labels=padded(labels_T, IGNORED),
        next_sentence_label=batch.targets["nsp"].labels,
    )
    loss = objective(Pass(model, batch))
    ours = sum(part.sum.detach() / part.count for part in loss.values())
    assert float(ours) == pytest.approx(float(expected.loss.detach()), rel=1e-5)
    hits = (expected.seq_relationship_logits.argmax(-1) == batch.targets["nsp"].labels).sum()
    assert int(loss["nsp"].hits) == int(hits)


def test_nsp_labels_say_zero_for_a_following_segment(small_corpus: Corpus, tokenizer: Tokenizer) -> None:
    objective = make_objective("nsp", {})
    chosen = examples(small_corpus, objective, 16)
    batch = collated(objective, prepared(objective, tokenizer), chosen)
    assert batch.targets["nsp"].labels.tolist() == [int(sample.label) for sample in chosen]
    assert len(set(batch.targets["nsp"].labels.tolist())) == 2


def test_dropout_is_drawn_anew_each_step(small_corpus: Corpus, tokenizer: Tokenizer) -> None:
    objective = make_objective("mlm", {})
    model = prepared(objective, tokenizer).train()
    batch = collated(objective, model, examples(small_corpus, objective, 4))
    losses = []
    for step in (1, 1, 2):
        with dropout_key(0, step):
            losses.append(float(objective(Pass(model, batch))["mlm"].sum.detach()))
    assert losses[0] == losses[1] != losses[2]
