"""How much of the meaning of words and sentences is in static vectors?  One text, four kinds, beside an encoder.

    python bench/static.py TEXTS… --sts DATA --out runs/static [--encoder FOLDER] [--megabytes 20]

TEXTS: files of any kind that ``corpus build`` reads; ``--megabytes`` of their sentences are learnt from, and each file gives
the same share of itself.  DATA: a folder with the SemEval STS sets of 2012 to 2016 (YEAR/NAME.test.tsv: score and two
sentences), sick/SICK_test_annotated.txt, and sts-test.tsv; those that are there are used.  Compared are

    one-hot, TF-IDF       fitted on the same sentences
    word2vec, fastText    skip-gram, the defaults; the mean of the words' vectors
    … SIF                 the same with words weighed by rarity, and the direction common to the training sentences taken away
    encoder               the mean of its last hidden states; it saw other, and far more, text

Scored is Spearman's correlation of the cosine with people's scores, times 100, over all pairs of a year together, with a 95 %
bootstrap interval; and on WordSim-353 and SimLex-999, which gensim brings along, of word pairs.  A pair with a text of no
known word has cosine 0; how many words were known is told.  Single words are not asked of one-hot and TF-IDF: to them any two
are equally far.  Nothing is tuned on these sets.
"""

from __future__ import annotations

import argparse
import csv
import lzma
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from gensim.test.utils import datapath
from numpy.typing import NDArray
from scipy.stats import rankdata, spearmanr

import maskwright.static as static
from maskwright.keys import Key
from maskwright.report.terminal import key_values, show, table
from maskwright.static.common import Common

YEARS = ("2012", "2013", "2014", "2015", "2016")
ROUNDS, FITTED_ON, BATCH = 1000, 20_000, 2000

Pairs = tuple[list[str], list[str], list[float]]
Encode = Callable[[Sequence[str]], Any]


def sentences(sources: list[str], megabytes: float) -> Iterator[str]:
    """Of each file every k-th stretch of a hundred sentences, so that all of them together give the size asked for."""
    sizes = {source: sum(len(text) for text in static.Texts([source])) for source in sources}
    share = min(1.0, megabytes * 1e6 / sum(sizes.values()))
    for source in sources:
        for number, text in enumerate(static.Texts([source])):
            stretch = number // 100
            if int((stretch + 1) * share) > int(stretch * share):
                yield text


def _lines(path: Path) -> list[str]:
    packed = path.with_name(path.name + ".xz")
    text = lzma.decompress(packed.read_bytes()).decode("utf-8") if packed.exists() else path.read_text("utf-8")
    return text.rstrip("\n").split("\n")


def _pairs(rows: Iterator[tuple[str, str, str]]) -> Pairs:
    scored = [(one, other, float(score)) for score, one, other in rows if score]
    return [one for one, _, _ in scored], [other for _, other, _ in scored], [score for _, _, score in scored]


def sts(folder: Path) -> dict[str, Pairs]:
    """The sets that are there, by name."""
    found: dict[str, Pairs] = {}
    for year in YEARS:
        names = sorted({path.name.removesuffix(".xz") for path in (folder / year).glob("*.test.tsv*")})
        # One file has quoted fields; in the others a quotation mark is a quotation mark.
        quoting = {name: csv.QUOTE_MINIMAL if name.startswith("answers-students") else csv.QUOTE_NONE for name in names}
        rows = [
            row
            for name in names
            for row in csv.reader(_lines(folder / year / name), delimiter="\t", quoting=quoting[name])
        ]
        if rows:
            found[f"STS {year}"] = _pairs((row[0], row[1], row[2]) for row in rows)
    benchmark = [folder / "sts-test.tsv", folder.parent / "glue" / "STS-B" / "original" / "sts-test.tsv"]
    for path in benchmark:
        if path.exists() or path.with_name(path.name + ".xz").exists():
            rows = [line.split("\t") for line in _lines(path)]
            found["STS-B"] = _pairs((row[4], row[5], row[6]) for row in rows)
            break
    if (folder / "sick").is_dir():
        rows = [line.split("\t") for line in _lines(folder / "sick" / "SICK_test_annotated.txt")[1:]]
        found["SICK-R"] = _pairs((row[3], row[1], row[2]) for row in rows)
    return found


def words() -> dict[str, Pairs]:
    """Word pairs with people's scores."""
    read = {}
    for name, file in (("WordSim-353", "wordsim353.tsv"), ("SimLex-999", "simlex999.txt")):
        rows = [
            line.split("\t")
            for line in Path(datapath(file)).read_text("utf-8").splitlines()
            if not line.startswith("#")
        ]
        read[name] = _pairs((row[2], row[0], row[1]) for row in rows if row[2].replace(".", "").isdigit())
    return read


