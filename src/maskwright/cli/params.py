"""``maskwright params``."""

from __future__ import annotations

from pathlib import Path

from maskwright.report.terminal import show, size, table

__all__ = ["params"]


def params(model: str, *, heads: str = "pooler") -> None:
    """Show where a model's parameters are: each part's closed form and its count.

    Parameters
    ----------
    model
        A published size such as bert-base-uncased, or a model folder.
    heads
        Heads to count for a published size, with commas: pooler, mlm, nsp, classify.  A folder has its own.
    """
    from maskwright.errors import ConfigError, did_you_mean
    from maskwright.families import FAMILIES

    families = [entry.load() for entry in FAMILIES]
    presets = {name: (family, spec) for family in families for name, spec in family.presets.items()}
    if model in presets:
        family, spec = presets[model]
        counted = {name: 2 for name in heads.split(",") if name}
        if unknown := [name for name in counted if name not in family.heads]:
            raise ConfigError(f"--heads: {family.name} has no {unknown[0]!r} head; it has {', '.join(family.heads)}")
        built = None
    elif Path(model).expanduser().is_dir() or "/" in model:
        from maskwright.model import load

        loaded = load(model)
        family, spec = loaded.family, loaded.spec
        counted = loaded.net.head_outputs()
        built = sum(parameter.numel() for parameter in loaded.net.parameters())
    else:
        hint = did_you_mean(model, presets)
        raise ConfigError(f"no published size or folder {model!r}.{hint} Sizes: {', '.join(presets)}")
    parts = family.parameters(spec, counted)
    total = sum(count for _, count in parts.values())
    rows = [(part, form, f"{count:,}") for part, (form, count) in parts.items()]
    show(table(f"Parameters of {model}", ["part", "closed form", "count"], [*rows, ("total", "", f"{total:,}")]))
    letters = f"V = {spec.vocabulary:,}  D = {spec.width:,}  P = {spec.embed.positions:,}"
    show(f"{letters}  fp32 {size(4 * total)}  bf16 {size(2 * total)}")
    if built is not None:
        show(f"built: {built:,} ({'as predicted' if built == total else 'NOT as predicted'})")
