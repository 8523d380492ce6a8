"""GLUE's data sets: their files as they really are, in every form in which they go about."""

import lzma
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from maskwright.errors import DataError, InputError
from maskwright.tasks import DATASETS
from maskwright.tasks.glue import AX, COLA, MNLI, MRPC, QNLI, QQP, RTE, SNLI, SST2, STSB, WNLI
from maskwright.tasks.glueset import GlueSet

# data set, split, rows, (label, how often): the published counts.
PUBLISHED = [
    (COLA, "train", 8_551, ("acceptable", 6_023)),
    (COLA, "dev", 1_043, ("acceptable", 721)),
    (COLA, "test", 1_063, None),
    (SST2, "train", 67_349, ("positive", 37_569)),
    (SST2, "dev", 872, ("positive", 444)),
    (SST2, "test", 1_821, None),
    (MRPC, "train", 3_668, ("equivalent", 2_474)),
    (MRPC, "dev", 408, ("equivalent", 279)),
    (MRPC, "test", 1_725, None),
    (STSB, "train", 5_749, None),
    (STSB, "dev", 1_500, None),
    (STSB, "test", 1_379, None),
    (QQP, "train", 23_497, ("duplicate", 8_747)),
    (MNLI, "dev", 9_815, ("neutral", 3_123)),
    (QNLI, "dev", 5_463, ("entailment", 2_702)),
    (QNLI, "test", 5_463, None),
    (RTE, "train", 2_490, ("entailment", 1_249)),
    (RTE, "dev", 277, ("entailment", 146)),
    (RTE, "test", 3_000, None),
    (WNLI, "train", 635, None),
    (WNLI, "dev", 71, ("entailment", 31)),
    (WNLI, "test", 146, None),
    (AX, "test", 1_104, None),
]


@pytest.mark.parametrize(
    ("files", "split", "count", "share"), PUBLISHED, ids=[f"{files.title}-{split}" for files, split, *_ in PUBLISHED]
)
def test_the_files_hold_the_published_rows_and_labels(
    shared: Path, files: GlueSet, split: str, count: int, share: tuple[str, int] | None
) -> None:
    rows = files.rows(shared / "data" / "glue", split)
    assert len(rows) == count
    assert files is QQP or count == files.sizes[split]
    assert rows.left_out == ()
    assert {len(row) for row in rows.texts} == ({1} if files in (COLA, SST2) else {2})
    if split == "test":
        assert rows.labels is None
    elif files is STSB:
        assert min(rows.numbers()) == 0 and max(rows.numbers()) == 5
    if share is not None:
        assert rows.labels is not None
        assert set(rows.labels) == set(files.labels or ())
        assert rows.labels.count(share[0]) == share[1]


def test_quotation_marks_in_glue_s_files_are_text(shared: Path) -> None:
    texts = [text for pair in QNLI.rows(shared / "data" / "glue", "dev").texts for text in pair]
    assert sum(text.count('"') % 2 for text in texts) > 0


def test_the_order_of_labels_is_that_of_the_hub() -> None:
    assert {files.hub: files.labels for files in (COLA, SST2, MRPC, QQP, MNLI, QNLI, RTE, WNLI, AX)} == {
        "cola": ("unacceptable", "acceptable"),
        "sst2": ("negative", "positive"),
        "mrpc": ("not_equivalent", "equivalent"),
        "qqp": ("not_duplicate", "duplicate"),
        "mnli": ("entailment", "neutral", "contradiction"),
        "qnli": ("entailment", "not_entailment"),
        "rte": ("entailment", "not_entailment"),
        "wnli": ("not_entailment", "entailment"),
        "ax": ("entailment", "neutral", "contradiction"),
    }


@pytest.mark.parametrize("entry", [each for each in DATASETS if not each.load().several], ids=lambda entry: entry.name)
def test_every_data_set_s_parquet_files_give_its_label_names(entry: object, tmp_path: Path) -> None:
    files: GlueSet = entry.load()  # type: ignore[attr-defined]
    columns = files.columns[-2 if files is AX else -1]
    count = len(files.labels or (0, 1))
    labels = list(range(count)) if files.labels else [0.0, 2.5]
    table = {columns.text: ["a b"] * count, "label": labels, "idx": list(range(count))}
    table |= {columns.pair: ["c"] * count} if columns.pair else {}
    stem = files.splits["dev"][-1]
    (tmp_path / files.hub).mkdir()
    for part in range(2):
        pq.write_table(pa.table(table), tmp_path / files.hub / f"{stem}-0000{part}-of-00002.parquet")
    rows = files.rows(tmp_path, "dev")
    assert len(rows) == 2 * count
    assert rows.labels == tuple(files.labels or ("0.0", "2.5")) * 2


