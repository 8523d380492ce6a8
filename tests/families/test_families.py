"""What every family must keep, over the registry; and BERT's published numbers."""

import itertools

import pytest
import torch
from torch import nn

from maskwright.errors import ConfigError
from maskwright.families import FAMILIES, Family, Net, Spec, family_of
from maskwright.families.bert import BERT, bert_spec
from maskwright.machine import seeded
from small import on_grid, on_ragged, rectangle

PRESETS = [(family.name, preset) for family in (entry.load() for entry in FAMILIES) for preset in family.presets]
OUTPUTS = 3


def built(family: Family, spec: Spec, heads: tuple[str, ...]) -> Net:
    with torch.device("meta"):
        net = Net(spec)
        for name in heads:
            net.heads[name] = family.heads[name].build(net, OUTPUTS)
    return net


def tiny_of(family: Family) -> Spec:
    """The smallest preset's architecture at a size for tests."""
    config = family.write_config(next(iter(family.presets.values())))
    return family.read_config(
        config | {"vocab_size": 100, "hidden_size": 24, "num_attention_heads": 3, "intermediate_size": 40, "max_position_embeddings": 32}
    )  # fmt: skip


@pytest.mark.parametrize(("name", "preset"), PRESETS)
def test_the_predicted_number_of_parameters_is_the_built_one(name: str, preset: str) -> None:
    family = family_of(name)
    spec = family.presets[preset]
    sets = [
        *itertools.chain.from_iterable(itertools.combinations(family.heads, n) for n in (0, 1)),
        tuple(family.heads),
    ]
    for heads in sets:
        predicted = family.parameters(spec, dict.fromkeys(heads, OUTPUTS))
        net = built(family, spec, heads)
        assert sum(count for _, count in predicted.values()) == sum(p.numel() for p in net.parameters()), heads


@pytest.mark.parametrize("name", [entry.name for entry in FAMILIES])
def test_every_part_s_closed_form_is_its_count(name: str) -> None:
    family = family_of(name)
    spec = tiny_of(family)
    letters = {"V": 100, "D": 24, "P": 32, "S": 2, "F": 40, "C": OUTPUTS}
    for part, (form, count) in family.parameters(spec, dict.fromkeys(family.heads, OUTPUTS)).items():
        formula = form.split(",")[0].split(" = ")[0] if "layers" not in form else form
        python = formula.replace("·", "*").replace("²", "**2").replace("×", "*").replace(" layers", "")
        python = python.split(", ")[0] + ")" * (python.split(", ")[0].count("(") - python.split(", ")[0].count(")"))
        assert eval(python, {}, letters) == count, (part, form)


@pytest.mark.parametrize("name", [entry.name for entry in FAMILIES])
def test_a_configuration_is_read_back_as_it_was_written(name: str) -> None:
    family = family_of(name)
    for spec in family.presets.values():
        assert family.read_config(family.write_config(spec)) == spec
        assert spec.family == name


@pytest.mark.parametrize("name", [entry.name for entry in FAMILIES])
def test_the_key_table_names_every_parameter_once(name: str) -> None:
    family = family_of(name)
    net = built(family, tiny_of(family), tuple(family.heads))
    rows = [*family.keys, *itertools.chain.from_iterable(head.keys for head in family.heads.values())]
    layers = net.spec.stack.layers
    ours = [row.ours.format(layer=n) for row in rows for n in (range(layers) if "{layer}" in row.ours else [0])]
    theirs = [key.format(layer=n) for row in rows for n in (range(layers) if "{layer}" in row.ours else [0]) for key in row.theirs]  # fmt: skip
    assert sorted(ours) == sorted(name for name, _ in net.named_parameters())
    assert len(set(theirs)) == len(theirs)


@pytest.mark.parametrize("name", [entry.name for entry in FAMILIES])
def test_fresh_weights_have_their_distribution(name: str) -> None:
    family = family_of(name)
    spec = family.presets["bert-tiny"] if "bert-tiny" in family.presets else tiny_of(family)
    net = Net(spec)
    with seeded(0):
        for head in family.heads:
            net.heads[head] = family.heads[head].build(net, OUTPUTS)
        net.initialise()
    for module in net.modules():
        if isinstance(module, nn.LayerNorm):
            assert (module.weight == 1).all() and (module.bias == 0).all()
        if isinstance(module, nn.Linear):
            assert (module.bias == 0).all()
        if isinstance(module, nn.Linear | nn.Embedding) and module.weight.numel() > 1000:
            count, sd = module.weight.numel(), spec.initializer_range
            assert abs(float(module.weight.detach().mean())) < 5 * sd / count**0.5
            assert float(module.weight.detach().std()) == pytest.approx(sd, rel=5 / (2 * count) ** 0.5)
    assert spec.initializer_range == 0.02


@pytest.mark.parametrize("name", [entry.name for entry in FAMILIES])
def test_ragged_and_grid_are_the_same_network(name: str) -> None:
    torch.manual_seed(0)
    net = Net(tiny_of(family_of(name))).eval()
    given = rectangle((4, 9, 1, 9), 100)
    for a, b in zip(on_ragged(net, *given), on_grid(net, *given), strict=True):
        assert torch.allclose(a, b, atol=1e-5)


@pytest.mark.parametrize(
    ("preset", "heads", "published"),
    [
        ("bert-base-uncased", ("pooler",), 109_482_240),
        ("bert-large-uncased", ("pooler",), 335_141_888),
        ("bert-base-uncased", ("pooler", "mlm", "nsp"), 110_106_428),
        ("bert-tiny", ("pooler",), 4_385_920),
        ("bert-base-cased", ("pooler",), 108_310_272),
        ("bert-base-chinese", ("pooler",), 102_267_648),
    ],
)
def test_bert_has_the_published_number_of_parameters(preset: str, heads: tuple[str, ...], published: int) -> None:
    predicted = BERT.parameters(BERT.presets[preset], dict.fromkeys(heads, 2))
    assert sum(count for _, count in predicted.values()) == published


def test_the_decoder_is_tied_to_the_token_table() -> None:
    net = Net(bert_spec(vocabulary=50, width=8, layers=1, heads=2, positions=16))
    net.heads["mlm"] = BERT.heads["mlm"].build(net, 0)
    hidden = torch.randn(3, 8)
    before = net.heads["mlm"](hidden)
    with torch.no_grad():
        net.embed.token.weight[7] += 1
    changed = (net.heads["mlm"](hidden) != before).any(0).nonzero()[:, 0].tolist()
    assert changed == [7]


def test_an_unknown_family_is_refused_with_the_known_ones() -> None:
    with pytest.raises(ConfigError, match=r"no family 'brt'\. Did you mean 'bert'\? Known: bert"):
        family_of("brt")
