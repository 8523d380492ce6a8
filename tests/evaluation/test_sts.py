"""The STS files: as many scored pairs as were published, the two ways of scoring a year, the real weights' known order."""

import lzma
from pathlib import Path

import numpy as np
import pytest

from maskwright import native
from maskwright.errors import DataError, InputError
from maskwright.evaluation import sts
from maskwright.evaluation.sts import YEARS, read_sts, score_sts
from maskwright.model import load

PUBLISHED = {"2012": 3_108, "2013": 1_500, "2014": 3_750, "2015": 3_000, "2016": 1_186}


def test_the_files_hold_as_many_scored_pairs_as_were_published(shared: Path) -> None:
    for year in YEARS:
        files = sorted((shared / "data" / "sts" / year).glob("*.test.tsv*"))
        rows = [read_sts(path) for path in files]
        assert sum(map(len, rows)) == PUBLISHED[year]
        scores = np.concatenate([each.numbers() for each in rows])
        assert scores.min() >= 0 and scores.max() <= 5
        assert not any('""' in text for each in rows for texts in each.texts for text in texts)


def test_sick_has_its_published_size(shared: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    (tmp_path / "sick").symlink_to(shared / "data" / "sts" / "sick")
    monkeypatch.setattr(sts, "cosines", lambda model, pairs, **_: np.array([len(a) / len(b) for a, b in pairs]))
    (found,) = score_sts(None, tmp_path).values()
    assert found.pairs == 4_927 and list(found.files) == ["SICK_test_annotated"]


def test_the_two_ways_of_scoring_a_year_are_told_apart(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "2012").mkdir()
    (tmp_path / "2012" / "one.test.tsv").write_text("1\ta\tb\n\tx\ty\n2\ta\tc\n3\ta\td\n")
    with lzma.open(tmp_path / "2012" / "two.test.tsv.xz", "wt") as file:
        file.write('4\ta\te\n5\ta\t"say ""f"""\n')
    (tmp_path / "2012" / "one.train.tsv").write_text("1\tno\tno\n")
    said = {"b": 0.7, "c": 0.8, "d": 0.9, "e": 0.2, 'say "f"': 0.1}
    monkeypatch.setattr(sts, "cosines", lambda model, pairs, **_: np.array([said[b] for _, b in pairs]))
    found = score_sts(None, tmp_path)["2012"]
    assert found.files == pytest.approx({"one": 1.0, "two": -1.0}) and found.mean == pytest.approx(0)
    # Ranks 1 2 3 4 5 against 3 4 5 2 1: squared differences 4 4 4 4 16.
    assert found.all == pytest.approx(1 - 6 * 32 / (5 * 24)) and found.pairs == 5


def test_bad_files_are_refused_with_file_and_line(tmp_path: Path) -> None:
    (tmp_path / "a.tsv").write_text("1\ta\tb\n2\ta\n")
    with pytest.raises(DataError, match=r"a\.tsv, line 2: 2 fields, and 1 to 3 must be score, text and text"):
        read_sts(tmp_path / "a.tsv")
    (tmp_path / "b.tsv").write_text("\ta\tb\n")
    with pytest.raises(InputError, match="no scored pairs"):
        read_sts(tmp_path / "b.tsv")
    with pytest.raises(InputError, match=r"no 2012/\*\.test\.tsv"):
        score_sts(None, tmp_path)


def test_real_weights_order_pairs_as_people_do(minilm: Path, shared: Path) -> None:
    rows = read_sts(shared / "data" / "sts" / "2016" / "postediting.test.tsv.xz")
    from maskwright.evaluation.similar import score_pairs

    assert score_pairs(load(minilm), rows)["spearman"].value > 0.8


def test_int8_keeps_the_vectors_of_real_weights_and_their_order(minilm: Path, shared: Path) -> None:
    if not native.here():
        pytest.skip(native.why_not())
    rows = read_sts(shared / "data" / "sts" / "2016" / "headlines.test.tsv")
    model, texts = load(minilm), [text for pair in rows.texts for text in pair]
    exact, whole = (model.encode(texts, precision=name) for name in ("fp32", "int8"))
    cosines = (exact * whole).sum(1) / np.linalg.norm(exact, axis=1) / np.linalg.norm(whole, axis=1)
    assert cosines.mean() > 0.999 and cosines.min() > 0.99
    alone = model.encode(texts[:1], precision="int8")
    assert np.allclose(alone, whole[:1], atol=1e-6)