def test_a_folder_that_datasets_saved_is_read_as_it_is(tmp_path: Path) -> None:
    datasets = pytest.importorskip("datasets")
    features = datasets.Features(
        {
            "premise": datasets.Value("string"),
            "hypothesis": datasets.Value("string"),
            "label": datasets.ClassLabel(names=list(MNLI.labels or ())),
        }
    )
    made = {
        split: datasets.Dataset.from_dict(
            {"premise": ["p q", "r"], "hypothesis": ["h", "i j"], "label": labels}, features=features
        )
        for split, labels in {"train": [2, 0], "validation_matched": [1, 1], "test_matched": [-1, -1]}.items()
    }
    datasets.DatasetDict(made).save_to_disk(tmp_path / "saved")
    assert MNLI.rows(tmp_path / "saved", "train").labels == ("contradiction", "entailment")
    assert MNLI.rows(tmp_path / "saved", "dev").texts == (("p q", "h"), ("r", "i j"))
    assert MNLI.rows(tmp_path / "saved", "test").labels is None


def test_snli_rows_without_a_gold_label_are_left_out_and_said(tmp_path: Path) -> None:
    path = tmp_path / "snli_1.0_dev.txt"
    path.write_text("gold_label\tsentence1\tsentence2\nneutral\ta\tb\n-\tc\td\nentailment\te\tf\n", "utf-8")
    rows = SNLI.rows(tmp_path, "dev")
    assert rows.labels == ("neutral", "entailment") and rows.lines == (2, 4)
    assert [str(error) for error in rows.left_out] == [f"{path}, line 3: the label '-' stands for none"]


QQP_HEAD = "id\tqid1\tqid2\tquestion1\tquestion2\tis_duplicate\n"


def test_rows_of_qqp_that_were_cut_in_two_are_left_out_and_of_other_sets_refused(tmp_path: Path) -> None:
    (tmp_path / "train.tsv").write_text(
        f"{QQP_HEAD}1\t1\t2\tWhy?\tHow?\t0\n2\t3\t4\tWho\nis it?\tWho?\t1\n3\t5\t6\t\tNo?\t0\n"
    )
    rows = QQP.rows(tmp_path, "train")
    assert rows.texts == (("Why?", "How?"), ("", "No?"))
    assert [error.line for error in rows.left_out] == [3, 4]
    (tmp_path / "train.tsv").write_text("sentence\tlabel\nfine\t1\ndull\n")
    with pytest.raises(DataError, match=r"train\.tsv, line 3: 1 fields where the header names 2"):
        SST2.rows(tmp_path, "train")


def test_a_test_set_never_loses_a_row(tmp_path: Path) -> None:
    (tmp_path / "test.tsv").write_text("id\tquestion1\tquestion2\n0\tWhy?\tHow?\n1\tWho\n")
    with pytest.raises(DataError, match="line 3: 2 fields where the header names 3"):
        QQP.rows(tmp_path, "test")


def test_files_without_a_header_are_told_from_files_with_one(tmp_path: Path) -> None:
    plain, headed = tmp_path / "train.tsv", tmp_path / "dev.tsv"
    plain.write_text("gj04\t1\t\tIt is.\ngj04\t0\t*\tIt are.\n")
    headed.write_text("source\tlabel\tmark\tsentence\ngj04\t1\t\tIt is.\n")
    assert COLA.rows(tmp_path, "train").labels == ("acceptable", "unacceptable")
    assert COLA.rows(tmp_path, "dev").texts == (("It is.",),)
    plain.write_text("gj04\t1\tIt is.\n")
    with pytest.raises(DataError, match=r"train\.tsv, line 1: 3 fields where the layout has 4"):
        COLA.rows(tmp_path, "train")


def test_a_tab_inside_a_text_is_not_taken_for_a_column(tmp_path: Path) -> None:
    (tmp_path / "dev.tsv").write_text("index\tsentence1\tsentence2\tlabel\n0\ta\tb\tc\tentailment\n")
    with pytest.raises(DataError, match=r"dev\.tsv, line 2: 5 fields where the header names 4; is there a tab"):
        RTE.rows(tmp_path, "dev")


def test_a_file_is_found_in_every_place_and_packing(tmp_path: Path) -> None:
    text = "index\tsentence1\tsentence2\tlabel\n0\ta\tb\tentailment\n"
    for place in (tmp_path / "one", tmp_path / "two" / "RTE", tmp_path / "three" / "rte"):
        place.mkdir(parents=True)
        (place / "dev.tsv.xz").write_bytes(lzma.compress(text.encode()))
    for where in ("one", "two", "three"):
        assert RTE.rows(tmp_path / where, "dev").labels == ("entailment",)
    with pytest.raises(InputError, match=r"no train\.tsv there, nor in RTE/ below it"):
        RTE.rows(tmp_path / "two", "train")
    with pytest.raises(InputError, match=r"no dev_mismatched\.tsv there"):
        MNLI.rows(tmp_path, "dev_mismatched")


def test_a_damaged_table_is_refused_by_name(tmp_path: Path) -> None:
    (tmp_path / "train.parquet").write_bytes(b"PAR1 not really")
    with pytest.raises(InputError, match=r"train\.parquet: not a table that can be read"):
        RTE.rows(tmp_path, "train")
