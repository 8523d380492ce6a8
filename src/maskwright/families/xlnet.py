"""XLNet: attention over relative distances, in two streams, for words predicted in any order.

Paper: Yang et al. 2019, https://arxiv.org/abs/1906.08237; relative positions and memory: Dai et al. 2019,
https://arxiv.org/abs/1901.02860, section 3.3.
Differs from BERT: no position or segment table; a score adds up what two tokens say, how far they are apart and whether
they are of one segment, each with a bias of the query's own; no LayerNorm on the embeddings; dropout inside the feed-forward
network too; [CLS] stands last.  For prediction there is a second stream: targets that know their place and not their word.
Targets look with the same weights at the same keys, so here both streams are one attention with S + M queries a sequence.
Deliberate differences: dropout of the distances is drawn once a batch, not once a sequence; nothing looks at padding, not even
a target that may look at nothing else.  Left out: the beam search head for answers.  Layouts: grid only.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

import torch
from torch import Tensor, nn

from maskwright.errors import CheckpointError, ConfigError
from maskwright.families.base import Family, HeadKind, KeyRow, Net, Spec
from maskwright.families.config import Fields, check, encoder_spec
from maskwright.families.heads import both, dense_scores, head_rate, scores
from maskwright.nn.embed import Embed, EmbedSpec
from maskwright.nn.heads import NextToken
from maskwright.nn.layout import Grid, Layout, Read
from maskwright.nn.past import Past
from maskwright.nn.relative import Look, RelativeBlock, RelativeBlockSpec
from maskwright.nn.stack import StackSpec

__all__ = ["XLNET", "TokenEmbed", "TokenEmbedSpec", "XLNetNet", "XLNetSpec", "xlnet_spec"]

_LONGEST = 65_536
"""No table ends at any length; attention weights of one sequence this long would take 17 GB a head."""
_ALL = Look()


@dataclass(frozen=True, kw_only=True)
class TokenEmbedSpec(EmbedSpec):
    """A table of tokens, and what stands for a word to be predicted; places and segments are told apart in the blocks."""

    def parameters(self) -> dict[str, tuple[str, int]]:
        """Part -> (closed form, count)."""
        v, d = self.vocabulary, self.width
        return {"token embeddings": (f"V·D = {v:,}·{d:,}", v * d), "embedding of a target": ("D", d)}

    def build(self) -> TokenEmbed:
        """Return the module that this describes."""
        return TokenEmbed(self)


class TokenEmbed(Embed):
    """Token table and dropout."""

    def __init__(self, spec: EmbedSpec) -> None:
        super().__init__(replace(spec, segments=0))
        self.target = nn.Parameter(torch.zeros(1, spec.width))


@dataclass(frozen=True, kw_only=True)
class XLNetSpec(Spec):
    """An XLNet, where it looks and what it remembers."""

    look: Look = _ALL
    memory: int | None = None
    """Places that are remembered for the next segment; None or 0: all."""
    reuse: int | None = None
    """Of each segment only the first so many are remembered; None or 0: all."""

    def build(self) -> XLNetNet:
        """Return the network that this describes."""
        return XLNetNet(self)


class XLNetNet(Net):
    """The network; an ordinary call runs the tokens' stream alone."""

    spec: XLNetSpec
    embed: TokenEmbed

    def __init__(self, spec: XLNetSpec) -> None:
        super().__init__(spec)
        for layer, block in enumerate(self.stack.blocks):
            assert isinstance(block, RelativeBlock)
            block.layer = layer

    def forward(
        self,
        ids_T: Tensor,
        positions_T: Tensor,
        segments_T: Tensor,
        layout: Layout,
        past: Past | None = None,
        read: Read | None = None,
    ) -> list[Tensor]:
        """Hidden states as of every family, from a Grid.  positions_T is not read: distances are between places of the grid."""
        assert past is None, "what was read before is given to two_streams"
        return self.two_streams(ids_T, segments_T, layout)[0]

    def two_streams(
        self,
        ids_T: Tensor,
        segments_T: Tensor,
        layout: Layout,
        *,
        unseen_BSS: Tensor | None = None,
        targets_BM: Tensor | None = None,
        memory: Sequence[Tensor] = (),
    ) -> tuple[list[Tensor], list[Tensor]]:
        """Return layers + 1 states of the tokens, (T, D), and as many of the targets, (B·M, D).

        unseen_BSS: bool, [b, i, j] True where place i may not look at j; a token sees itself in any case, a target only where
        its place may.  targets_BM: int64 places whose words are to be predicted.  memory: of the segment before, from
        ``remember``; it is seen by all.

        Raises ConfigError for a layout that is no Grid, and for an odd number of sequences where half are read backwards.
        """
        if not isinstance(layout, Grid):
            raise ConfigError(
                f"xlnet: the layout is {type(layout).__name__}; relative attention works on a Grid only. "
                "Model.states(batch) lays a ragged batch out as one"
            )
        if self.spec.look.both_ways and layout.batch % 2:
            raise ConfigError(
                f"xlnet: bi_data is true, so the second half of a batch is read backwards, and {layout.batch} sequences have "
                "no half; give an even number, or set bi_data false in config.json, as is usual but in pre-training"
            )
        b, s, d = layout.batch, layout.length, self.spec.width
        scene = self.spec.look.scene(
            segments_T.view(b, s), layout.key_mask, d, targets_BM=targets_BM, unseen_BSS=unseen_BSS, memory=memory
        )
        scene = replace(scene, far_GPD=self.embed.dropout(scene.far_GPD))
        x_BQD = self.embed(ids_T, ids_T, segments_T).view(b, s, d)
        if targets_BM is not None:
            targets_BMD = self.embed.dropout(self.embed.target.expand(*targets_BM.shape, d))
            x_BQD = torch.cat([x_BQD, targets_BMD], 1)
        states = [state.view(b, -1, d) for state in self.stack(x_BQD.flatten(0, 1), ids_T, scene)]
        states[-1] = self.embed.dropout(states[-1])
        return [each[:, :s].reshape(-1, d) for each in states], [each[:, s:].reshape(-1, d) for each in states]

    def remember(self, states: Sequence[Tensor], layout: Grid, memory: Sequence[Tensor] = ()) -> tuple[Tensor, ...]:
        """Return the memory for the next segment: for each layer (B, L, D), without gradient.

        states: the tokens' states of this segment; memory: what was given to it.

        Raises ConfigError where a place to be remembered is padding: everything looks at memory.
        """
        if layout.key_mask is not None and not layout.key_mask[:, : self.spec.reuse or None].all():
            raise ConfigError(
                "xlnet: a segment with padding cannot be remembered, since the next one looks at all of it; give full segments"
            )
        kept = []
        for layer, state in enumerate(states[:-1]):
            fresh = state.view(layout.batch, layout.length, -1)[:, : self.spec.reuse or None]
            whole = torch.cat([memory[layer], fresh], 1) if memory else fresh
            kept.append(whole[:, -(self.spec.memory or 0) :].detach())
        return tuple(kept)

    def initialise(self, module: nn.Module | None = None) -> None:
        """Give fresh weights; what attention adds to queries starts from the normal distribution too, as in the reference."""
        super().initialise(module)
        drawn = ("target", "to_words", "to_distances", "to_segments", "segments")
        for name, parameter in (self if module is None else module).named_parameters():
            if name.split(".")[-1] in drawn:
                nn.init.normal_(parameter, std=self.spec.initializer_range)


