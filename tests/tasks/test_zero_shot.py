"""Zero-shot: shares are those of the words at the [MASK], texts cannot smuggle in special pieces, bad templates are refused."""

from collections.abc import Callable

import numpy as np
import pytest
import torch

from maskwright.errors import CheckpointError, ConfigError, InputError
from maskwright.model import Model
from maskwright.tasks.zero_shot import cloze_shares, zero_shot

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
        ({"template": "{text} [MASK]" + " file" * 200}, r"template: it takes 201 of the model's 128 tokens"),
        ({"words": {"a": "file"}}, r"at least two labels"),
        ({"words": {"a": "file", "b": []}}, r"the label 'b' has none"),
        ({"words": {"a": "file", "b": "xylophone"}}, r"'xylophone' of the label 'b' is 'x', "),
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
