"""The learning curve of a fine-tuning: what the same method gives from a share of the training rows.

A curve that still rises at its end says that more labels would help; one that is flat, that they would not.  The rows of a
small share are among those of a larger one, and each share is a run of its own from the same start, with the same passes.
"""

from __future__ import annotations

import shutil
import statistics
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np

from maskwright.config import FinetuneConfig
from maskwright.errors import ConfigError
from maskwright.keys import Key
from maskwright.report.log import RunLog, read_log
from maskwright.train.finetune import Finetuned, finetune, finetune_rows, read_data, start
from maskwright.train.world import need_alone

__all__ = ["learning_curve", "over_seeds"]

_SPENT = ("model", "checkpoints", "best", "plans")


def learning_curve(
    config: FinetuneConfig,
    shares: Sequence[float],
    *,
    resume: bool = False,
    command: str = "",
    tell: Callable[[str], None] = lambda text: None,
) -> tuple[Finetuned, list[dict[str, Any]]]:
    """Fine-tune on all rows as ``finetune`` does, then on each share of them; return that and the points, from few rows on.

    A point holds ``rows`` and ``scores``, as a result record does, and is drawn in the report.  The runs are in
    ``out/curve/``, without their models.  resume: go on where a call was cut off.  ConfigError for shares that cannot be.
    """
    need_alone("the learning curve")
    if not all(0 < share <= 1 for share in shares):
        raise ConfigError(
            f"learning_curve: shares of the rows lie above 0 and up to 1, not {', '.join(map(str, shares))}"
        )
    _, rows, _ = read_data(config)
    counts = sorted({max(1, round(share * len(rows))) for share in shares if share < 1})
    done = finetune(config, resume=resume, command=command)
    order = Key(config.train.seed).stream("rows.curve").order(len(rows))
    points = []
    for count in counts:
        tell(f"{count:,} of {len(rows):,} rows")
        one = config.model_copy(update={"out": config.out / "curve" / f"rows-{count}"})
        if not (resume and _result(one)):
            task, _, dev = read_data(one)
            few = rows.pick(np.sort(order[:count]).tolist())
            again = resume and (one.out / "log.jsonl").exists()
            finetune_rows(start(one), task, few, dev, one, resume=again, command=command, label=f"{count:,} rows")
        points.append({"rows": count, "scores": _result(one)["scores"]})
        for spent in _SPENT:
            shutil.rmtree(one.out / spent, ignore_errors=True)
    whole = _result(config)
    points.append({"rows": len(rows), "scores": whole["scores"]})
    with RunLog(config.out / "log.jsonl") as log:
        kept = {name: value for name, value in whole.items() if name not in ("kind", "time", "learning_curve")}
        log.write("result", **kept, learning_curve=points)
    return done, points


def over_seeds(curves: Sequence[Sequence[Mapping[str, Any]]]) -> list[dict[str, Any]]:
    """Return one curve of those of several seeds: each score's mean, with the lowest and the highest as its ends.

    curves: the points of each seed, all at the same numbers of rows.  A point says of how many ``seeds`` it is; its scores hold
    ``value``, ``low``, ``high``, the sample's ``sd`` (None of one seed) and ``beside``, means too.
    """
    return [
        {
            "rows": points[0]["rows"],
            "seeds": len(points),
            "scores": {name: _spread([point["scores"][name] for point in points]) for name in points[0]["scores"]},
        }
        for points in zip(*curves, strict=True)
    ]


def _spread(scores: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    values = [score["value"] for score in scores]
    return {
        "value": statistics.fmean(values),
        "low": min(values),
        "high": max(values),
        "sd": statistics.stdev(values) if len(values) > 1 else None,
        "beside": {
            method: statistics.fmean(score["beside"][method] for score in scores) for method in scores[0]["beside"]
        },
    }


def _result(config: FinetuneConfig) -> dict[str, Any]:
    """The last result of a run; empty where it has none."""
    path = config.out / "log.jsonl"
    found = [record for record in read_log(path) if record["kind"] == "result"] if path.exists() else []
    return dict(found[-1]) if found else {}
