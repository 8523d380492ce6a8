"""Zero-shot: shares are those of the words at the [MASK], texts cannot smuggle in special pieces, bad templates are refused."""

import lzma
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import numpy as np
import pytest
import torch

from maskwright.errors import CheckpointError, ConfigError, InputError
from maskwright.model import Model
from maskwright.tasks import zero_shot as zero_shot_module
from maskwright.tasks.zero_shot import cloze_shares, zero_shot
from maskwright.text.tokenizer import Tokenizer
from small import tiny_model

WORDS = {"code": ["file", "module"], "logic": "true"}
TEMPLATE = "{text} is a [MASK] of this."
TEXTS = ["open the file", "return the value of the list", "raise"]


@pytest.fixture
def model(tiny: Callable[..., Model]) -> Model:
    return tiny(("mlm",)).eval()


def by_hand(model: Model, text: str, words: dict[str, list[str]]) -> np.ndarray:
    """The shares from the rectangular call, for a text that is written into the template."""
    tokenizer = model.tokenizer
    ids = [tokenizer.cls_id, *tokenizer.encode_marked(text), tokenizer.sep_id]
    with torch.no_grad():
        logits = model(torch.tensor([ids])).prediction_logits[0, ids.index(tokenizer.mask_id)].softmax(-1).numpy()
    means = np.array([np.mean([logits[tokenizer.id_of(word)] for word in each]) for each in words.values()])
    return means / means.sum()


def test_shares_are_those_of_the_words_at_the_mask(model: Model) -> None:
    words = {"code": ["file", "module"], "logic": ["true"]}
    expected = np.stack([by_hand(model, TEMPLATE.replace("{text}", text), words) for text in TEXTS])
    for batch_tokens in (1, 8192):
        found = cloze_shares(model, [(text,) for text in TEXTS], WORDS, template=TEMPLATE, batch_tokens=batch_tokens)
        assert np.allclose(found, expected, atol=1e-5)
    answers = zero_shot(model, TEXTS, WORDS, template=TEMPLATE)
    assert [row["label"] for row in answers] == [list(WORDS)[n] for n in expected.argmax(-1)]
    assert np.allclose([list(row["probabilities"].values()) for row in answers], expected, atol=1e-5)
    assert zero_shot(model, [], WORDS) == []


def by_hand_in_pieces(model: Model, text: str, words: Mapping[str, Sequence[str]]) -> np.ndarray:
    """The same from as many [MASK] as a word has pieces, one word at a time: geometric mean over them, mean over words."""
    tokenizer, means = model.tokenizer, []
    for each in words.values():
        chances = []
        for word in each:
            pieces = tokenizer.encode(word)
            mask = tokenizer.pieces([tokenizer.mask_id])[0]
            many = text.replace(mask, f" {' '.join([mask] * len(pieces))}")
            ids = torch.tensor([[tokenizer.cls_id, *tokenizer.encode_marked(many), tokenizer.sep_id]])
            with torch.no_grad():
                logs = model(ids).prediction_logits[0].double().log_softmax(-1)
            places = (ids[0] == tokenizer.mask_id).nonzero().flatten()
            assert len(places) == len(pieces)
            chances.append(np.exp(np.mean([float(logs[at, piece]) for at, piece in zip(places, pieces, strict=True)])))
        means.append(np.mean(chances))
    return np.array(means) / np.sum(means)


def test_a_word_of_several_pieces_gets_as_many_masks_and_their_geometric_mean(model: Model) -> None:
    words = {"code": ["file", "xylophone"], "logic": ["default value", "none"], "far": ["quickly"]}
    lengths = {len(model.tokenizer.encode(word)) for each in words.values() for word in each}
    assert len(lengths) > 2 and 1 in lengths
    expected = np.stack([by_hand_in_pieces(model, TEMPLATE.replace("{text}", text), words) for text in TEXTS])
    for batch_tokens in (1, 8192):
        found = cloze_shares(model, [(text,) for text in TEXTS], words, template=TEMPLATE, batch_tokens=batch_tokens)
        assert np.allclose(found, expected, atol=1e-5)


def test_every_word_of_a_long_text_sees_the_same_of_it(model: Model, monkeypatch: pytest.MonkeyPatch) -> None:
    real, seen = zero_shot_module._widened, []
    monkeypatch.setattr(zero_shot_module, "_widened", lambda *given: seen.append(real(*given)) or seen[-1])
    words = {"code": ["file", "xylophone"], "logic": "true"}
    cloze_shares(model, [("file " * 500,)], words, template=TEMPLATE)
    mask = model.tokenizer.mask_id
    plain = {tuple(n for n in ids if n != mask) for ids in seen}
    assert len(seen) == 2 and len(plain) == 1 and max(map(len, seen)) == model.longest - 2


