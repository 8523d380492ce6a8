"""``maskwright similarity``."""

from __future__ import annotations

from typing import Annotated

from cyclopts import Parameter

from maskwright.cli.common import command_line, first_process, show_profile, warn_if_busy, write_report
from maskwright.report.log import read_log
from maskwright.report.scores import score_table
from maskwright.report.terminal import show, table
from maskwright.tasks.similar_config import SimilarityConfig

__all__ = ["similarity"]


def similarity(
    *, config: Annotated[SimilarityConfig, Parameter(name="*")], resume: bool = False, profile: int = 0
) -> None:
    """Train an encoder whose vectors are near where texts are similar.  A recipe's fields become the defaults: --recipe FILE.

    The model folder keeps its pooling, for encode and for sentence-transformers; evaluate and predict take it with --pair.

    Parameters
    ----------
    resume
        Go on from the newest checkpoint in --out.
    profile
        Only take so many steps on a copy, and show where their time goes; --out gets profile.json.
    """
    warn_if_busy()
    from maskwright.train.similar import profile_similarity, train_similarity

    if profile > 0:
        show_profile(profile_similarity(config, profile), config.out)
        return
    done = train_similarity(config, resume=resume, command=command_line())
    if not first_process():
        return
    report = write_report(config.out)
    for result in [record for record in read_log(config.out / "log.jsonl") if record["kind"] == "result"][-1:]:
        title = f"{result['title']}, after {done.finished.steps:,} steps"
        show(table(title, *score_table(result["scores"])))
    show(f"model   {config.out / 'model'}", f"report  {report}")
