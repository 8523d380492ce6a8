"""A batch for a decoder holds two sets of tokens; and no sequence of a batch sees another one."""

from dataclasses import replace

import numpy as np
import torch

from maskwright.corpus.store import Corpus
from maskwright.data.batch import IGNORED, Collator, Sample
from maskwright.data.pairs import Chunks, NextPairs
from maskwright.data.plan import Budget
from maskwright.data.source import CorpusSource
from maskwright.keys import Key
from maskwright.nn.layout import Ragged
from maskwright.objectives.output import Rewriting
from maskwright.objectives.spans import SpansConfig, SpanSizes, TakeOut
from maskwright.text.tokenizer import Tokenizer
from small import bert_frame, loud, tiny_model

FRAME = bert_frame(2, 3)


def sample_of(number: int, text: list[int], written: list[int]) -> Sample:
    sample = Sample.of([(np.array(text), np.ones(len(text), bool))], FRAME, number)
    return Rewriting("w", 1)(sample, np.array(text), np.array(written))


def test_the_decoder_s_tokens_are_laid_out_with_their_own_places_and_targets() -> None:
    batch = Collator((), 0, round_tokens=8, round_targets=4)(
        [sample_of(4, [10, 11, 12], [20]), sample_of(5, [13], [21, 22, 23, 24])], Key(0)
    )
    assert batch.decoder is not None and isinstance(batch.decoder.layout, Ragged)
    assert batch.ids_T.tolist() == [2, 10, 11, 12, 3, 2, 13, 3]
    assert batch.decoder.ids_T.tolist() == [1, 2, 20, 1, 2, 21, 22, 23, 24, *[0] * 7]
    assert batch.decoder.positions_T.tolist() == [0, 1, 2, 0, 1, 2, 3, 4, 5, *[0] * 7]
    assert batch.decoder.layout.cu.tolist() == [0, 3, 9] and batch.examples == batch.decoder.examples == (4, 5)
    target = batch.decoder.targets["w"]
    assert target.rows[: target.count].tolist() == list(range(9)) and target.count == 9
    assert target.labels.tolist() == [2, 20, 3, 2, 21, 22, 23, 24, 3, *[IGNORED] * 3]
    assert batch.tokens == 8 + 9 and batch.counts == {"w": 9} and not batch.targets


def test_both_parts_move_together() -> None:
    batch = Collator((), 0)([sample_of(0, [10], [20])], Key(0)).to("meta")
    assert batch.decoder is not None
    parts = [batch, batch.decoder, batch.decoder.targets["w"]]
    tensors = [each for part in parts for each in vars(part).values() if isinstance(each, torch.Tensor)]
    assert len(tensors) == 8 and all(each.is_meta for each in tensors)


def test_a_step_s_budget_counts_what_is_read_and_what_is_written(small_corpus: Corpus, tokenizer: Tokenizer) -> None:
    config, column, frame = SpansConfig(), small_corpus.tokens(), tokenizer.frame
    rule = Chunks(60, frame.special(1))
    source = CorpusSource(column, np.arange(column.documents), rule, frame, "", SpanSizes(config, frame.special(1)))
    plan = source.plan(Budget(tokens=500), Key(0))
    collate = Collator((TakeOut(config, np.arange(900, 950), Rewriting("spans", 0)),), 0)
    for step in range(plan.steps):
        batch = collate([source.sample(plan, int(n)) for n in plan.examples(step)], Key(0))
        assert batch.tokens == plan.lengths[plan.examples(step)].sum() <= 500
    plain = replace(source, sizes=None)
    assert plain.plan(Budget(tokens=500), Key(0)).steps < plan.steps
    assert plain.identity() != source.identity()


def test_sentences_begin_where_the_corpus_says(small_corpus: Corpus, tokenizer: Tokenizer) -> None:
    column = small_corpus.tokens()
    begins = {0}
    for shard in column.shards:
        begins |= {shard.first_token, *(int(shard.first_token + end) for end in shard.sentence_ends)}
    source = CorpusSource(column, np.arange(column.documents), NextPairs(50), tokenizer.frame, "")
    plan = source.plan(Budget(examples=1), Key(0))
    for number in range(len(plan.lengths)):
        sample, (a, a_end, b, b_end, _) = source.sample(plan, number), plan.columns[number].tolist()
        assert sample.starts_sentence is not None
        inside = [place in begins for place in (*range(a, a_end), *range(b, b_end))]
        assert sample.starts_sentence[~sample.special].tolist() == inside
        assert not sample.starts_sentence[sample.special].any()


def test_no_sequence_of_a_batch_sees_another_and_segments_tell_a_pair_apart(
    small_corpus: Corpus, tokenizer: Tokenizer
) -> None:
    column = small_corpus.tokens()
    source = CorpusSource(column, np.arange(column.documents), NextPairs(40), tokenizer.frame, "")
    plan = source.plan(Budget(tokens=600), Key(0))
    samples = [source.sample(plan, int(n)) for n in plan.examples(0)]
    assert len(samples) > 8
    model = tiny_model(tokenizer).eval()
    loud(model.net)
    collate = Collator.of((), tokenizer)
    together = model.hidden(collate(samples, Key(0)))
    cu = collate(samples, Key(0)).layout.cu.tolist()
    # Another neighbour changes nothing, to the bit; another token or segment of its own does.
    others = [*samples[:3], *samples[9:4:-1]]
    assert torch.equal(model.hidden(collate(others, Key(0)))[: cu[3]], together[: cu[3]])
    alone = model.hidden(collate([samples[1]], Key(0)))[: cu[2] - cu[1]]
    torch.testing.assert_close(alone, together[cu[1] : cu[2]], rtol=1e-5, atol=1e-5)
    flat = replace(samples[1], segments=np.zeros_like(samples[1].segments))
    assert samples[1].segments.max() == 1
    assert (model.hidden(collate([flat], Key(0)))[: cu[2] - cu[1]] - alone).abs().max() > 1e-2