def cosines(encode: Encode, one: list[str], other: list[str]) -> NDArray[np.float64]:
    """The cosine of each pair; 0 where one of its vectors is."""
    out = []
    for begin in range(0, len(one), BATCH):
        a, b = (encode(texts[begin : begin + BATCH]) for texts in (one, other))
        if hasattr(a, "multiply"):  # sparse
            dots = np.asarray(a.multiply(b).sum(axis=1)).ravel()
            lengths = [np.sqrt(np.asarray(each.multiply(each).sum(axis=1)).ravel()) for each in (a, b)]
        else:
            dots, lengths = (a * b).sum(axis=1), [np.linalg.norm(each, axis=1) for each in (a, b)]
        both = (lengths[0] * lengths[1]).astype(np.float64)
        out.append(np.divide(dots, both, out=np.zeros(len(both)), where=both > 0))
    return np.concatenate(out)


def scored(cosine: NDArray[np.float64], gold: Sequence[float]) -> str:
    """Spearman times 100, and its 95 % interval over the pairs drawn anew."""
    golden, draw = np.asarray(gold), Key(0).stream("bench.static")
    drawn = []
    for _ in range(ROUNDS):
        rows = draw.integers(len(golden), len(golden))
        drawn.append(np.corrcoef(rankdata(cosine[rows]), rankdata(golden[rows]))[0, 1])
    low, high = np.nanpercentile(drawn, [2.5, 97.5])
    return f"{100 * spearmanr(cosine, golden).statistic:.1f} [{100 * low:.1f}, {100 * high:.1f}]"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("texts", nargs="+")
    parser.add_argument("--sts", type=Path, required=True)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--encoder", type=Path)
    parser.add_argument("--megabytes", type=float, default=20)
    args = parser.parse_args()
    learnt = list(sentences(args.texts, args.megabytes))
    facts = {"sentences": len(learnt), "megabytes": f"{sum(map(len, learnt)) / 1e6:.1f}"}
    encoders: dict[str, Encode] = {}
    configs = {
        "one-hot": static.OnehotConfig(),
        "TF-IDF": static.TfidfConfig(),
        "word2vec": static.Word2vecConfig(),
        "fastText": static.FasttextConfig(),
    }
    made: dict[str, Any] = {}
    for name, config in configs.items():
        folder = args.out / name
        if not folder.exists():
            args.out.mkdir(parents=True, exist_ok=True)
            begun = time.perf_counter()
            vectors = static.train(learnt, config, facts=facts)
            vectors.facts["seconds"] = round(time.perf_counter() - begun, 1)
            static.save(vectors, folder)
        vectors = made[name] = static.load(folder)
        facts[f"{name}"] = f"{len(vectors):,} words, {vectors.facts['seconds']} s"
        if isinstance(vectors, static.SparseVectors):
            encoders[name] = vectors.encode_sparse
        else:
            encoders[name] = vectors.encode
            encoders[f"{name} SIF"] = _sif(vectors, learnt[:: max(1, len(learnt) // FITTED_ON)])
    if args.encoder:
        from maskwright.model import load

        encoders["encoder"] = load(args.encoder).encode
    sets = sts(args.sts)
    show(key_values(facts, "Learnt from"))
    meaning = {name: encode for name, encode in encoders.items() if name not in ("one-hot", "TF-IDF")}
    for title, group, compared in (("Sentences", sets, encoders), ("Word pairs", words(), meaning)):
        seen = made["word2vec"].coverage([text for one, other, _ in group.values() for text in (*one, *other)])
        known = f"{100 * seen.known / seen.words:.1f} % of the words, all but {seen.empty:,} of {seen.texts:,} texts"
        rows = []
        for name, encode in compared.items():
            begun = time.perf_counter()
            row = [scored(cosines(encode, one, other), gold) for one, other, gold in group.values()]
            rows.append([name, *row, f"{time.perf_counter() - begun:.1f}"])
            print(f"{title}, {name}: done", file=sys.stderr, flush=True)
        columns = [f"{name} ({len(pairs[2]):,})" for name, pairs in group.items()]
        show(table(f"{title}: Spearman x 100 [95 %], (pairs)", ["vectors", *columns, "seconds"], rows))
        show(key_values({"word2vec knows": known}))


def _sif(vectors: static.WordVectors, texts: list[str]) -> Encode:
    common = Common(vectors.encode(texts, pooling="sif"))
    return lambda given: common.remove(vectors.encode(given, pooling="sif"))


if __name__ == "__main__":
    main()
