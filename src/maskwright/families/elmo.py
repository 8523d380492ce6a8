"""ELMo: words from their characters, then a language model in each direction.

Paper: Peters et al. 2018, https://arxiv.org/abs/1802.05365; names and numbers of its files: bilm-tf and AllenNLP.
Differs from BERT in everything: tokens are words and come as 50 characters each; no positions, no attention; two stacks of
LSTMs, of which one knows what came before and the other what comes after.  Hidden state 0 is the word's vector alone, twice.
Layouts: ragged only.  Not compiled: its loop has as many steps as the longest sequence.
Deliberate difference: nothing is remembered from batch to batch unless a caller carries it; see ``ElmoNet.go_on``.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

from torch import Tensor, nn

from maskwright.errors import CheckpointError, ConfigError
from maskwright.families.base import Family, HeadKind, KeyRow, Net, Spec, Theirs
from maskwright.families.config import check
from maskwright.families.heads import head_rate, scores
from maskwright.nn.bilm import NeighbourWords, ScalarMix
from maskwright.nn.layout import Layout, Ragged, Read
from maskwright.nn.lstm import BiLstm, BiLstmSpec, LstmLayer, LstmSpec, LstmState
from maskwright.nn.past import Past
from maskwright.nn.spelling import Spelling, SpellingSpec

__all__ = ["ELMO", "ElmoNet", "ElmoSpec", "elmo_spec"]

CHARACTERS, WORD_LENGTH = 262, 50
"""Ids of characters, and characters a word; see text/characters.py."""
PUBLISHED_FILTERS = ((1, 32), (2, 32), (3, 64), (4, 128), (5, 256), (6, 512), (7, 1024))
_NO_LIMIT = 1 << 30


@dataclass(frozen=True, kw_only=True)
class ElmoSpec(Spec):
    """An ELMo."""

    embed: SpellingSpec
    stack: BiLstmSpec

    @property
    def longest(self) -> int:
        """No place has a limit."""
        return _NO_LIMIT

    def flops(self, length: int) -> int:
        """Floating-point operations a token in the forward pass without heads; equal words are counted each time."""
        return 2 * (self.embed.multiplications() + self.stack.multiplications(length))

    def build(self) -> ElmoNet:
        """Return the network that this describes."""
        return ElmoNet(self)


class ElmoNet(Net):
    """The network, whose ``forward`` begins every sequence anew."""

    spec: ElmoSpec
    stack: BiLstm

    def forward(
        self,
        ids_T: Tensor,
        positions_T: Tensor,
        segments_T: Tensor,
        layout: Layout,
        past: Past | None = None,
        read: Read | None = None,
    ) -> list[Tensor]:
        """(T, 50) int64 ids and their layout -> layers + 1 hidden states of (T, D), and their mixture if there is a ``mix``.

        ConfigError for a layout that is not ragged, and for ids of another shape.
        """
        return self.go_on(ids_T, layout, None)[0]

    def go_on(self, ids_T: Tensor, layout: Layout, state: LstmState | None) -> tuple[list[Tensor], LstmState]:
        """Read a batch whose sequences go on from those of the batch before: row b of the state belongs to sequence b.

        Returns what ``forward`` returns, and the state for the next batch; None: begin anew.  The published models were
        trained so, and AllenNLP runs them so, so that what it gives for a text depends on the texts before.
        """
        if not isinstance(layout, Ragged):
            raise ConfigError(
                "elmo takes the ragged layout only: call model.encode(texts), or model.states(batch) with a batch "
                "laid end to end"
            )
        if ids_T.dim() != 2 or ids_T.shape[1] != self.spec.embed.characters:
            raise ConfigError(
                f"elmo reads (T, {self.spec.embed.characters}) characters of words, not ids of shape {tuple(ids_T.shape)}; "
                "its tokenizer is maskwright.text.characters.CharacterTokenizer"
            )
        states, state = self.stack.run(self.embed(ids_T, ids_T, ids_T), layout, state)
        if "mix" in self.heads:
            states.append(self.heads["mix"](states, layout))
        return states, state

    def head_outputs(self) -> dict[str, int]:
        """Return head -> outputs, of the language model its words."""
        found = super().head_outputs()
        return found | {name: len(head.bias) for name, head in self.heads.items() if isinstance(head, NeighbourWords)}

    def initialise(self, module: nn.Module | None = None) -> None:
        """Give fresh weights to one part, or to the whole, as bilm-tf does; to heads as the other families do."""
        super().initialise(module)
        for part in (self if module is None else module).modules():
            if isinstance(part, Spelling | LstmLayer | ScalarMix | NeighbourWords):
                part.initialise()


def elmo_spec(
    *,
    vocabulary: int = CHARACTERS,
    width: int,
    layers: int = 2,
    heads: int = 0,
    feed_forward: int | None = None,
    positions: int = 0,
    dropout: float = 0.1,
    attention_dropout: float = 0.0,
    head_dropout: float = 0.5,
    initializer_range: float = 0.02,
    filters: tuple[tuple[int, int], ...] | None = None,
    character_width: int = 16,
    highways: int = 2,
    activation: str = "relu",
    cell_clip: float | None = 3.0,
    projection_clip: float | None = 3.0,
    skip: bool = True,
) -> ElmoSpec:
    """Return the spec of an ELMo.

    width: D, of both directions together; feed_forward: F, of a cell, by default four times D; filters: by default as many for
    the width as the original has (the published smaller ones have no fewer than it).  ``heads``, ``positions`` and
    ``attention_dropout`` are what other encoders have, and mean nothing here.  ConfigError for other characters than ours.
    """
    if vocabulary != CHARACTERS:
        raise ConfigError(
            f"vocabulary: elmo reads {CHARACTERS} characters, not {vocabulary:,} pieces; it needs a tokenizer of characters"
        )
    cell = feed_forward or 4 * width
    if width % 2 or cell <= width // 2:
        raise ConfigError(
            f"width {width} and feed_forward {cell}: elmo's width is that of two directions, and a cell is wider than one"
        )
    embed = SpellingSpec(
        vocabulary=vocabulary,
        width=width,
        characters=WORD_LENGTH,
        character_width=character_width,
        filters=filters or tuple((wide, max(1, count * width // 1024)) for wide, count in PUBLISHED_FILTERS),
        activation=activation,
        highways=highways,
    )
    block = LstmSpec(
        width=width, feed_forward=cell, dropout=dropout, cell_clip=cell_clip, projection_clip=projection_clip
    )
    return ElmoSpec(
        family="elmo",
        embed=embed,
        stack=BiLstmSpec(layers=layers, block=block, skip=skip),
        initializer_range=initializer_range,
        head_dropout=head_dropout,
    )


_FIELDS: dict[str, tuple[str, Callable[[ElmoSpec], Any]]] = {
    "n_characters": ("vocabulary", lambda spec: spec.embed.vocabulary),
    "hidden_size": ("width", lambda spec: spec.width),
    "num_hidden_layers": ("layers", lambda spec: spec.stack.layers),
    "cell_size": ("feed_forward", lambda spec: spec.stack.block.feed_forward),
    "character_size": ("character_width", lambda spec: spec.embed.character_width),
    "filters": ("filters", lambda spec: [list(each) for each in spec.embed.filters]),
    "n_highway": ("highways", lambda spec: spec.embed.highways),
    "activation": ("activation", lambda spec: spec.embed.activation),
    "cell_clip": ("cell_clip", lambda spec: spec.stack.block.cell_clip),
    "proj_clip": ("projection_clip", lambda spec: spec.stack.block.projection_clip),
    "use_skip_connections": ("skip", lambda spec: spec.stack.skip),
    "dropout": ("dropout", lambda spec: spec.stack.block.dropout),
    "head_dropout": ("head_dropout", lambda spec: spec.head_dropout),
    "initializer_range": ("initializer_range", lambda spec: spec.initializer_range),
}
"""Field of config.json -> argument of ``elmo_spec``, and where it stands in the spec.  All must be there."""


def _read(config: Mapping[str, Any]) -> ElmoSpec:
    values: dict[str, Any] = {}
    if missing := [name for name in (*_FIELDS, "max_characters_per_token") if name not in config]:
        raise CheckpointError(f"config.json: an elmo's has {', '.join(missing)}, which are not there")
    for name, (ours, _) in _FIELDS.items():
        value = config[name]
        if ours == "filters":
            value = _filters(value)
        elif ours in ("cell_clip", "projection_clip"):
            if value is not None and (isinstance(value, bool) or not isinstance(value, int | float) or value <= 0):
                raise CheckpointError(
                    f"config.json: {name} is {value!r}; a number above 0, or null for none, is expected"
                )
            value = None if value is None else float(value)
        elif ours == "skip":
            if not isinstance(value, bool):
                raise CheckpointError(f"config.json: {name} is {value!r}; true or false is expected")
        elif value is None:
            raise CheckpointError(f"config.json: {name} is null; a value is expected")
        else:
            check(name, value, ours, least=0 if ours == "highways" else 1)
        values[ours] = value
    if config["max_characters_per_token"] != WORD_LENGTH:
        raise CheckpointError(
            f"config.json: max_characters_per_token is {config['max_characters_per_token']!r}; Maskwright's elmo has "
            f"{WORD_LENGTH} only"
        )
    if values["layers"] > 1_000 or values["highways"] > 1_000:
        raise CheckpointError(
            f"config.json: num_hidden_layers {values['layers']:,} and n_highway {values['highways']:,}; "
            "no more than 1,000 are read"
        )
    try:
        return elmo_spec(**values)
    except ConfigError as error:
        raise CheckpointError(f"config.json: {error}") from None


def _filters(value: object) -> tuple[tuple[int, int], ...]:
    if (
        not isinstance(value, list)
        or not 0 < len(value) <= WORD_LENGTH
        or not all(isinstance(each, list) and len(each) == 2 for each in value)
        or not all(type(number) is int and number > 0 for each in value for number in each)
        or max(wide for wide, _ in value) > WORD_LENGTH
    ):
        raise CheckpointError(
            f"config.json: filters is {str(value)[:80]}; a list of [characters, how many] is expected, none over "
            f"{WORD_LENGTH} wide"
        )
    return tuple((wide, count) for wide, count in value)


def _write(spec: Spec) -> dict[str, Any]:
    assert isinstance(spec, ElmoSpec)
    return {name: get(spec) for name, (_, get) in _FIELDS.items()} | {"max_characters_per_token": spec.embed.characters}


@dataclass(frozen=True)
class _Numbered(KeyRow):
    """A row for each filter or highway: ``{n}`` stands for its number."""

    count: Callable[[ElmoSpec], int] = lambda spec: 1

    def written_out(self, spec: Spec) -> dict[str, Theirs]:
        """Our name -> theirs."""
        assert isinstance(spec, ElmoSpec)
        view = partial(self.view, spec)
        return {
            self.ours.format(n=n): Theirs(tuple(name.format(n=n) for name in self.theirs), view)
            for n in range(self.count(spec))
        }


def _only(spec: Spec, part: Tensor) -> Tensor:
    """One direction, or one of a highway's two, whose first dimension is not in the files."""
    return part[0]


