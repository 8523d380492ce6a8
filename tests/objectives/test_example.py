"""Examples as text: what was hidden can be read off them, in any vocabulary, with colours and without."""

import io
from dataclasses import replace
from itertools import groupby

import numpy as np
import pytest
from rich.cells import cell_len
from rich.console import Console

from framed import framed, tokens_of
from maskwright.cli import run
from maskwright.corpus.store import Corpus
from maskwright.data.batch import Sample
from maskwright.errors import ConfigError
from maskwright.families import FAMILIES
from maskwright.keys import Key
from maskwright.objectives import OBJECTIVES
from maskwright.objectives.example import example_of
from maskwright.objectives.mlm import HideTokens, MlmConfig
from maskwright.report.example import Answer, Example, Line, Shown, draw_examples
from maskwright.text.encoder import Encoder
from maskwright.text.tokenizer import Tokenizer
from maskwright.train.examples import deal_options, examples_of
from maskwright.train.setup import make_objective
from small import of_words

TEXT = "Unbelievable: (the) whole of London, naïve; 3.14 % “of it”. 北京大学很大，我们都在。 Thé énd 😀 [MASK] of the whole!"


def sample_of(tokenizer: Tokenizer, text: str = TEXT) -> Sample:
    return framed([tokens_of(Encoder(tokenizer), tokenizer, [text])], tokenizer.cls_id, tokenizer.sep_id)


def bare(text: str) -> str:
    return "".join(text.split()).replace("␣", "")


def drawn(example: Example, width: int = 80, color: str | None = None) -> str:
    out = io.StringIO()
    Console(file=out, width=width, color_system=color, force_terminal=bool(color)).print(
        draw_examples([example], "[MASK]")
    )
    return out.getvalue()


@pytest.mark.parametrize("kind", ["wordpiece", "bpe", "unigram"])
@pytest.mark.parametrize("unit", ["token", "word", "span"])
def test_the_answers_in_the_place_of_the_marks_are_the_text(kind: str, unit: str) -> None:
    tokenizer = Tokenizer.train([TEXT] * 3, vocab_size=400, kind=kind, min_frequency=1)
    ordinary = np.setdiff1d(np.arange(tokenizer.vocab_size), sorted(tokenizer.special_ids))
    hide = HideTokens(MlmConfig(unit=unit, rate=0.3, mask_share=0.5, random_share=0.2), tokenizer.mask_id, ordinary)
    before = sample_of(tokenizer)
    whole = bare(tokenizer.decode(before.ids.tolist()))
    for epoch in range(20):
        after = hide(before, Key(0, epoch))
        example = example_of("", before, after, tokenizer, {})
        (line,), (answer,) = example.lines, example.answers
        answers = iter(answer.said)
        told = ""
        for mark, stretch in groupby(line.shown, key=lambda shown: shown.mark):
            if mark == "plain":
                told += "".join(shown.text for shown in stretch)
            elif mark != "special":
                told += next(answers)
        if kind == "wordpiece":  # a byte or two of a character are no text of their own
            assert bare(told) == whole
        assert list(answers) == []
        marks = {"masked": after.ids == tokenizer.mask_id, "kept": after.ids == before.ids}
        assert sum(shown.mark == "masked" for shown in line.shown) == marks["masked"].sum()
        assert any(shown.mark == "kept" for shown in line.shown) == marks["kept"][after.targets["mlm"][0]].any()


def test_an_example_reads_as_its_text(tokenizer: Tokenizer) -> None:
    example = example_of("Example 1", *[sample_of(tokenizer, "the string, (of) file.")] * 2, tokenizer, {})
    assert drawn(example).split("\n")[2:3] == ["  [CLS] the string, (of) file. [SEP]"]


def test_every_mark_can_be_read_without_colour_and_has_one() -> None:
    line = Line(
        "", [Shown("a"), Shown("[MASK]", "masked"), Shown("b c", "random"), Shown("d", "kept"), Shown("!", space=False)]
    )
    example = Example("One", [line], [Answer("mlm", ["x", "y"], ["plain", "random"])])
    plain = drawn(example)
    assert "a [MASK] {b c} <d>!" in plain and "mlm: x · {y}" in plain
    assert "[MASK] hidden   {word} another token in its place   <word> asked for and kept" in plain
    coloured = drawn(example, color="standard")
    assert "\x1b[1;31m[MASK]" in coloured and "\x1b[4;35m{b" in coloured and "\x1b[32m<d>" in coloured


@pytest.mark.parametrize("width", [80, 40])
def test_lines_end_between_words_and_never_in_a_mark(width: int) -> None:
    shown = [Shown("[CLS]", "special")]
    for _ in range(30):
        shown += [Shown("在岛，的", space=False), Shown("[MASK]", "masked", False), Shown("[MASK]", "masked", False)]
        shown += [Shown("the un", "plain"), Shown("[MASK]", "masked", False), Shown(", word", "plain", False)]
    lines = drawn(Example("Long", [Line("", shown)]), width).splitlines()[3:]
    assert len(lines) > 10
    assert all(cell_len(line) <= width for line in lines)
    assert all(line.count("[") == line.count("]") for line in lines)
    assert not any(line.strip()[:1] in "，," for line in lines)
    assert "".join(line.strip() for line in lines).replace(" ", "") == "".join(one.text for one in shown).replace(
        " ", ""
    )


