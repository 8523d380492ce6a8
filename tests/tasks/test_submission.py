"""The submission archive: names, header, numbering and labels as GLUE's server reads them."""

import zipfile
from pathlib import Path

import numpy as np
import pytest

from maskwright.errors import InputError
from maskwright.tasks import DATASETS
from maskwright.tasks.glue import AX, COLA, MNLI, MRPC, QNLI, QQP, RTE, SST2, STSB, WNLI
from maskwright.tasks.glueset import GlueSet
from maskwright.tasks.submission import EXPECTED, predictions, tsv, write_submission

FIRST_AND_LAST = {
    "cola": ("0", "1"), "sst2": ("0", "1"), "mrpc": ("0", "1"), "qqp": ("0", "1"), "wnli": ("0", "1"),
    "qnli": ("entailment", "not_entailment"), "rte": ("entailment", "not_entailment"),
    "mnli": ("entailment", "contradiction"), "ax": ("entailment", "contradiction"),
}  # fmt: skip


@pytest.mark.parametrize("files", [COLA, SST2, MRPC, QQP, WNLI, QNLI, RTE, MNLI, AX], ids=lambda files: files.title)
def test_classes_are_written_as_the_server_names_them(files: GlueSet) -> None:
    classes = len(files.labels or ())
    logits = np.eye(classes, dtype=np.float32)[[0, -1]]
    assert tuple(predictions(files, files.task(), logits)) == FIRST_AND_LAST[files.hub]


def test_similarities_stay_within_0_to_5() -> None:
    logits = np.array([[-0.2], [2.34567], [5.1]], dtype=np.float32)
    assert predictions(STSB, STSB.task(), logits) == ["0.000", "2.346", "5.000"]


def test_rows_are_numbered_from_0_under_the_header() -> None:
    assert tsv(["1", "0"]) == b"index\tprediction\n0\t1\n1\t0\n"


def test_every_file_of_the_archive_is_some_data_set_s_and_of_its_size() -> None:
    named = {
        name: files.sizes[split]
        for files in (entry.load() for entry in DATASETS)
        for split, name in files.answers.items()
    }
    assert named == dict(EXPECTED)


def test_the_archive_holds_the_files_and_says_what_is_missing(tmp_path: Path) -> None:
    files = {"WNLI.tsv": tsv(["0"] * 146), "RTE.tsv": tsv(["entailment"])}
    missing = write_submission(tmp_path / "a.zip", files)
    assert "RTE.tsv has 1 rows, not 3,000" in missing and "AX.tsv is missing" in missing
    assert not any("WNLI" in text for text in missing) and len(missing) == 10
    with zipfile.ZipFile(tmp_path / "a.zip") as archive:
        assert archive.namelist() == ["RTE.tsv", "WNLI.tsv"]
        assert archive.read("RTE.tsv") == files["RTE.tsv"]
    write_submission(tmp_path / "b.zip", dict(reversed(files.items())))
    assert (tmp_path / "a.zip").read_bytes() == (tmp_path / "b.zip").read_bytes()
    with pytest.raises(InputError, match=r"rte\.tsv is no file of a submission"):
        write_submission(tmp_path / "c.zip", {"rte.tsv": b""})
