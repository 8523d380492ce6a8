"""The command line: one small file a verb.

Exit codes: 0 done, 1 the user's input, 2 usage, 3 a fault of ours, 130 Ctrl-C, 143 SIGTERM (both after saving).
Nothing here imports torch before a command runs, so that ``--help`` answers at once.
"""

from __future__ import annotations

import os
import sys
import tempfile
import traceback
from collections.abc import Sequence

import cyclopts
import pydantic

from maskwright import __version__
from maskwright.cli import (
    bench,
    check_data,
    convert,
    convert_data,
    corpus,
    doctor,
    evaluate,
    families,
    few_shot,
    fill,
    finetune,
    generate,
    glue,
    mine,
    params,
    predict,
    pretrain,
    probe,
    quickstart,
    report,
    similarity,
    sts,
    study,
    tokenizer,
    vectors,
    verify,
    zero_shot,
)
from maskwright.cli.common import first_process
from maskwright.config import explain
from maskwright.errors import MaskwrightError, Stopped, explain_os_error
from maskwright.report.terminal import console

__all__ = ["app", "main", "run"]

app = cyclopts.App(
    name="maskwright",
    help="An encoder workshop: your text in, a small, fast BERT that you own out.",
    version=__version__,
    help_epilogue="Start with: maskwright quickstart",
)
app.command(quickstart.quickstart)
app.command(doctor.doctor)
app.command(tokenizer.app)
app.command(corpus.app)
app.command(pretrain.pretrain)
app.command(fill.fill)
app.command(generate.generate)
app.command(check_data.check_data)
app.command(convert_data.convert_data)
app.command(finetune.finetune)
app.command(glue.glue)
app.command(similarity.similarity)
app.command(mine.mine)
app.command(sts.sts)
app.command(few_shot.few_shot)
app.command(zero_shot.zero_shot)
app.command(evaluate.evaluate)
app.command(predict.predict)
app.command(probe.probe)
app.command(study.app)
app.command(params.params)
app.command(families.families)
app.command(convert.convert)
app.command(vectors.app)
app.command(verify.verify)
app.command(report.report)
app.command(bench.bench)


def run(tokens: Sequence[str]) -> int:
    """Run one command line and return its exit code; errors are printed on stderr."""
    try:
        app(_with_recipe(list(tokens)), exit_on_error=False, print_error=False, result_action="return_value")
    except cyclopts.ValidationError as error:
        cause = error.__cause__
        if isinstance(cause, pydantic.ValidationError):
            model = next(m for m in _models() if m.__name__ == cause.title)
            return _say(str(explain(model, cause)), 1)
        return _say(str(error), 1)
    except cyclopts.CycloptsError as error:
        known = bool(tokens) and tokens[0] in app
        verb = f"maskwright {tokens[0]}" if known else "maskwright"
        return _say(f"{' '.join(str(error).split())}  ({verb} --help lists what there is)", 2)
    except Stopped as error:
        return _say(str(error), error.exit_code) if first_process() else error.exit_code
    except MaskwrightError as error:
        return _say(str(error), error.exit_code)
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0
    except OSError as error:
        return _say(str(explain_os_error(error, "the system refused:")), 1)
    except KeyboardInterrupt:
        return _say("stopped", 130)
    except Exception:
        with tempfile.NamedTemporaryFile("w", prefix="maskwright-fault-", suffix=".txt", delete=False) as file:
            file.write(traceback.format_exc())
        last = traceback.format_exc().strip().splitlines()[-1]
        return _say(f"a fault of Maskwright's own: {last}\nThe details are in {file.name}; please report them.", 3)
    return 0


def main() -> None:
    """Entry point of the ``maskwright`` command."""
    sys.exit(run(sys.argv[1:]))


def _models() -> list[type[pydantic.BaseModel]]:
    from maskwright.config import FinetuneConfig, GlueConfig, PretrainConfig
    from maskwright.studies.nsp_sop_config import NspSopConfig
    from maskwright.tasks.few_config import FewShotConfig
    from maskwright.tasks.similar_config import SimilarityConfig

    return [PretrainConfig, FinetuneConfig, GlueConfig, SimilarityConfig, FewShotConfig, NspSopConfig]


_RECIPES = ("pretrain", "finetune", "glue", "similarity", "few-shot", "zero-shot")
"""Verbs that take --recipe."""


def _with_recipe(tokens: list[str]) -> list[str]:
    """Take ``--recipe FILE`` out and let its fields be the command's defaults; options still win."""
    if not tokens or tokens[0] not in _RECIPES:
        return tokens
    app[tokens[0]].config = ()  # of a command line before this one in the same process
    if "--recipe" not in tokens[1:-1]:
        return tokens
    from pathlib import Path

    from maskwright.config import read_recipe

    at = tokens.index("--recipe")
    values = read_recipe(Path(tokens[at + 1]))
    app[tokens[0]].config = (cyclopts.config.Dict(values, use_commands_as_keys=False, source=tokens[at + 1]),)
    return tokens[:at] + tokens[at + 2 :]


def _say(text: str, code: int) -> int:
    # Plain, and not wrapped: a message is often copied into a search or piped into a file.
    out = console(stderr=True)
    out.print("maskwright: ", style="bold red", end="")
    out.print(text, soft_wrap=True)
    return code
