"""The permutation language model: who sees whom, what is chosen, and the loss of transformers on the same targets."""

from pathlib import Path

import numpy as np
import pytest
import torch
import torch.nn.functional as F

from framed import framed
from maskwright.data.batch import Collator, Sample
from maskwright.families.xlnet import XLNetNet
from maskwright.keys import Key
from maskwright.objective import Pass
from maskwright.objectives.plm import DrawOrder, Plm, PlmConfig, streams
from maskwright.text.tokenizer import Tokenizer
from parity import ours_of, their_model
from tiny_families import CONFIGS

FIRST, PIECES = 5, 300


def text(length: int, number: int) -> Sample:
    ids = np.random.default_rng(number).integers(FIRST, PIECES, length)
    return framed([(ids, np.ones(length, bool))], 2, 3, number)


def test_as_many_are_chosen_as_promised_no_special_token_and_no_id_changes() -> None:
    for number in range(40):
        sample = text(7 + 3 * number, number)
        drawn = DrawOrder(PlmConfig())(sample, Key(0, 0, number))
        places, labels = drawn.targets["plm"]
        assert (drawn.ids == sample.ids).all() and (labels == sample.ids[places]).all()
        assert len(places) == max(1, round(len(sample.ids) / 6)) == len(set(places))
        assert not sample.special[places].any()


def test_every_order_is_as_likely_and_is_fresh_each_epoch() -> None:
    sample, firsts = text(40, 0), []
    for epoch in range(4000):
        places, _ = DrawOrder(PlmConfig(longest=1))(sample, Key(0, epoch, 0)).targets["plm"]
        firsts.append(int((places < places[0]).sum()))  # the first one's rank by place
    share, each = np.bincount(firsts, minlength=7) / len(firsts), 1 / 7
    assert len(share) == 7 and (abs(share - each) < 4.5 * (each * (1 - each) / len(firsts)) ** 0.5).all()


def test_a_target_sees_what_was_not_chosen_and_earlier_targets_and_nobody_sees_a_later_one() -> None:
    samples = [text(20, 1), text(9, 2)]
    key = Key(3)
    batch = Collator((DrawOrder(PlmConfig(rate=0.3)),), 0)(samples, key)
    laid = streams(batch)
    for b, sample in enumerate(samples):
        places = DrawOrder(PlmConfig(rate=0.3))(sample, key.at(sample.number)).targets["plm"][0].tolist()
        assert laid.targets_BM[b, : len(places)].tolist() == places
        for i in range(len(sample.ids)):
            hidden = set(laid.unseen_BSS[b, i].nonzero()[:, 0].tolist())
            assert hidden == set(places[places.index(i) :] if i in places else places)


def test_the_loss_is_that_of_transformers(tokenizer: Tokenizer, tmp_path: Path) -> None:
    pytest.importorskip("transformers")
    theirs = their_model("XLNetLMHeadModel", CONFIGS["xlnet"]["plain"])
    model = ours_of(theirs, tokenizer, tmp_path)
    assert isinstance(model.net, XLNetNet)
    objective = Plm(PlmConfig(rate=0.3))
    samples = [text(18, 1), text(18, 2), text(18, 3)]
    batch = Collator((objective.stage(model),), 0)(samples, Key(1))
    part = objective(Pass(model, batch))["plm"]
    places = [DrawOrder(objective.config)(s, Key(1).at(s.number)).targets["plm"][0] for s in samples]
    rank = torch.full((3, 20), -1)
    for row, each in zip(rank, places, strict=True):
        row[torch.from_numpy(each)] = torch.arange(len(each))
    perm = ((rank[:, None, :] >= 0) & (rank[:, :, None] <= rank[:, None, :])).float()
    ids = torch.from_numpy(np.stack([sample.ids for sample in samples]))
    types = torch.from_numpy(np.stack([sample.segments for sample in samples]))
    mapping = torch.from_numpy(np.stack([np.eye(20, dtype=np.float32)[each] for each in places]))
    logits = theirs(ids, token_type_ids=types, perm_mask=perm, target_mapping=mapping, use_mems=False).logits
    labels = torch.gather(ids, 1, torch.from_numpy(np.stack(places)))
    expected = F.cross_entropy(logits.flatten(0, 1), labels.flatten(), reduction="sum")
    assert part.count == labels.numel()
    assert float((part.sum - expected).detach().abs()) < 1e-5 * float(expected.detach())
