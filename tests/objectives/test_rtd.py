"""Replaced tokens: the losses are ELECTRA's, the draws follow the generator's distribution and nothing else."""

from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
import torch

from maskwright.corpus.store import Corpus
from maskwright.data.batch import IGNORED, Batch, Collator, Sample
from maskwright.data.pairs import Runs
from maskwright.data.plan import Budget
from maskwright.data.source import CorpusSource
from maskwright.errors import ConfigError
from maskwright.keys import Key
from maskwright.model import Model, load
from maskwright.objective import Pass
from maskwright.objectives.rtd import Rtd, RtdConfig, draw_from, generator_spec
from maskwright.text.tokenizer import Tokenizer
from maskwright.train.setup import make_objective
from small import tiny_of


@pytest.fixture
def samples(small_corpus: Corpus) -> list[Sample]:
    frame, column = small_corpus.tokenizer().frame, small_corpus.tokens()
    source = CorpusSource(column, np.arange(column.documents), Runs(40), frame, "")
    plan = source.plan(Budget(examples=8), Key(0))
    return [source.sample(plan, number) for number in range(12)]


def made(tokenizer: Tokenizer, **options: object) -> tuple[Rtd, Model]:
    (objective,) = make_objective("rtd", {"rtd": options}).members
    model = tiny_of("electra", tokenizer, dropout=0.0, attention_dropout=0.0, initializer_range=0.3)
    torch.manual_seed(1)
    objective.prepare(model)
    model.keep_heads("rtd")
    assert isinstance(objective, Rtd)
    return objective.eval(), model.eval()


def batch_of(objective: Rtd, model: Model, samples: list[Sample]) -> Batch:
    return Collator.of((objective.stage(model),), model.tokenizer)(samples, Key(5, 1))


@pytest.mark.parametrize("size", [0.25, 0.5, 1.0])
def test_both_losses_are_those_of_transformers_given_the_same_draws(
    size: float, tokenizer: Tokenizer, samples: list[Sample], tmp_path: Path
) -> None:
    transformers = pytest.importorskip("transformers")
    objective, model = made(tokenizer, size=size)
    model.save(tmp_path / "model")
    batch = batch_of(objective, model, samples)
    assert objective.generator is not None
    hidden = batch.targets["mlm"]
    with torch.no_grad():  # so that it is often right: a right draw is no replacement
        objective.generator.heads["mlm"].bias[hidden.labels[: hidden.count].mode().values] += 9
    objective.save(tmp_path, model, {})
    given: list[torch.Tensor] = []
    model.net.embed.register_forward_pre_hook(lambda _, inputs: given.append(inputs[0]))
    loss = objective(Pass(model, batch))
    (drawn_T,) = given  # the discriminator runs once, on the corrupted text

    cu = batch.layout.cu.tolist()

    def padded(values_T: torch.Tensor, fill: int) -> torch.Tensor:
        rows = [values_T[a:b] for a, b in pairwise(cu)]
        return torch.nn.utils.rnn.pad_sequence(rows, batch_first=True, padding_value=fill)

    mask = padded(torch.ones_like(batch.ids_T), 0)
    every = batch.targets["rtd"]
    was_T, labels_T = batch.ids_T.clone(), torch.full_like(batch.ids_T, IGNORED)
    was_T[every.rows[: every.count]] = every.labels[: every.count]
    labels_T[hidden.rows[: hidden.count]] = hidden.labels[: hidden.count]
    assert every.count == int(mask.sum())
    theirs = transformers.ElectraForMaskedLM.from_pretrained(tmp_path / "generator").eval()
    expected = theirs(input_ids=padded(batch.ids_T, 0), attention_mask=mask, labels=padded(labels_T, IGNORED))
    assert float(loss["mlm"].sum.detach()) / hidden.count == pytest.approx(float(expected.loss.detach()), rel=1e-5)
    theirs = transformers.ElectraForPreTraining.from_pretrained(tmp_path / "model").eval()
    replaced = padded((drawn_T != was_T).long(), 0)
    expected = theirs(input_ids=padded(drawn_T, 0), attention_mask=mask, labels=replaced)
    assert float(loss["rtd"].sum.detach()) / every.count == pytest.approx(float(expected.loss.detach()), rel=1e-5)
    assert (loss["mlm"].weight, loss["rtd"].weight) == (1.0, 50.0)
    right = ((expected.logits > 0) == replaced.bool())[mask.bool()].sum()
    assert loss["rtd"].hits is not None and int(loss["rtd"].hits) == int(right)
    assert loss["rtd"].usual is not None and int(loss["rtd"].usual) == every.count - int(replaced.sum())
    assert 0 < replaced.sum() < hidden.count


