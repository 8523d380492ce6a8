"""``maskwright params``."""

from __future__ import annotations

from pathlib import Path

from maskwright.report.terminal import show, size, table

__all__ = ["params"]


def params(model: str, *, heads: str | None = None) -> None:
    """Show where a model's parameters are: each part's closed form and its count.

    Parameters
    ----------
    model
        A published size such as bert-base-uncased, or a model folder; ``maskwright families`` lists the sizes.
    heads
        Heads to count for a published size, with commas: pooler, mlm, nsp, classify.  A folder has its own.  Default: those
        of the architecture's class without a task.
    """
    from maskwright.errors import ConfigError, did_you_mean
    from maskwright.families import FAMILIES

    families = [entry.load() for entry in FAMILIES]
    presets = {name: (family, spec) for family in families for name, spec in family.presets.items()}
    if model in presets:
        family, spec = presets[model]
        named = family.architectures[family.base] if heads is None else filter(None, heads.split(","))
        counted = dict.fromkeys(named, 2)
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
    v, d, e = spec.vocabulary, spec.width, spec.embed.table_width
    positions = f"  P = {spec.embed.positions:,}" if spec.embed.positions else ""
    letters = f"V = {v:,}  D = {d:,}{positions}" + (f"  E = {e:,}" if spec.embed.narrow else "")
    show(f"{letters}  fp32 {size(4 * total)}  bf16 {size(2 * total)}  int8 {size(total)}")
    if repeated := len(spec.stack.order) - spec.stack.blocks:
        stack = sum(count for _, count in spec.stack.parameters().values())
        unshared = total + stack * repeated // spec.stack.blocks
        layers = len(spec.stack.order)
        show(f"{spec.stack.blocks} blocks compute {layers} layers; unshared there would be {unshared:,} parameters")
    if spec.embed.narrow:
        show(f"token embeddings of width E, widened: {v * e + e * d + d:,}; of width D: {v * d:,}")
    length = min(512, spec.longest)
    show(f"forward pass without heads: {spec.flops(length) / 1e6:,.1f} MFLOP a token, in sequences of {length} tokens")
    if model in family.published:
        show(f"published: {family.published[model]}")
    if built is not None:
        show(f"built: {built:,} ({'as predicted' if built == total else 'NOT as predicted'})")
