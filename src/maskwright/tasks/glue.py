"""GLUE's nine data sets, its diagnostic set, and SNLI, which its authors recommend as further training data.

Wang et al. 2019, https://arxiv.org/abs/1804.07461; table 1 for the metrics.  Folders, file names and columns are those of
GLUE's archives; the order of the labels is that of the hub's ``glue`` data set, so that a model folder's label numbers
agree with those of other libraries' folders.

Sizes are those of the published files.  ``noted`` are numbers that circulate in field notes and differ: for SST-2 and RTE
they count the header line, for QQP the lines of rows that are cut in two, for STS-B and QNLI they are those of another
release.
"""

from __future__ import annotations

from maskwright.tasks.glueset import SPLITS, GlueSet
from maskwright.tasks.rows import Columns

__all__ = ["AX", "COLA", "MNLI", "MRPC", "QNLI", "QQP", "RTE", "SNLI", "SST2", "STSB", "STSB_CLASSES", "WNLI"]

NLI = ("entailment", "neutral", "contradiction")
TWO_WAY = ("entailment", "not_entailment")
_PLAIN = Columns("sentence1", "sentence2", "label")
_PREMISES = Columns("premise", "hypothesis", "label")
_GOLD = Columns("sentence1", "sentence2", "gold_label")

COLA = GlueSet(
    title="CoLA",
    folder="CoLA",
    hub="cola",
    columns=(Columns("sentence", None, "label"),),
    order=("source", "label", "mark", "sentence"),
    labels=("unacceptable", "acceptable"),
    metric="matthews",
    sizes={"train": 8_551, "dev": 1_043, "test": 1_063},
    answers={"test": "CoLA.tsv"},
    as_numbers=True,
)
SST2 = GlueSet(
    title="SST-2",
    folder="SST-2",
    hub="sst2",
    columns=(Columns("sentence", None, "label"),),
    labels=("negative", "positive"),
    metric="accuracy",
    sizes={"train": 67_349, "dev": 872, "test": 1_821},
    noted={"train": 67_350, "dev": 873},
    answers={"test": "SST-2.tsv"},
    as_numbers=True,
)
MRPC = GlueSet(
    title="MRPC",
    folder="MRPC",
    hub="mrpc",
    columns=(Columns("#1 String", "#2 String", "Quality"), _PLAIN),
    labels=("not_equivalent", "equivalent"),
    metric="accuracy_f1",
    sizes={"train": 3_668, "dev": 408, "test": 1_725},
    answers={"test": "MRPC.tsv"},
    as_numbers=True,
)
STSB = GlueSet(
    title="STS-B",
    folder="STS-B",
    hub="stsb",
    columns=(Columns("sentence1", "sentence2", "score"), _PLAIN),
    labels=None,
    metric="pearson_spearman",
    sizes={"train": 5_749, "dev": 1_500, "test": 1_379},
    noted={"dev": 1_379, "test": 1_377},
    span=(0.0, 5.0),
    answers={"test": "STS-B.tsv"},
)
STSB_CLASSES = GlueSet(
    title="STS-B in classes",
    folder=STSB.folder,
    hub=STSB.hub,
    columns=STSB.columns,
    labels=None,
    metric=STSB.metric,
    sizes=STSB.sizes,
    noted=STSB.noted,
    span=STSB.span,
    bins=5,
)
QQP = GlueSet(
    title="QQP",
    folder="QQP",
    hub="qqp",
    columns=(Columns("question1", "question2", "is_duplicate"), Columns("question1", "question2", "label")),
    order=("id", "qid1", "qid2", "question1", "question2", "is_duplicate"),
    labels=("not_duplicate", "duplicate"),
    metric="accuracy_f1",
    sizes={"train": 363_846, "dev": 40_430, "test": 390_965},
    noted={"train": 363_870, "dev": 40_431},
    cut_rows=True,
    answers={"test": "QQP.tsv"},
    as_numbers=True,
)
MNLI = GlueSet(
    title="MNLI",
    folder="MNLI",
    hub="mnli",
    columns=(_GOLD, _PREMISES),
    labels=NLI,
    metric="accuracy",
    splits={
        "train": ("train",),
        "dev": ("dev_matched", "validation_matched"),
        "dev_mismatched": ("dev_mismatched", "validation_mismatched"),
        "test": ("test_matched",),
        "test_mismatched": ("test_mismatched",),
    },
    sizes={"train": 392_702, "dev": 9_815, "dev_mismatched": 9_832, "test": 9_796, "test_mismatched": 9_847},
    unlabelled=("-", "-1"),
    answers={"test": "MNLI-m.tsv", "test_mismatched": "MNLI-mm.tsv"},
)
QNLI = GlueSet(
    title="QNLI",
    folder="QNLI",
    hub="qnli",
    columns=(Columns("question", "sentence", "label"),),
    labels=TWO_WAY,
    metric="accuracy",
    sizes={"train": 104_743, "dev": 5_463, "test": 5_463},
    noted={"test": 5_461},
    answers={"test": "QNLI.tsv"},
)
RTE = GlueSet(
    title="RTE",
    folder="RTE",
    hub="rte",
    columns=(_PLAIN,),
    labels=TWO_WAY,
    metric="accuracy",
    sizes={"train": 2_490, "dev": 277, "test": 3_000},
    noted={"train": 2_491},
    answers={"test": "RTE.tsv"},
)
WNLI = GlueSet(
    title="WNLI",
    folder="WNLI",
    hub="wnli",
    columns=(_PLAIN,),
    labels=("not_entailment", "entailment"),
    metric="accuracy",
    sizes={"train": 635, "dev": 71, "test": 146},
    answers={"test": "WNLI.tsv"},
    as_numbers=True,
)
AX = GlueSet(
    title="AX",
    folder="diagnostic",
    hub="ax",
    columns=(_PLAIN, _PREMISES, Columns("Premise", "Hypothesis", "Label")),
    labels=NLI,
    metric="matthews",
    splits={"dev": ("diagnostic-full",), "test": ("diagnostic", "test")},
    sizes={"dev": 1_104, "test": 1_104},
    answers={"test": "AX.tsv"},
)
SNLI = GlueSet(
    title="SNLI",
    folder="SNLI",
    hub="snli",
    columns=(_GOLD, _PREMISES),
    labels=NLI,
    metric="accuracy",
    splits={name: (*stems, f"snli_1.0_{name}") for name, stems in SPLITS.items()},
    sizes={"train": 549_367, "dev": 9_842, "test": 9_824},
    unlabelled=("-", "-1"),
)
