"""Losses of objectives that write text, beside the transformers library on the same weights and inputs."""

from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
import torch

from maskwright.corpus.store import Corpus
from maskwright.data.batch import IGNORED, Batch, Collator
from maskwright.data.plan import Budget
from maskwright.data.source import CorpusSource
from maskwright.families import FAMILIES
from maskwright.keys import Key
from maskwright.objective import Pass
from maskwright.text.sentinels import with_sentinels
from maskwright.text.tokenizer import Tokenizer
from maskwright.train.setup import make_objective
from small import loud, tiny_of

CASES = [
    ("causal", "gpt", "OpenAIGPTLMHeadModel"),
    ("causal", "gpt2", "GPT2LMHeadModel"),
    ("spans", "t5", "T5ForConditionalGeneration"),
    ("denoise", "bart", "BartForConditionalGeneration"),
]


def padded(values_T: torch.Tensor, batch: Batch, fill: int) -> torch.Tensor:
    rows = [values_T[a:b] for a, b in pairwise(batch.layout.cu.tolist())]
    return torch.nn.utils.rnn.pad_sequence(rows, batch_first=True, padding_value=fill)


@pytest.mark.parametrize(("name", "family", "kind"), CASES)
def test_the_loss_is_that_of_transformers(
    name: str, family: str, kind: str, small_corpus: Corpus, tokenizer: Tokenizer, tmp_path: Path
) -> None:
    transformers = pytest.importorskip("transformers")
    if family not in FAMILIES:
        pytest.skip(f"no family {family} in this version")
    objective = make_objective(name, {})
    model = tiny_of(family, with_sentinels(tokenizer, 30), feed_forward=128, dropout=0.0, attention_dropout=0.0).eval()
    objective.members[0].prepare(model)
    model.keep_heads(*objective.heads)
    loud(model.net)
    model.save(tmp_path / "model")
    frame, column = tokenizer.frame, small_corpus.tokens()
    source = CorpusSource(column, np.arange(column.documents), objective.pairing(40, 0.1, frame), frame, "")
    plan = source.plan(Budget(examples=8), Key(0))
    batch = Collator.of(objective.stages(model), model.tokenizer)(
        [source.sample(plan, int(n)) for n in plan.order[:8]], Key(0)
    )
    part = objective(Pass(model, batch))[name]
    ours = float(part.sum.detach()) / part.count
    theirs = getattr(transformers, kind).from_pretrained(tmp_path / "model").eval()
    given = {
        "input_ids": padded(batch.ids_T, batch, 0),
        "attention_mask": padded(torch.ones_like(batch.ids_T), batch, 0),
    }
    where = batch.decoder or batch
    target = where.targets[name]
    labels_T = torch.full_like(where.ids_T, IGNORED)
    labels_T[target.rows[: target.count]] = target.labels[: target.count]
    labels = padded(labels_T, where, IGNORED)
    if batch.decoder is None:  # there labels are the inputs, and the model moves them by one place
        labels = torch.cat([torch.full((len(labels), 1), IGNORED), labels[:, :-1]], dim=1)
    expected = float(theirs(**given, labels=labels).loss.detach())
    assert ours == pytest.approx(expected, rel=1e-5)
    right = float(part.hits) / part.count  # type: ignore[arg-type]
    assert 0 <= right < 0.5 and ours > 3