def test_what_an_objective_reorders_is_shown_before_and_after(tokenizer: Tokenizer) -> None:
    before = sample_of(tokenizer, "the string of the file")
    shorter = replace(
        before, ids=before.ids[[0, 3, 1, -1]], segments=before.segments[:4], special=before.special[[0, 3, 1, -1]],
        targets={"say": (np.array([1, 2]), before.ids[[1, 2]]), "say.where": (np.array([1]), np.array([7]))},
    )  # fmt: skip
    example = example_of("One", before, shorter, tokenizer, {})
    assert [line.title for line in example.lines] == ["as it was", "as the model sees it"]
    assert next(shown.text for shown in example.lines[1].shown) == "[CLS]"
    (answer,) = example.answers
    pieces = tokenizer.pieces(shorter.ids[1:3].tolist()), tokenizer.pieces(before.ids[1:3].tolist())
    assert answer.said == [
        f"{at.removeprefix('##')} → {said.removeprefix('##')}" for at, said in zip(*pieces, strict=True)
    ]


def test_labels_of_the_whole_example_are_named(tokenizer: Tokenizer) -> None:
    before = sample_of(tokenizer, "the string of the file")
    after = before.with_target("order", np.array([0]), np.array([1]))
    assert example_of("", before, after, tokenizer, {}).answers[0].said == ["class 1"]
    assert example_of("", before, after, tokenizer, {"order": ("right", "swapped")}).answers[0].said == ["swapped"]
    every = before.with_target("rtd", np.arange(len(before.ids)), before.ids)
    said = example_of("", before, every, tokenizer, {}).answers[0].said
    assert said == [f"asked of each of the {len(before.ids)} tokens"]


def test_a_next_token_at_each_place_is_said_in_a_word(tokenizer: Tokenizer) -> None:
    before = sample_of(tokenizer, "the string of the file")
    after = before.with_target("causal", np.arange(len(before.ids) - 1), before.ids[1:])
    example = example_of("", before, after, tokenizer, {})
    assert example.answers[0].said == [f"at each of {len(before.ids) - 1} tokens the next one"]
    assert len(example.lines) == 1


@pytest.mark.parametrize("name", [*(entry.name for entry in OBJECTIVES), "mlm,nsp"])
def test_every_objective_can_be_looked_at(
    name: str,
    small_corpus: Corpus,
    word_corpus: Corpus,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    heads = {head for part in name.split(",") for head in OBJECTIVES[part].load().heads}
    if not any(heads <= set(entry.load().heads) for entry in FAMILIES):
        pytest.skip(f"no architecture carries {', '.join(sorted(heads))}")
    monkeypatch.setenv("COLUMNS", "80")
    if name == "spans":
        assert run(["corpus", "show", str(small_corpus.folder), "--objective", name]) == 1
        assert "tokenizer train --sentinels 100" in capsys.readouterr().err
        return
    folder = (word_corpus if of_words(name) else small_corpus).folder
    words = ["corpus", "show", str(folder), "--objective", name, "--length", "64", "--examples", "2"]
    assert run(words) == 0
    shown = capsys.readouterr().out
    assert "Example 1, " in shown and "Example 2, " in shown and "Example 3" not in shown
    for part in make_objective(name, {}).parts:
        assert f"  {part}: " in shown
    assert all(cell_len(line) <= 80 for line in shown.splitlines())
    assert run(words) == 0 and capsys.readouterr().out == shown
    assert run([*words, "--seed", "1"]) == 0 and capsys.readouterr().out != shown


def test_options_go_to_the_objective_that_has_them(small_corpus: Corpus) -> None:
    assert deal_options("nsp,mlm", {"unit": "span", "random_rate": "0.3"}) == {
        "mlm": {"unit": "span"}, "nsp": {"random_rate": "0.3"},
    }  # fmt: skip
    with pytest.raises(ConfigError, match=r"no option --uniit of mlm\. Did you mean 'unit'\?"):
        deal_options("mlm", {"uniit": "span"})
    found = examples_of(small_corpus.folder, "mlm", {"mlm": {"rate": "0.4", "unit": "span"}}, length=64, count=1)
    assert found.masking["hidden"] == pytest.approx(0.4, abs=0.01)
    assert found.masking["words_partly"] == 0
    assert len(found.examples) == 1 and found.mask == "[MASK]"


@pytest.mark.parametrize(
    ("words", "code", "told"),
    [
        (["--unit", "span"], 2, "--unit is an option of examples"),
        (["--examples", "3"], 2, "--examples is an option of examples"),
        (["--objective", "mlm", "--examples", "0"], 2, "at least one"),
        (["--objective", "mml"], 1, "no objective 'mml'. Did you mean 'mlm'?"),
        (["--objective", "mlm", "--unit", "spam"], 1, "field 'objective.mlm.unit'"),
        (["--objective", "mlm", "--lenght", "9"], 1, "no option --lenght of mlm"),
        (["--objective", "mlm", "--length", "3"], 1, "length"),
        (["--objective", "mlm", "--unit", "entity", "--gazetteer", "no.txt"], 1, "no.txt: no such gazetteer"),
    ],
)
def test_mistakes_are_told(
    words: list[str], code: int, told: str, small_corpus: Corpus, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(["corpus", "show", str(small_corpus.folder), *words]) == code
    assert told in " ".join(capsys.readouterr().err.split())