def xlnet_spec(
    *,
    dropout: float = 0.1,
    attention_dropout: float | None = None,
    head_dropout: float = 0.1,
    positions: int | None = None,
    look: Look = _ALL,
    memory: int | None = None,
    reuse: int | None = None,
    **sizes: Any,
) -> XLNetSpec:
    """Return the spec of an XLNet: BERT's arguments and the fields of ``XLNetSpec``.

    positions: has no effect, for there is no table of them: sequences may be of any length.

    Raises ConfigError for an odd width, and for another dropout rate in attention than elsewhere: there is one for both.
    """
    if attention_dropout not in (None, dropout):
        raise ConfigError(
            f"xlnet: attention_dropout {attention_dropout} beside dropout {dropout}; this architecture has one rate for both"
        )
    rates: dict[str, Any] = dict.fromkeys(("dropout", "attention_dropout", "inner_dropout"), dropout)
    like = encoder_spec("xlnet", positions=_LONGEST, segments=3, embed_norm=False, **rates, **sizes)
    if like.width % 2:
        raise ConfigError(f"xlnet: width {like.width} is odd; distances are pairs of a sine and a cosine")
    return XLNetSpec(
        family="xlnet",
        embed=TokenEmbedSpec(**vars(replace(like.embed, position="none"))),
        stack=StackSpec(layers=like.stack.layers, block=RelativeBlockSpec(**vars(like.stack.block))),
        initializer_range=like.initializer_range,
        head_dropout=head_dropout,
        look=look,
        memory=memory,
        reuse=reuse,
    )


