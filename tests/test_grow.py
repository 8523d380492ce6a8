"""A model for an extended vocabulary: old values bitwise, new rows the mean of the old pieces' rows."""

from collections.abc import Callable
from pathlib import Path

import pytest
import torch

from maskwright.errors import InputError
from maskwright.families import FAMILIES, family_of
from maskwright.grow import grow
from maskwright.model import Model, create, load
from maskwright.text.extend import extend, with_pieces
from maskwright.text.tokenizer import Tokenizer
from small import OF_ANY, loud

HEADS = ("pooler", "mlm", "nsp", "classify")
TEXTS = ["quixotic zymurgists read the zymurgists of a quixotic string"] * 3
PLAIN = ["return the string of a file", "a list is a sequence"]


@pytest.fixture
def model(tiny: Callable[..., Model]) -> Model:
    made = tiny(HEADS)
    loud(made.net)
    return made.eval()


@pytest.fixture
def wider(tokenizer: Tokenizer) -> Tokenizer:
    return extend(tokenizer, TEXTS, add=4, min_frequency=2).tokenizer


def test_a_new_row_is_the_mean_of_its_old_pieces_rows(model: Model, wider: Tokenizer) -> None:
    old, grown = model.tokenizer, grow(model, wider)
    new = wider.pieces(range(old.vocab_size, wider.vocab_size))
    assert len(new) >= 2
    for name in ("embed.token.weight", "heads.mlm.bias"):
        before, after = model.net.get_parameter(name), grown.net.get_parameter(name)
        assert len(after) == wider.vocab_size
        for piece in new:
            torch.testing.assert_close(after[wider.id_of(piece)], before[old.encode(piece)].mean(0), rtol=0, atol=0)


def test_the_first_score_of_a_new_piece_is_the_mean_of_its_pieces_scores(model: Model, wider: Tokenizer) -> None:
    old, grown = model.tokenizer, grow(model, wider)
    ids = torch.tensor([[old.cls_id, *old.encode(PLAIN[0]), old.sep_id]])
    before, after = model(ids).prediction_logits[0], grown(ids).prediction_logits[0]
    for piece in wider.pieces(range(old.vocab_size, wider.vocab_size)):
        wanted = before[:, old.encode(piece)].mean(1)
        torch.testing.assert_close(after[:, wider.id_of(piece)], wanted)


def test_every_old_value_stays_bitwise(model: Model, wider: Tokenizer) -> None:
    grown = dict(grow(model, wider).net.named_parameters())
    vocabulary = model.spec.vocabulary
    for name, before in model.net.named_parameters():
        after = grown.pop(name)
        over_vocabulary = name in ("embed.token.weight", "heads.mlm.bias")
        assert torch.equal(after[:vocabulary] if over_vocabulary else after, before), name
    assert not grown


def test_text_without_a_new_piece_gives_the_same_states_bitwise(model: Model, wider: Tokenizer) -> None:
    grown = grow(model, wider)
    assert (grown.encode(PLAIN) == model.encode(PLAIN)).all()
    assert not (grown.encode(TEXTS[:1]) == model.encode(TEXTS[:1])).all()


@pytest.mark.parametrize("family", [entry.name for entry in FAMILIES if entry.load().tokens == "pieces"])
def test_every_family_grows_in_the_same_two_places(family: str, tokenizer: Tokenizer, wider: Tokenizer) -> None:
    model = create(family_of(family).new_spec(vocabulary=tokenizer.vocab_size, **OF_ANY), tokenizer, seed=0)
    head = next(name for name in ("mlm", "plm", "lm") if name in model.family.heads)
    model.add_head(head)
    grown = grow(model.eval(), wider)
    changed = [n for n, p in model.net.named_parameters() if grown.net.get_parameter(n).shape != p.shape]
    biases = [n for n, _ in model.net.named_parameters() if n == f"heads.{head}.bias"]
    assert sorted(changed) == ["embed.token.weight", *biases]
    assert (grown.encode(PLAIN) == model.encode(PLAIN)).all()


def test_the_model_itself_is_left_alone(model: Model, wider: Tokenizer) -> None:
    before = {name: tensor.clone() for name, tensor in model.state_dict().items()}
    grown = grow(model.train(), wider)
    assert grown.training
    grown.net.embed.token.weight.data.zero_()
    assert all(torch.equal(tensor, before[name]) for name, tensor in model.state_dict().items())
    assert model.spec.vocabulary == model.tokenizer.vocab_size


def test_a_grown_model_is_saved_and_loads_here_and_in_transformers(
    tiny: Callable[..., Model], wider: Tokenizer, tmp_path: Path
) -> None:
    from transformers import AutoModelForMaskedLM

    model = tiny(("mlm",))
    loud(model.net)
    grown = grow(model.eval(), wider)
    grown.save(tmp_path / "m")
    again = load(tmp_path / "m")
    assert again.spec.vocabulary == wider.vocab_size == grown.spec.vocabulary
    assert again.tokenizer.fingerprint == wider.fingerprint
    assert (again.encode(TEXTS[:1]) == grown.encode(TEXTS[:1])).all()
    ids = torch.tensor([[wider.cls_id, *wider.encode(TEXTS[0]), wider.sep_id]])
    theirs = AutoModelForMaskedLM.from_pretrained(tmp_path / "m").eval()
    assert theirs.config.vocab_size == wider.vocab_size
    with torch.no_grad():
        torch.testing.assert_close(theirs(ids).logits, again(ids).prediction_logits, rtol=1e-4, atol=1e-4)


def test_spare_rows_are_used_first(tiny: Callable[..., Model], tokenizer: Tokenizer, wider: Tokenizer) -> None:
    model = tiny(("mlm",), vocabulary=tokenizer.vocab_size + 40)
    loud(model.net)
    grown = grow(model, wider)
    assert grown.spec == model.spec
    first = tokenizer.vocab_size
    piece = wider.pieces([first])[0]
    before, after = model.net.embed.token.weight, grown.net.embed.token.weight
    torch.testing.assert_close(after[first], before[tokenizer.encode(piece)].mean(0), rtol=0, atol=0)
    assert torch.equal(after[:first], before[:first])
    assert torch.equal(after[wider.vocab_size :], before[wider.vocab_size :])


def test_a_classifier_with_as_many_classes_as_pieces_is_not_taken_for_a_table(
    tiny: Callable[..., Model], tokenizer: Tokenizer, wider: Tokenizer
) -> None:
    model = tiny()
    model.add_head("pooler")
    model.add_head("classify", tokenizer.vocab_size)
    grown = grow(model, wider)
    assert grown.net.head_outputs()["classify"] == tokenizer.vocab_size


def test_a_piece_that_cannot_be_spelt_begins_as_the_unknown_one(model: Model) -> None:
    grown = grow(model, with_pieces(model.tokenizer, ["鯨"]))
    rows = grown.net.embed.token.weight
    assert torch.equal(rows[-1], rows[model.tokenizer.unk_id])


def test_another_vocabulary_is_refused(model: Model, wider: Tokenizer) -> None:
    other = Tokenizer.train(["nothing like it, not at all"] * 3, vocab_size=60)
    with pytest.raises(InputError, match="does not begin with the model's"):
        grow(model, other)
    with pytest.raises(InputError, match="does not begin with the model's"):
        grow(grow(model, wider), model.tokenizer)