def test_only_hidden_tokens_are_replaced_and_the_batch_stays_as_it_is(
    tokenizer: Tokenizer, samples: list[Sample]
) -> None:
    objective, model = made(tokenizer)
    batch = batch_of(objective, model, samples)
    before, given = batch.ids_T.clone(), []
    model.net.embed.register_forward_pre_hook(lambda _, inputs: given.append(inputs[0]))
    objective(Pass(model, batch))
    assert torch.equal(batch.ids_T, before)
    hidden, every = batch.targets["mlm"], batch.targets["rtd"]
    kept = torch.ones(len(before), dtype=torch.bool)
    kept[hidden.rows[: hidden.count]] = False
    was_T = before.clone()
    was_T[every.rows[: every.count]] = every.labels[: every.count]
    assert torch.equal(given[0][kept], was_T[kept])
    assert not torch.equal(given[0], was_T)


def test_of_the_hidden_tokens_85_in_100_are_shown_as_the_mask(tokenizer: Tokenizer, samples: list[Sample]) -> None:
    objective, model = made(tokenizer, mlm={"rate": 0.5})
    stage, shown = objective.stage(model), []
    for epoch in range(60):
        for number, sample in enumerate(samples):
            hidden = stage(sample, Key(0, epoch, number))
            places, was = hidden.targets["mlm"]
            masked = hidden.ids[places] == tokenizer.mask_id
            assert (masked | (hidden.ids[places] == was)).all()
            shown.append(masked)
            assert (hidden.targets["rtd"][1] == sample.ids).all() and len(hidden.targets["rtd.draw"][1]) == len(places)
    total = np.concatenate(shown)
    assert abs(total.mean() - 0.85) < 4 * (0.85 * 0.15 / len(total)) ** 0.5


def test_draws_follow_the_distribution(tokenizer: Tokenizer) -> None:
    logits = torch.tensor([2.0, -1.0, 0.5, -torch.inf, 1.0])
    count = 40_000
    draws = torch.from_numpy(Key(3).stream("rtd.draw").uniforms(count))
    found = torch.bincount(draw_from(logits.expand(count, -1), draws), minlength=5) / count
    share = logits.softmax(-1)
    assert (abs(found - share) <= 4 * (share * (1 - share) / count).sqrt()).all()
    assert found[3] == 0
    edges = torch.tensor([0.0, 1.0 - 2.0**-53], dtype=torch.float64)
    assert draw_from(torch.tensor([[-torch.inf, 0.0, 0.0, -torch.inf]] * 2), edges).tolist() == [1, 2]
    assert draw_from(torch.zeros(0, 5), torch.zeros(0)).shape == (0,)


def test_a_draw_does_not_depend_on_how_the_step_is_dealt_out(tokenizer: Tokenizer, samples: list[Sample]) -> None:
    objective, model = made(tokenizer)
    seen: dict[int, list[int]] = {}
    given: list[torch.Tensor] = []
    model.net.embed.register_forward_pre_hook(lambda _, inputs: given.append(inputs[0]))
    for parts in (1, 3):
        for part in np.array_split(np.arange(len(samples)), parts):
            batch = batch_of(objective, model, [samples[n] for n in part])
            objective(Pass(model, batch))
            cu = batch.layout.cu.tolist()
            for number, (begin, end) in zip(batch.examples, pairwise(cu), strict=True):
                ids = given[-1][begin:end].tolist()
                assert seen.setdefault(number, ids) == ids