def test_real_vocabularies_take_words_of_several_pieces(shared: Path, minilm: Path, tmp_path: Path) -> None:
    with lzma.open(shared / "data" / "vocab" / "bert-base-chinese-vocab.txt.xz", "rt", encoding="utf-8") as file:
        (tmp_path / "vocab.txt").write_text(file.read(), "utf-8")
    for tokenizer, template, text, words, pieces in (
        (Tokenizer.load(minilm), TEMPLATE, "a dull film", {"good": ["great"], "bad": ["tedious", "unwatchable"]}, [1, 2, 3]),
        (Tokenizer.load(tmp_path / "vocab.txt"), "{text}总之[MASK]。", "房间很大", {"正面": ["喜欢", "好"], "负面": ["失望"]}, [2, 1, 2]),
    ):  # fmt: skip
        assert [len(tokenizer.encode(word)) for each in words.values() for word in each] == pieces
        model = tiny_model(tokenizer, ("mlm",)).eval()
        expected = by_hand_in_pieces(model, template.replace("{text}", text), words)
        assert np.allclose(cloze_shares(model, [(text,)], words, template=template)[0], expected, atol=1e-5)


def test_a_pair_goes_where_the_template_has_it(model: Model) -> None:
    words = {"code": ["file", "module"], "logic": ["true"]}
    (found,) = zero_shot(model, [("a list", "the file")], words, template="{pair} ? [MASK], {text}")
    assert list(found["probabilities"].values()) == pytest.approx(
        by_hand(model, "the file ? [MASK], a list", words).tolist(), abs=1e-5
    )


def test_what_a_text_that_says_nothing_gets_is_divided_by(model: Model) -> None:
    plain, nothing = (
        np.array(list(zero_shot(model, [text], WORDS, template=TEMPLATE)[0]["probabilities"].values()))
        for text in ("open the file", "none")
    )
    (found,) = zero_shot(model, ["open the file"], WORDS, template=TEMPLATE, blank="none")
    ratio = plain / nothing
    assert list(found["probabilities"].values()) == pytest.approx((ratio / ratio.sum()).tolist(), abs=1e-4)
    (same,) = zero_shot(model, ["none"], WORDS, template=TEMPLATE, blank="none")
    assert list(same["probabilities"].values()) == [0.5, 0.5]


def test_a_mask_that_a_text_spells_out_is_text_and_a_long_text_is_cut(model: Model) -> None:
    plain = cloze_shares(model, [("the [MASK] file",)], WORDS, template=TEMPLATE)
    assert plain.shape == (1, 2) and np.isfinite(plain).all()
    # By hand the second [MASK] would be a piece; here it is spelt.
    assert not np.allclose(plain[0], by_hand(model, TEMPLATE.replace("{text}", "the [MASK] file"), {"a": ["file", "module"], "b": ["true"]}))  # fmt: skip
    long = cloze_shares(model, [("file " * 500,)], WORDS, template=TEMPLATE)
    longer = cloze_shares(model, [("file " * 900,)], WORDS, template=TEMPLATE)
    assert np.array_equal(long, longer)


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"template": "no hole [MASK]"}, r"must hold \{text\} once"),
        ({"template": "{text} {text} [MASK]"}, r"must hold \{text\} once"),
        ({"template": "{text} was it"}, r"must hold the mask piece \[MASK\] once"),
        ({"template": "{text} [MASK] [MASK]"}, r"must hold the mask piece"),
        (
            {"template": "{text} [MASK]" + " file" * 200},
            r"template: with the longest word it takes 201 of the model's 128 tokens",
        ),
        ({"words": {"a": "file"}}, r"at least two labels"),
        ({"words": {"a": "file", "b": []}}, r"the label 'b' has none"),
        (
            {"words": {"a": "file", "b": "xylophone"}, "template": "{text} [MASK]" + " file" * 118},
            r"with the longest word it takes 125 of",
        ),
        ({"words": {"a": "file", "b": "飛"}}, r"'飛' of the label 'b' is '\[UNK\]' to this model; take another word"),
        ({"words": {"a": "file", "b": " "}}, r"' ' of the label 'b' is nothing to this model"),
        ({"words": {"a": "xylophone", "b": ["file", "Xylophone"]}}, r"'Xylophone' stands for 'a' and for 'b'"),
        ({"words": {"a": "file", "b": ["true", "file"]}}, r"'file' stands for 'a' and for 'b'"),
    ],
)
def test_templates_and_words_that_cannot_be_used_are_refused(
    changes: dict[str, object], said: str, model: Model
) -> None:
    given = {"words": WORDS, "template": TEMPLATE, **changes}
    with pytest.raises(ConfigError, match=said):
        zero_shot(model, TEXTS, given["words"], template=given["template"])


def test_rows_and_models_that_do_not_fit_are_refused(model: Model, tiny: Callable[..., Model]) -> None:
    with pytest.raises(InputError, match="row 0 has 1 text where the template takes 2"):
        zero_shot(model, TEXTS, WORDS, template="{text} [MASK] {pair}")
    with pytest.raises(CheckpointError, match="no mlm head"):
        zero_shot(tiny(), TEXTS, WORDS)
