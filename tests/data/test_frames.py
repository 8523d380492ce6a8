"""Texts stand in the tokenizer's own frame, on every way into a batch: rows, corpus, a prompt."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import tokenizers
from tokenizers.processors import TemplateProcessing

from maskwright.config import FinetuneConfig
from maskwright.corpus.build import build_from
from maskwright.data.batch import Collator, Sample
from maskwright.data.pairs import NextPairs, Runs
from maskwright.data.plan import Budget
from maskwright.data.source import CorpusSource, RowsSource, tokenise_rows
from maskwright.errors import CheckpointError, ConfigError, InputError
from maskwright.families import family_of
from maskwright.keys import Key
from maskwright.model import Model, batches_of, create
from maskwright.objectives.fill import fill_masks
from maskwright.tasks.classify import Classification
from maskwright.tasks.rows import Rows
from maskwright.text.special import CONVENTIONS, Frame, Place
from maskwright.text.tokenizer import Tokenizer
from maskwright.train.finetune import finetune_rows
from small import documents

KINDS = {"bert": "wordpiece", "roberta": "bpe", "albert": "unigram", "xlnet": "unigram", "t5": "unigram", "gpt2": "bpe"}
STAND_IN = {"<cls>": "[CLS]", "<sep>": "[SEP]", "</s>": "[SEP]"}
"""Pieces of the learnt Unigram vocabulary that play those of XLNet and T5."""
TEXTS = [
    ("The returned value is a list of names.", "A file that was opened is closed."),
    ("Return.", "The arguments are the same as those of the function, and every one of them may be left out."),
    ("If the key is not found, the default is returned, or an error is raised where none was given.", "No."),
]


@pytest.fixture(scope="session")
def framed(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Path]:
    """The folder of a learnt tokenizer with the frame of a published one."""
    texts = [document.text for document in documents()]
    made: dict[str, Path] = {}

    def make(name: str) -> Path:
        if name not in made:
            folder = made[name] = tmp_path_factory.mktemp(name)
            learnt = Tokenizer.train(texts, vocab_size=700, kind=KINDS[name])
            learnt.save(folder)
            if name in ("xlnet", "t5", "gpt2"):
                backend = tokenizers.Tokenizer.from_file(str(folder / "tokenizer.json"))
                templates = [CONVENTIONS[name].single, CONVENTIONS[name].pair]
                for theirs, ours in STAND_IN.items():
                    templates = [template.replace(theirs, ours) for template in templates]
                special = (
                    [(piece, backend.token_to_id(piece)) for piece in ("[CLS]", "[SEP]")] if name != "gpt2" else []
                )
                backend.post_processor = TemplateProcessing(
                    single=templates[0], pair=templates[1], special_tokens=special
                )
                Tokenizer(backend, 512).save(folder)
        return made[name]

    return make


def laid_out(tokenizer: Tokenizer, rows: list[tuple[str, ...]], length: int) -> list[tuple[list[int], list[int]]]:
    source = RowsSource(tokenise_rows(tokenizer, rows, length), np.zeros(len(rows)), tokenizer.frame, "")
    plan = source.plan(Budget(examples=1), Key(0), shuffle=False)
    samples = [source.sample(plan, number) for number in range(len(rows))]
    assert plan.lengths.tolist() == [len(sample.ids) for sample in samples]
    return [(sample.ids.tolist(), sample.segments.tolist()) for sample in samples]


@pytest.mark.parametrize("name", KINDS)
@pytest.mark.parametrize("length", [12, 31, 64])
def test_rows_have_the_ids_and_segments_of_a_transformers_call(
    name: str, length: int, framed: Callable[[str], Path]
) -> None:
    transformers = pytest.importorskip("transformers")
    theirs = transformers.PreTrainedTokenizerFast.from_pretrained(framed(name))
    tokenizer = Tokenizer.load(framed(name))
    # Both of the last pair's texts are not longer than the length: only there they could know which one is the longer.
    for rows in ([(a,) for a, _ in TEXTS], TEXTS[: 2 if length < 31 else 3]):
        expected = theirs(*zip(*rows, strict=True), truncation="longest_first", max_length=length, return_token_type_ids=True)  # fmt: skip
        pairs = zip(expected["input_ids"], expected["token_type_ids"], strict=True)
        assert laid_out(tokenizer, rows, length) == [(list(ids), list(types)) for ids, types in pairs]


def test_the_frames_differ_where_the_published_ones_do(framed: Callable[[str], Path]) -> None:
    found = {}
    for name in KINDS:
        frame = Tokenizer.load(framed(name)).frame
        found[name] = frame.special(1), frame.special(2), [place.segment for place in frame.pair]
    assert found == {
        "bert": (2, 3, [0, 0, 0, 1, 1]),
        "albert": (2, 3, [0, 0, 0, 1, 1]),
        "roberta": (2, 4, [0, 0, 0, 0, 0, 0]),
        "xlnet": (2, 3, [0, 0, 1, 1, 2]),
        "t5": (1, 2, [0, 0, 0, 0]),
        "gpt2": (0, 0, [0, 1]),
    }


@pytest.mark.parametrize("name", KINDS)
def test_examples_of_a_corpus_stand_in_the_frame_and_fill_the_length(
    name: str, framed: Callable[[str], Path], tmp_path: Path
) -> None:
    tokenizer = Tokenizer.load(framed(name))
    column = build_from(documents()[:12], tmp_path / "corpus", tokenizer, sentences="lines").tokens()
    for texts, rule in ((1, Runs), (2, NextPairs)):
        frame, special = tokenizer.frame.around(texts), tokenizer.frame.special(texts)
        source = CorpusSource(column, np.arange(column.documents), rule(40, 0.0, special=special), tokenizer.frame, "")
        plan = source.plan(Budget(examples=4), Key(0))
        assert plan.lengths.max() == 40
        for number in range(0, len(plan.lengths), 7):
            sample, columns = source.sample(plan, number), plan.columns[number]
            spans = [columns[:2], columns[2:4]]
            expected = [
                [place.id] if place.text < 0 else column.ids(*spans[place.text].tolist()).tolist() for place in frame
            ]
            assert sample.ids.tolist() == [number for ids in expected for number in ids]
            assert len(sample.ids) == plan.lengths[number]
            assert sample.special.tolist() == [
                place.text < 0 for place, ids in zip(frame, expected, strict=True) for _ in ids
            ]


def tiny(family: str, tokenizer: Tokenizer) -> Model:
    sizes = {"width": 32, "layers": 1, "heads": 2, "feed_forward": 64, "positions": 64, "dropout": 0.0}
    return create(family_of(family).new_spec(vocabulary=tokenizer.vocab_size, **sizes), tokenizer, seed=0)


@pytest.mark.parametrize("name", ["roberta", "albert"])
def test_a_model_is_fine_tuned_on_pairs_in_its_frame(name: str, framed: Callable[[str], Path], tmp_path: Path) -> None:
    model = tiny(name, Tokenizer.load(framed(name)))
    texts = tuple((a, (a if number % 2 else b)) for number, (a, b) in enumerate(TEXTS * 16))
    rows = Rows(texts, tuple("same" if n % 2 else "other" for n in range(len(texts))), tuple(range(len(texts))), "made")
    config = FinetuneConfig.of(
        {"model": "", "out": tmp_path / "run", "length": 48, "train": {"steps": 30, "examples": 16, "lr": 3e-3, "precision": "fp32"}}
    )  # fmt: skip
    done = finetune_rows(model, Classification(["other", "same"]), rows, rows, config)
    assert done.metrics["accuracy"] > 0.9
    transformers = pytest.importorskip("transformers")
    theirs = transformers.PreTrainedTokenizerFast.from_pretrained(tmp_path / "run" / "model")
    for batch in batches_of(done.model, texts[:3], 10_000):
        cu = batch.layout.cu.tolist()
        for row, number in enumerate(batch.examples):
            assert batch.ids_T[cu[row] : cu[row + 1]].tolist() == theirs(*texts[number])["input_ids"]


def test_a_prompt_stands_in_the_frame_of_a_single_text(framed: Callable[[str], Path]) -> None:
    tokenizer = Tokenizer.load(framed("xlnet"))
    model = tiny("roberta", tokenizer)  # it has one segment, whatever a frame says
    model.add_head("mlm")
    seen = []
    model.net.embed.register_forward_pre_hook(lambda _, given: seen.append(given[0]))
    assert len(fill_masks(model, "The [MASK] is returned.")) == 1
    inside = tokenizer.encode_marked("The [MASK] is returned.")
    ids = seen[0][: len(inside) + 2].tolist()
    assert ids == [*inside, tokenizer.id_of("[SEP]"), tokenizer.id_of("[CLS]")]
    with pytest.raises(InputError, match=r"there is no \[MASK\]"):
        fill_masks(model, "The value is returned.")


def test_a_tokenizer_without_padding_fills_up_with_what_no_sequence_sees(framed: Callable[[str], Path]) -> None:
    tokenizer = Tokenizer.load(framed("roberta"))
    assert Collator.of((), tokenizer).pad_id == tokenizer.pad_id != 0
    bare = {role: piece for role, piece in CONVENTIONS["roberta"].roles.items() if role != "pad"}
    backend = tokenizers.Tokenizer.from_file(str(framed("roberta") / "tokenizer.json"))
    assert Collator.of((), Tokenizer(backend, 512, bare)).pad_id == 0


def test_a_tokenizer_with_more_segments_than_the_model_is_refused(framed: Callable[[str], Path]) -> None:
    with pytest.raises(CheckpointError, match="lays texts out in 3 segments and the model has 2"):
        tiny("bert", Tokenizer.load(framed("xlnet")))


def test_words_as_rows_of_characters_stand_in_a_frame_too_and_pairs_without_one_are_refused(
    framed: Callable[[str], Path],
) -> None:
    begin, end = (7, 8, 9), (7, 9, 8)
    words = np.arange(12).reshape(4, 3)
    frame = Frame((Place(begin, -1, 0), Place(None, 0, 0), Place(end, -1, 0)), ())  # type: ignore[arg-type]
    sample = Sample.of([(words, np.ones(4, bool))], frame, 0)
    assert sample.ids.tolist() == [[*begin], *words.tolist(), [*end]]
    batch = Collator((), 0, round_tokens=8)([sample], Key(0))
    assert batch.ids_T.shape == (8, 3) and not batch.ids_T[6:].any()
    tokenizer = Tokenizer.load(framed("bert"))
    tokenizer.frame = frame
    with pytest.raises(ConfigError, match="a pair of texts cannot be laid out for this tokenizer"):
        tokenise_rows(tokenizer, [("a", "b")], 16)


def test_a_length_that_the_special_pieces_fill_is_refused(framed: Callable[[str], Path]) -> None:
    tokenizer = Tokenizer.load(framed("roberta"))
    assert tokenise_rows(tokenizer, [("a", "b")], 6)
    with pytest.raises(ConfigError, match="length 5 leaves no room for text beside 4 special tokens"):
        tokenise_rows(tokenizer, [("a", "b")], 5)