def test_the_generator_s_sizes_are_those_of_the_published_ones() -> None:
    from maskwright.families.electra import ELECTRA

    small = generator_spec(ELECTRA.presets["electra-small-discriminator"], 0.25)
    assert (small.stack.block.width, small.stack.block.heads, small.stack.block.feed_forward) == (64, 1, 256)
    assert (small.embed.table_width, small.stack.layers) == (128, 12)
    base = generator_spec(ELECTRA.presets["electra-base-discriminator"], 1 / 3)
    assert base == ELECTRA.presets["electra-base-generator"]
    large = generator_spec(ELECTRA.presets["electra-large-discriminator"], 0.25)
    assert large == ELECTRA.presets["electra-large-generator"]


def test_a_size_that_is_none_is_refused() -> None:
    with pytest.raises(ConfigError, match=r"objective\.rtd\.size.*greater than 0, not 0"):
        make_objective("rtd", {"rtd": {"size": 0}})
    with pytest.raises(ConfigError, match=r"no field 'objective\.rtd\.mlm\.rat'"):
        make_objective("rtd", {"rtd": {"mlm": {"rat": 0.3}}})
    assert RtdConfig.of({"mlm": {"rate": 0.3}}).mlm.mask_share == 0.85


@pytest.fixture
def trained(tokenizer: Tokenizer, tmp_path: Path) -> Path:
    """The folder of a generator of another size than a fresh one has."""
    objective, model = made(tokenizer, size=0.5)
    objective.generator_model(model).save(tmp_path / "generator")
    return tmp_path / "generator"


def test_a_trained_generator_lends_its_tables_and_its_blocks(
    trained: Path, tokenizer: Tokenizer, samples: list[Sample]
) -> None:
    (objective,) = make_objective("rtd", {"rtd": {"generator": str(trained)}}).members
    model = tiny_of("electra", tokenizer, seed=7)
    objective.prepare(model)
    assert isinstance(objective, Rtd) and objective.generator is not None
    theirs = load(trained).net.state_dict()
    ours = objective.generator_model(model).net.state_dict()
    assert ours.keys() == theirs.keys() and all(torch.equal(ours[name], theirs[name]) for name in ours)
    assert torch.equal(model.net.embed.token.weight, theirs["embed.token.weight"])
    assert not any("embed.token" in name for name, _ in objective.named_parameters())
    loss = objective(Pass(model, batch_of(objective, model, samples)))
    sum(part.sum for part in loss.values()).backward()  # type: ignore[union-attr]
    assert all(parameter.grad is not None for parameter in objective.generator.parameters())


def test_what_is_no_generator_of_the_encoder_is_refused(trained: Path, tokenizer: Tokenizer, tmp_path: Path) -> None:
    def refused(match: str, folder: Path, model: Model, **options: object) -> None:
        with pytest.raises(ConfigError, match=match):
            for part in make_objective("rtd", {"rtd": {"generator": str(folder), **options}}).members:
                part.prepare(model)

    refused(r"rtd\.size: 0\.5 beside generator", trained, tiny_of("electra", tokenizer), size=0.5)
    refused(
        r"embed\.position\.weight of \[128, 32\], and the encoder of \[64, 32\]",
        trained,
        tiny_of("electra", tokenizer, positions=64),
    )
    discriminator = tiny_of("electra", tokenizer)
    discriminator.add_head("rtd")
    discriminator.save(tmp_path / "other")
    refused(r"no mlm head \(heads: rtd\)", tmp_path / "other", tiny_of("electra", tokenizer))
    refused("their tables of tokens and places.*differ", trained, load(tmp_path / "other"))
    bert = tiny_of("bert", tokenizer)
    bert.add_head("mlm")
    bert.save(tmp_path / "bert")
    refused("is of the family bert, and the encoder of electra", tmp_path / "bert", tiny_of("electra", tokenizer))
    more = Tokenizer.train(["some other words"], vocab_size=100)
    refused("another vocabulary", trained, tiny_of("electra", more))


def test_an_encoder_goes_on_with_the_generator_that_it_was_trained_with(tokenizer: Tokenizer, tmp_path: Path) -> None:
    objective, model = made(tokenizer)
    model.save(tmp_path / "model")
    objective.save(tmp_path, model, {})
    (again,) = make_objective("rtd", {"rtd": {"generator": str(tmp_path / "generator")}}).members
    again.prepare(load(tmp_path / "model"))
