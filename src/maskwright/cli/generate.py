"""``maskwright generate``."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Literal

from maskwright.report.terminal import key_values, show

__all__ = ["generate"]


def generate(
    model: str,
    /,
    *texts: str,
    file: Path | None = None,
    out: Path | None = None,
    method: Literal["greedy", "beam", "draw"] = "greedy",
    most: int | None = None,
    beams: int | None = None,
    outputs: int | None = None,
    length_penalty: float | None = None,
    temperature: float | None = None,
    top_k: int | None = None,
    top_p: float | None = None,
    seed: int | None = None,
) -> None:
    """Let a model write: a language model continues each text, an encoder-decoder turns it into another.

    Parameters
    ----------
    model
        Folder or org/name of a model with a language model head.
    texts
        Texts to continue, or to turn into others.
    file
        File with one text a line, instead of texts here.
    out
        File for the outputs, .jsonl, instead of the terminal.
    method
        greedy: the likeliest token every time; beam: the best of several continuations; draw: tokens by their probabilities.
    most
        Tokens to write at most.  Default: 64.
    beams
        Continuations that a beam search follows.  Default: 4.
    outputs
        Outputs of each text, of a beam search or of drawing.  Default: 1.
    length_penalty
        Of a beam search: log-probabilities are divided by length to this power.  Default: 1.
    temperature
        Of drawing: what scores are divided by, below 1 bolder.  Default: 1.
    top_k
        Draw from so many of the likeliest tokens.  Default: all.
    top_p
        Draw from the fewest likeliest tokens whose probabilities make this much.  Default: 1.
    seed
        Of drawing; the same seed draws the same.  Default: 0.
    """
    from maskwright.errors import InputError

    if bool(texts) == (file is not None):
        raise InputError("generate: give texts to continue, or a --file with one a line")
    from maskwright.corpus.encoding import decode
    from maskwright.model import load
    from maskwright.writing.generate import BeamConfig, DrawConfig, GreedyConfig
    from maskwright.writing.generate import generate as write

    kinds: dict[str, type[GreedyConfig] | type[BeamConfig] | type[DrawConfig]] = {
        "greedy": GreedyConfig,
        "beam": BeamConfig,
        "draw": DrawConfig,
    }
    options = {
        "most": most, "beams": beams, "outputs": outputs, "length_penalty": length_penalty, "temperature": temperature,
        "top_k": top_k, "top_p": top_p, "seed": seed,
    }  # fmt: skip
    chosen = {name: value for name, value in options.items() if value is not None}
    for name in chosen.keys() - kinds[method].model_fields.keys():
        use = " or ".join(kind for kind, config in kinds.items() if name in config.model_fields)
        raise InputError(f"--{name.replace('_', '-')} does nothing with --method {method}; it is for --method {use}")
    config = kinds[method].of(chosen)
    given = texts if file is None else tuple(decode(file.read_bytes())[0].splitlines())
    found = write(load(model), given, config)
    if out is not None:
        rows = [
            {"text": text, "output": each.text, "log_probability": round(each.log_probability, 6), "ended": each.ended}
            for text, lines in zip(given, found, strict=True)
            for each in lines
        ]
        out.write_text("".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows), "utf-8")
        show(f"{len(rows):,} outputs in {out}")
        return
    for text, lines in zip(given, found, strict=True):
        for each in lines:
            end = "" if each.ended else " …"
            show(
                key_values(
                    {"text": text, "output": each.text + end, "log-probability": f"{each.log_probability:.2f} nats"}
                )
            )