_filter = partial(_Numbered, count=lambda spec: len(spec.embed.filters))
_highway = partial(_Numbered, count=lambda spec: spec.embed.highways)
_CELL = "RNN.MultiRNNCell.Cell{layer}.LSTMCell"


def _both_ways(ours: str, theirs: str, view: Callable[[Spec, Tensor], Tensor] = _only) -> KeyRow:
    return KeyRow(f"stack.blocks.{{layer}}.{ours}", tuple(f"RNN_{n}.{_CELL}.{theirs}" for n in (0, 1)), view=view)


def _mix_parameters(spec: Spec, outputs: int) -> dict[str, tuple[str, int]]:
    layers = spec.stack.layers + 1
    return {"mixture of the layers": (f"{layers} + 1", layers + 1)}


def _bilm_parameters(spec: Spec, outputs: int) -> dict[str, tuple[str, int]]:
    count = outputs * (spec.width // 2 + 1)
    return {"words before and after": (f"C·D/2 + C, C = {outputs}", count)}


_MIX = HeadKind(
    build=lambda net, outputs: ScalarMix(net.spec.stack.layers + 1),
    parameters=_mix_parameters,
    keys=(KeyRow("heads.mix.weights", ("scalar_mix.weights",)), KeyRow("heads.mix.gamma", ("scalar_mix.gamma",))),
)
_BILM = HeadKind(
    build=lambda net, outputs: NeighbourWords(net.spec.width, outputs, net.spec.stack.block.dropout),
    parameters=_bilm_parameters,
    keys=(KeyRow("heads.bilm.weight", ("softmax.W",)), KeyRow("heads.bilm.bias", ("softmax.b",))),
)


def _of_mix(name: str, what: str, reads: str) -> HeadKind:
    """Scores of the mixture of the layers."""
    return replace(scores(name, "classifier", what=what, reads=reads, rate=head_rate), needs=("mix",))


ELMO = Family(
    name="elmo",
    model_type="elmo",
    paper="https://arxiv.org/abs/1802.05365",
    read_config=_read,
    write_config=_write,
    new_spec=elmo_spec,
    presets={
        "elmo-original": elmo_spec(width=1024),
        "elmo-medium": elmo_spec(width=512, filters=PUBLISHED_FILTERS, highways=1),
        "elmo-small": elmo_spec(width=256, filters=PUBLISHED_FILTERS, highways=1),
    },
    published={"elmo-original": "93.6M", "elmo-medium": "28.0M", "elmo-small": "13.6M"},
    keys=(
        KeyRow("embed.table", ("char_embed",)),
        _filter("embed.filters.{n}.weight", ("CNN.W_cnn_{n}",), view=lambda spec, part: part.permute(2, 1, 0)[None]),
        _filter("embed.filters.{n}.bias", ("CNN.b_cnn_{n}",)),
        _highway("embed.highways.{n}.weight", ("CNN_high_{n}.W_transform", "CNN_high_{n}.W_carry"), view=_only),
        _highway("embed.highways.{n}.bias", ("CNN_high_{n}.b_transform", "CNN_high_{n}.b_carry")),
        KeyRow("embed.project", ("CNN_proj.W_proj",)),
        KeyRow("embed.bias", ("CNN_proj.b_proj",)),
        _both_ways("gates", "W_0"),
        _both_ways("bias", "B", view=lambda spec, part: part),
        _both_ways("project", "W_P_0"),
    ),
    heads={
        "mix": _MIX,
        "bilm": _BILM,
        "classify": _of_mix("classify", what="classification head", reads="mean"),
        "tokens": _of_mix("tokens", what="token classification head", reads="tokens"),
    },
    architectures={
        "MaskwrightElmo": frozenset(),
        "MaskwrightElmoForLanguageModeling": frozenset({"bilm"}),
        "MaskwrightElmoMixed": frozenset({"mix"}),
        "MaskwrightElmoForSequenceClassification": frozenset({"mix", "classify"}),
        "MaskwrightElmoForTokenClassification": frozenset({"mix", "tokens"}),
    },
    base="MaskwrightElmo",
    prefix="",
    layouts=frozenset({"ragged"}),
    compiles=False,
    tokens="characters",
)