_FIELDS = Fields(
    title="XLNet",
    names={
        "vocab_size": "vocabulary",
        "d_model": "width",
        "n_layer": "layers",
        "n_head": "heads",
        "d_inner": "feed_forward",
        "ff_activation": "activation",
        "dropout": "dropout",
        "layer_norm_eps": "norm_eps",
        "initializer_range": "initializer_range",
        "summary_last_dropout": "head_dropout",
    },
    defaults={"vocab_size": 32000, "d_model": 1024, "n_layer": 24, "n_head": 16, "d_inner": 4096},
    fixed={"untie_r": True, "summary_type": "last", "summary_use_proj": True, "summary_activation": "tanh"},
)
_EFFECTLESS = {"start_n_top", "end_n_top", "use_mems_eval", "use_mems_train"}
"""Of the head that is left out; and whether memory is used, which is the caller's choice here."""


def _read(config: Mapping[str, Any]) -> Spec:
    values = _FIELDS.read(config)
    for name, known in (("attn_type", ("bi", "uni")), ("bi_data", (False, True)), ("same_length", (False, True))):
        value = config.get(name, known[0])
        if type(value) is not type(known[0]) or value not in known:
            raise CheckpointError(f"config.json: {name} is {value!r}; known: {known[0]!r}, {known[1]!r}")
    if (each := config.get("d_head")) not in (None, values["width"] // values["heads"]):
        raise CheckpointError(f"config.json: d_head is {each!r}; Maskwright's XLNet has d_model / n_head only")
    if values["width"] % 2:
        raise CheckpointError(
            f"config.json: d_model is {values['width']}, which is odd; sines and cosines come in pairs"
        )
    memory, reuse, clamp = config.get("mem_len", 512), config.get("reuse_len"), config.get("clamp_len", -1)
    for name, value, least in (("mem_len", memory, 0), ("reuse_len", reuse, 0), ("clamp_len", clamp, -1)):
        check(name, value, "memory", least)
    return xlnet_spec(
        **values,
        look=Look(
            causal=config.get("attn_type") == "uni",
            same_length=config.get("same_length", False),
            both_ways=config.get("bi_data", False),
            clamp=clamp if clamp and clamp > 0 else None,
        ),
        memory=memory,
        reuse=reuse,
    )


def _write(spec: Spec) -> dict[str, Any]:
    assert isinstance(spec, XLNetSpec)
    return _FIELDS.write(spec) | {
        "d_head": spec.width // spec.stack.block.heads,
        "attn_type": "uni" if spec.look.causal else "bi",
        "bi_data": spec.look.both_ways,
        "clamp_len": spec.look.clamp or -1,
        "same_length": spec.look.same_length,
        "mem_len": spec.memory,
        "reuse_len": spec.reuse,
    }


def _by_heads(spec: Spec, part: Tensor) -> Tensor:
    """Their vectors lie as (N, H) behind what else there is."""
    return part.view(*part.shape[:-1], spec.stack.block.heads, -1)


def _turned(spec: Spec, part: Tensor) -> Tensor:
    """Their matrices lie as (D in, N, H)."""
    return _by_heads(spec, part.T)


_LAYER, _OURS = "transformer.layer.{layer}", "stack.blocks.{layer}"
_ATTENTION = f"{_LAYER}.rel_attn"
_summary = partial(
    dense_scores,
    dense="sequence_summary.summary",
    theirs="logits_proj",
    reads=lambda spec: "last",
    activation=lambda spec: "tanh",
    rate=head_rate,
)

XLNET = Family(
    name="xlnet",
    model_type="xlnet",
    paper="https://arxiv.org/abs/1906.08237",
    layouts=frozenset({"grid"}),
    read_config=_read,
    write_config=_write,
    new_spec=xlnet_spec,
    presets={
        "xlnet-base-cased": xlnet_spec(vocabulary=32000, width=768, layers=12, heads=12),
        "xlnet-large-cased": xlnet_spec(vocabulary=32000, width=1024, layers=24, heads=16),
    },
    published={
        "xlnet-base-cased": "110M in the transformers library's list, which is BERT's figure; none in the paper",
        "xlnet-large-cased": "340M in the transformers library's list, which is BERT's figure; the paper calls it similar",
    },
    keys=(
        KeyRow("embed.token.weight", ("transformer.word_embedding.weight",)),
        KeyRow("embed.target", ("transformer.mask_emb",), view=lambda spec, part: part[None]),
        KeyRow(f"{_OURS}.qkv.weight", tuple(f"{_ATTENTION}.{part}" for part in "qkv"), view=_turned),
        KeyRow(f"{_OURS}.out.weight", (f"{_ATTENTION}.o",), view=_by_heads),
        KeyRow(f"{_OURS}.distance.weight", (f"{_ATTENTION}.r",), view=_turned),
        KeyRow(f"{_OURS}.to_words", (f"{_ATTENTION}.r_w_bias",), view=_by_heads),
        KeyRow(f"{_OURS}.to_distances", (f"{_ATTENTION}.r_r_bias",), view=_by_heads),
        KeyRow(f"{_OURS}.to_segments", (f"{_ATTENTION}.r_s_bias",), view=_by_heads),
        KeyRow(f"{_OURS}.segments", (f"{_ATTENTION}.seg_embed",), view=_by_heads),
        *both(f"{_OURS}.attend_norm", f"{_ATTENTION}.layer_norm"),
        *both(f"{_OURS}.up", f"{_LAYER}.ff.layer_1"),
        *both(f"{_OURS}.down", f"{_LAYER}.ff.layer_2"),
        *both(f"{_OURS}.feed_norm", f"{_LAYER}.ff.layer_norm"),
    ),
    heads={
        "plm": HeadKind(
            build=lambda net, outputs: NextToken(net.embed.token, bias=True),
            parameters=lambda spec, outputs: {
                "LM head: bias (weights tied to the token embeddings)": ("V", spec.vocabulary)
            },
            keys=(KeyRow("heads.plm.bias", ("lm_loss.bias",)),),
        ),
        "classify": _summary("classify", what="classification head"),
        "tokens": scores("tokens", "classifier", what="token classification head", reads="tokens"),
        "answers": scores("answers", "qa_outputs", what="question answering head", reads="tokens", fixed=2),
        "choice": _summary("choice", what="multiple choice head", fixed=1),
    },
    architectures={
        "XLNetModel": frozenset(),
        "XLNetLMHeadModel": frozenset({"plm"}),
        "XLNetForSequenceClassification": frozenset({"classify"}),
        "XLNetForTokenClassification": frozenset({"tokens"}),
        "XLNetForQuestionAnsweringSimple": frozenset({"answers"}),
        "XLNetForMultipleChoice": frozenset({"choice"}),
    },
    base="XLNetModel",
    prefix="transformer.",
    tied={"lm_loss.weight": "transformer.word_embedding.weight"},
    known=frozenset({*_EFFECTLESS, *_FIELDS.fixed}),
)
