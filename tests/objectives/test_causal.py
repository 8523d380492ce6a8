"""Next tokens: every token but a document's first is a target once, and the end is one where there is one."""

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from maskwright.corpus.store import Corpus
from maskwright.data.batch import Sample
from maskwright.data.pairs import ENDS, GOES_ON, Chunks
from maskwright.data.plan import Budget
from maskwright.data.source import CorpusSource
from maskwright.keys import Key
from maskwright.objectives.causal import NextTokens
from maskwright.text.special import Frame, Place
from small import bert_frame

BARE = Frame((Place(None, 0, 0),), (Place(None, 0, 0), Place(None, 1, 1)))
CLS, SEP, EOS = 2, 3, 9


def targets(frame: Frame, eos: int | None, label: int) -> dict[int, int]:
    """Place -> label for a text of three tokens."""
    sample = Sample.of([(np.array([20, 21, 22]), np.ones(3, bool))], frame, 0, label)
    made = NextTokens(eos)(sample, Key(0))
    assert made.ids.tolist() == sample.ids.tolist()
    return dict(zip(*(each.tolist() for each in made.targets["causal"]), strict=True))


def test_the_last_token_of_a_document_predicts_the_end_and_others_the_next() -> None:
    assert targets(BARE, EOS, GOES_ON) == {0: 21, 1: 22}
    assert targets(BARE, EOS, ENDS) == {0: 21, 1: 22, 2: EOS}
    assert targets(BARE, None, ENDS) == {0: 21, 1: 22}
    # [CLS] 20 21 22 [SEP]: the frame's own end, and only where the document does end.
    assert targets(bert_frame(CLS, SEP), EOS, ENDS) == {0: 20, 1: 21, 2: 22, 3: SEP}
    assert targets(bert_frame(CLS, SEP), EOS, GOES_ON) == {0: 20, 1: 21, 2: 22}


@given(length=st.integers(4, 90), overlap=st.sampled_from([0, 1]))
@settings(max_examples=40, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_chunks_lose_no_token_and_are_full_but_for_a_document_s_last(
    small_corpus: Corpus, length: int, overlap: int
) -> None:
    column = small_corpus.tokens()
    begin, end, _, _, label = Chunks(length, 2, overlap)(column, np.arange(column.documents), Key(0)).T
    assert begin[0] == 0 and end[-1] == column.tokens
    assert (begin[1:] == end[:-1] - overlap * (label[:-1] == GOES_ON)).all()
    assert (end - begin == length - 2)[label == GOES_ON].all() and (end - begin <= length - 2).all()
    assert (end - begin > overlap)[label == GOES_ON].all() and (label == ENDS).sum() == column.documents


@pytest.mark.parametrize("length", [8, 33, 5_000])
def test_every_token_but_a_document_s_first_is_predicted_once(small_corpus: Corpus, length: int) -> None:
    column = small_corpus.tokens()
    source = CorpusSource(column, np.arange(column.documents), Chunks(length, 0, overlap=1), BARE, "")
    plan = source.plan(Budget(examples=1), Key(0))
    predicted = np.zeros(column.tokens, int)
    ends = 0
    for number in range(len(plan.lengths)):
        begin, end = plan.columns[number][:2].tolist()
        places, labels = NextTokens(EOS)(source.sample(plan, number), Key(0)).targets["causal"]
        inside = places < end - begin - 1
        predicted[begin + 1 + places[inside]] += 1
        assert labels[inside].tolist() == column.ids(begin, end)[1:].tolist()
        ends += int((~inside).sum())
        assert (labels[~inside] == EOS).all()
    assert ends == column.documents
    assert (predicted == 0).sum() == column.documents and predicted.max() == 1
