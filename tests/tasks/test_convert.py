"""GLUE's inference sets made again of other data."""

import json
from pathlib import Path

import pytest

from maskwright.cli import run
from maskwright.errors import DataError, InputError
from maskwright.tasks.check import same_text
from maskwright.tasks.convert import qnli_from_squad, two_way, wnli_from_winograd, write_pairs
from maskwright.tasks.glue import MNLI, QNLI, RTE, SNLI


def squad(folder: Path, *questions: tuple[str, list[tuple[str, int]]], context: str) -> Path:
    asked = [
        {"question": q, "answers": [{"text": t, "answer_start": s} for t, s in answers]} for q, answers in questions
    ]
    path = folder / "squad.json"
    path.write_text(json.dumps({"data": [{"paragraphs": [{"context": context, "qas": asked}]}]}), "utf-8")
    return path


TEXT = "Rome is old. The river Tiber runs through Rome. Paris lies on the Seine."


def test_a_question_goes_with_its_answer_s_sentence_and_with_the_most_similar_other(tmp_path: Path) -> None:
    path = squad(
        tmp_path,
        ("Which river runs through Rome?", [("Tiber", TEXT.index("Tiber"))]),
        ("What is impossible?", []),
        ("What crosses two sentences?", [("old. The", TEXT.index("old. The"))]),
        context=TEXT,
    )
    assert list(qnli_from_squad(path)) == [
        ("Which river runs through Rome?", "The river Tiber runs through Rome.", "entailment"),
        ("Which river runs through Rome?", "Rome is old.", "not_entailment"),
    ]


def test_of_squad_s_dev_set_come_the_pairs_of_qnli_s(shared: Path) -> None:
    made = list(qnli_from_squad(shared / "data" / "squad" / "dev-v1.1.json.xz"))
    labels = [label for *_, label in made]
    assert labels.count("entailment") == labels.count("not_entailment") > 9_500
    ours = {(same_text(question), same_text(sentence)): label for question, sentence, label in made}
    official = QNLI.rows(shared / "data" / "glue", "dev")
    assert official.labels is not None
    pairs = zip(official.texts, official.labels, strict=True)
    same = [ours.get((same_text(a), same_text(b))) == label for (a, b), label in pairs if label == "entailment"]
    # The rest: sentences cut elsewhere than theirs were.
    assert len(same) == 2_702 and sum(same) / len(same) > 0.85


def test_three_classes_become_two_as_in_rte(tmp_path: Path, shared: Path) -> None:
    path = tmp_path / "snli.txt"
    path.write_text(
        "gold_label\tsentence1\tsentence2\nneutral\ta b\tc\n-\td\te\nentailment\tf\tg\ncontradiction\th\ti\n"
    )
    assert list(two_way(path, SNLI)) == [
        ("a b", "c", "not_entailment"),
        ("f", "g", "entailment"),
        ("h", "i", "not_entailment"),
    ]
    made = list(two_way(shared / "data" / "glue" / "MNLI" / "dev_matched.jsonl.xz", MNLI))
    assert sum(label == "entailment" for *_, label in made) == 3_479 and len(made) == 9_815


SCHEMA = {
    "text": "Jane has a trophy. The trophy doesn't fit in the suitcase because it is too big.",
    "pronoun": "it",
    "options": ["The trophy", "the suitcase"],
    "label": 0,
}


def schemas(folder: Path, *rows: object) -> Path:
    path = folder / "wsc.jsonl"
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), "utf-8")
    return path


def test_each_candidate_takes_the_pronoun_s_place_in_its_sentence(tmp_path: Path) -> None:
    his = {"text": "Paul met Chris. His car was new.", "pronoun": "his", "options": ["Paul", "Chris"], "label": 1}
    made = list(wnli_from_winograd(schemas(tmp_path, SCHEMA, his)))
    assert [(second, label) for _, second, label in made] == [
        ("The trophy doesn't fit in the suitcase because the trophy is too big.", "entailment"),
        ("The trophy doesn't fit in the suitcase because the suitcase is too big.", "not_entailment"),
        ("Paul's car was new.", "not_entailment"),
        ("Chris' car was new.", "entailment"),
    ]
    assert made[0][0] == SCHEMA["text"]


def test_davis_s_xml_is_read(tmp_path: Path) -> None:
    path = tmp_path / "wsc.xml"
    path.write_text(
        "<collection><schema><text><txt1>The man couldn't lift his son because</txt1><pron>he</pron>"
        "<txt2>was so weak.</txt2></text><answers><answer>The man</answer><answer>The son</answer></answers>"
        "<correctAnswer>A.</correctAnswer></schema></collection>"
    )
    assert [(second, label) for _, second, label in wnli_from_winograd(path)] == [
        ("The man couldn't lift his son because the man was so weak.", "entailment"),
        ("The man couldn't lift his son because the son was so weak.", "not_entailment"),
    ]


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"text": "it is it"}, r"line 1: the pronoun 'it' occurs 2 times; say which by pronoun_loc"),
        ({"text": "nothing"}, "occurs 0 times"),
        ({"pronoun_loc": 3}, "no pronoun 'it' at character 3"),
        ({"label": 2}, "no option 2 among 2"),
        ({"label": "a"}, "a schema has text, pronoun, options and label"),
        ({"options": None}, "a schema has text, pronoun"),
    ],
)
def test_a_schema_that_cannot_be_used_is_refused_with_its_line(tmp_path: Path, change: dict, said: str) -> None:
    with pytest.raises(DataError, match=said):
        list(wnli_from_winograd(schemas(tmp_path, SCHEMA | change)))


def test_files_that_cannot_be_converted_are_refused(tmp_path: Path) -> None:
    (tmp_path / "a.json").write_text('{"data": [{"paragraphs": [{}]}]}')
    with pytest.raises(InputError, match=r"a\.json: not laid out as SQuAD's files"):
        list(qnli_from_squad(tmp_path / "a.json"))
    (tmp_path / "b.xml").write_text('<!DOCTYPE a [<!ENTITY x "y">]><a/>')
    with pytest.raises(InputError, match="XML entities are not accepted"):
        list(wnli_from_winograd(tmp_path / "b.xml"))
    with pytest.raises(InputError, match="nothing came of the input"):
        write_pairs(tmp_path / "c.tsv", [])
    with pytest.raises(InputError, match=r"pairs are written as \.tsv"):
        write_pairs(tmp_path / "c.csv", [("a", "b", "entailment")])


def test_what_is_written_is_read_back_as_glue_s_own(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = schemas(tmp_path, SCHEMA)
    assert run(["convert-data", "wnli", str(path), "--out", str(tmp_path / "dev.tsv")]) == 0
    assert "not_entailment" in capsys.readouterr().out
    rows = RTE.rows(tmp_path, "dev")
    assert rows.labels == ("entailment", "not_entailment")
    assert rows.texts[0][1] == "The trophy doesn't fit in the suitcase because the trophy is too big."
