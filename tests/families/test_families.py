"""What every family must keep, over the registry; and the published numbers of parameters."""

import itertools
import re
from dataclasses import replace
from functools import partial
from pathlib import Path

import pytest
import torch
from torch import nn

from maskwright.checkpoint.keys import export
from maskwright.errors import CheckpointError, ConfigError
from maskwright.families import FAMILIES, Family, Net, Spec, family_of
from maskwright.families.base import written_out
from maskwright.families.bert import BERT, bert_spec
from maskwright.machine import seeded
from maskwright.model import create, load
from maskwright.nn.dropout import dropout_key
from maskwright.nn.heads import READS
from maskwright.nn.layout import Grid, Ragged
from maskwright.nn.stack import Stack
from maskwright.text.tokenizer import Tokenizer
from small import all_states, as_read, loud, on_grid, on_ragged, rectangle
from tiny_families import CONFIGS, tiny_spec, tokenizer_for

PRESETS = [(family.name, preset) for family in (entry.load() for entry in FAMILIES) for preset in family.presets]
NAMES = [entry.name for entry in FAMILIES]
RAGGED, GRID = ([name for name in NAMES if each in family_of(name).layouts] for each in ("ragged", "grid"))
CLASSES = [(name, kind) for name in NAMES for kind in family_of(name).architectures]
OUTPUTS = 3


def built(family: Family, spec: Spec, heads: tuple[str, ...]) -> Net:
    with torch.device("meta"):
        net = spec.build()
        for name in heads:
            net.heads[name] = family.heads[name].build(net, OUTPUTS)
    return net


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


def value_of(form: str, letters: dict[str, int]) -> int:
    """What a closed form is worth: letters before any numbers, ``×``, ``·`` and ``²`` as products."""
    formula = re.sub(r", [A-Z] = [0-9,]+(?=\)|$)| layers?| = .*$", "", form)
    return int(eval(formula.replace("·", "*").replace("²", "**2").replace("×", "*"), {}, letters))


@pytest.mark.parametrize(("name", "sizes"), [(name, sizes) for name in NAMES for sizes in CONFIGS[name]])
def test_every_part_s_closed_form_is_its_count(name: str, sizes: str) -> None:
    family = family_of(name)
    spec = family.read_config(CONFIGS[name][sizes])
    block, embed = spec.stack.block, spec.embed
    letters = {"V": spec.vocabulary, "D": spec.width, "E": embed.table_width, "P": embed.positions, "S": embed.segments}
    letters |= {"N": block.heads, "C": OUTPUTS}
    for part, (form, count) in family.parameters(spec, dict.fromkeys(family.heads, OUTPUTS)).items():
        stack = spec.decoder if part.startswith("decoder: ") else spec.stack  # type: ignore[attr-defined]
        letters["F"] = stack.block.feed_forward
        assert value_of(form, letters) == count, (part, form)


@pytest.mark.parametrize("name", NAMES)
def test_a_configuration_is_read_back_as_it_was_written(name: str) -> None:
    family = family_of(name)
    for spec in (*family.presets.values(), *map(family.read_config, CONFIGS[name].values())):
        assert family.read_config(family.write_config(spec)) == spec
        assert spec.family == name


@pytest.mark.parametrize("name", NAMES)
def test_the_key_table_names_every_parameter_once(name: str) -> None:
    family = family_of(name)
    for config in CONFIGS[name].values():
        spec = family.read_config(config)
        for heads in (frozenset(), *family.architectures.values()):
            net = built(family, spec, tuple(heads))
            table = written_out(itertools.chain(family.keys, *(family.heads[head].keys for head in heads)), spec)
            theirs = [key for entry in table.values() for key in entry.names]
            assert sorted(table) == sorted(name for name, _ in net.named_parameters())
            assert len(set(theirs)) == len(theirs)


@pytest.mark.parametrize("name", NAMES)
def test_every_head_says_what_it_reads_and_ends_with_a_tensor_as_long_as_its_output(name: str) -> None:
    family = family_of(name)
    net = built(family, tiny_spec(name), tuple(family.heads))
    for kind, head in net.heads.items():
        assert head.reads in READS
        if hasattr(head, "score") or kind in ("mlm", "lm", "plm"):
            table = written_out(family.heads[kind].keys, net.spec)
            if not table:
                continue
            ours, theirs = list(table.items())[-1]
            scores = head.eval()(torch.zeros(1, net.spec.width, device="meta"))
            assert net.get_parameter(ours).shape[0] == scores.shape[-1] * len(theirs.names)
    carried = frozenset(itertools.chain.from_iterable(family.architectures.values()))
    assert carried | {"sop"} >= set(family.heads) >= carried  # no class of theirs has ALBERT's head on another encoder


@pytest.mark.parametrize("name", NAMES)
def test_fresh_weights_have_their_distribution(name: str) -> None:
    family = family_of(name)
    spec = replace(tiny_spec(name, vocab_size=5_000), initializer_range=0.02)
    net = spec.build()
    if type(net).initialise is not Net.initialise:
        pytest.skip("has a distribution of its own")
    with seeded(0):
        for head in family.heads:
            net.heads[head] = family.heads[head].build(net, OUTPUTS)
        net.initialise()
    for module in net.modules():
        if isinstance(module, nn.LayerNorm):
            assert (module.weight == 1).all()
        if isinstance(module, nn.LayerNorm | nn.Linear) and module.bias is not None:
            assert (module.bias == 0).all()
        if isinstance(module, nn.Linear | nn.Embedding) and module.weight.numel() > 1000:
            count, sd = module.weight.numel(), spec.initializer_range
            assert abs(float(module.weight.detach().mean())) < 5 * sd / count**0.5
            assert float(module.weight.detach().std()) == pytest.approx(sd, rel=5 / (2 * count) ** 0.5)


def test_a_fresh_t5_s_matrices_depend_on_what_goes_into_them_and_its_queries_on_their_width_too() -> None:
    spec = tiny_spec("t5", vocab_size=5_000, d_model=64, d_kv=16, d_ff=900, initializer_factor=0.5)
    net = spec.build()
    with seeded(0):
        net.initialise()
    block = net.stack.blocks[0]
    parts = (net.embed.token.weight, block.qkv.weight[:48], block.qkv.weight[48:], block.out.weight, block.down.weight)
    for weight, sd in zip(parts, (1.0, 64**-0.5 / 4, 64**-0.5, 48**-0.5, 900**-0.5), strict=True):
        assert float(weight.detach().std()) == pytest.approx(0.5 * sd, rel=5 / (2 * weight.numel()) ** 0.5)


LENGTHS = (4, 17, 1, 9)
TARGETS_ONLY = {"net.embed.target"}
"""What an ordinary call does not read: tests/families/test_xlnet.py has its gradient."""


def given_to(net: Net) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    ids, mask, types = rectangle(LENGTHS, 801)
    segments = net.spec.embed.segments
    return ids, mask, types if segments > 1 else torch.zeros_like(types)


def loud_net(name: str, **changes: int) -> Net:
    net = tiny_spec(name, **changes).build().eval()
    loud(net)
    return net


@pytest.mark.parametrize("name", RAGGED)
def test_a_sequence_has_the_same_states_whatever_else_is_in_the_batch(name: str) -> None:
    net = loud_net(name)
    ids, mask, types = given_to(net)
    alone = zip(
        *(on_ragged(net, *(each[b : b + 1] for each in (ids, mask, types))) for b in range(len(ids))), strict=True
    )
    for together, each in zip(on_ragged(net, ids, mask, types, extra=7), alone, strict=True):
        assert torch.allclose(together, torch.cat(each), atol=1e-5)


@pytest.mark.parametrize("name", GRID)
def test_ragged_and_grid_are_the_same_network_whatever_stands_in_the_padding(name: str) -> None:
    net = loud_net(name)
    ids, mask, types = given_to(net)
    clean = on_grid(net, ids, mask, types)
    garbage = torch.where(mask.bool(), ids, torch.randint(0, 801, ids.shape))
    for a, b in zip(clean, on_grid(net, garbage, mask, types), strict=True):
        assert torch.equal(a, b)
    if "ragged" in family_of(name).layouts:
        for a, b in zip(clean, on_ragged(net, ids, mask, types, extra=7), strict=True):
            assert torch.allclose(a, b, atol=1e-5)


UNDECLARED = [(name, layout) for name in NAMES for layout in {"ragged", "grid"} - family_of(name).layouts]


@pytest.mark.parametrize(("name", "layout"), UNDECLARED)
def test_a_layout_that_a_family_does_not_declare_is_refused_by_name(name: str, layout: str) -> None:
    net = loud_net(name)
    with pytest.raises(ConfigError, match=f"{name}.* layout (is {layout.title()}|only)"):
        (on_ragged if layout == "ragged" else on_grid)(net, *given_to(net))


@pytest.mark.parametrize("name", RAGGED)
def test_a_single_segment_is_added_whatever_the_segment_is_said_to_be(name: str) -> None:
    net = loud_net(name)
    if net.spec.embed.segments > 1:
        pytest.skip("tells segments apart")
    ids, mask, types = rectangle(LENGTHS, 801)
    assert types.any()
    for a, b in zip(on_ragged(net, ids, mask, types), on_ragged(net, ids, mask, types * 0), strict=True):
        assert torch.equal(a, b)


@pytest.mark.parametrize(("name", "kind"), CLASSES)
def test_the_gradient_reaches_every_parameter_on_every_layout(name: str, kind: str, tokenizer: Tokenizer) -> None:
    tokenizer = tokenizer_for(name, tokenizer)
    model = create(tiny_spec(name, vocab_size=tokenizer.vocab_size), tokenizer, seed=0)
    for head in sorted(model.family.architectures[kind]):
        model.add_head(head, OUTPUTS)
    loud(model.eval().net)
    ids, mask, types = given_to(model.net)
    kept, places = mask.bool(), torch.arange(ids.shape[1]).expand_as(ids)
    flat = [each.clamp(max=tokenizer.vocab_size - 1) for each in (ids, places, types)]
    gradients = []
    layouts = {"ragged": Ragged.of(list(LENGTHS)), "grid": Grid(*ids.shape, kept)}
    for layout in (layouts[known] for known in sorted(model.family.layouts)):
        model.zero_grad()
        each = [value[kept] if isinstance(layout, Ragged) else value.flatten() for value in flat]
        each[0] = as_read(model.net, each[0])
        hidden = all_states(model.net, *each, layout)[-1]
        total = (hidden[kept.flatten()] if isinstance(layout, Grid) else hidden).square().sum()
        for head in model.net.heads:
            scores = model.scores(head, hidden, layout)
            scores = scores[kept.flatten()] if isinstance(layout, Grid) and len(scores) == ids.numel() else scores
            total = total + scores.square().sum()
        total.backward()
        gradients.append([parameter.grad for parameter in model.parameters()])
    for (parameter, _), *found in zip(model.named_parameters(), *gradients, strict=True):
        if parameter in TARGETS_ONLY:
            continue
        a, b = found[0], found[-1]
        assert a is not None and b is not None and a.any() and a.isfinite().all(), parameter
        assert (a - b).abs().max() <= 1e-4 * max(1.0, float(b.abs().max())), parameter


@pytest.mark.parametrize(("name", "kind"), CLASSES)
def test_a_folder_is_read_back_and_written_again_bitwise(
    name: str, kind: str, tokenizer: Tokenizer, tmp_path: Path
) -> None:
    model = create(tiny_spec(name), tokenizer_for(name, tokenizer), seed=0)
    for head in sorted(model.family.architectures[kind]):
        model.add_head(head, OUTPUTS)
    model.save(tmp_path / "one")
    back = load(tmp_path / "one")
    assert back.spec == model.spec and set(back.net.heads) == set(model.net.heads)
    found = dict(back.named_parameters())
    assert all(torch.equal(value, found[key]) for key, value in model.named_parameters())
    back.save(tmp_path / "two")
    for path in (tmp_path / "one").iterdir():
        assert path.read_bytes() == (tmp_path / "two" / path.name).read_bytes()


def test_two_heads_that_share_their_names_cannot_be_in_one_folder(tokenizer: Tokenizer) -> None:
    model = create(tiny_spec("bert"), tokenizer, seed=0)
    model.add_head("classify", OUTPUTS)
    model.add_head("tokens", OUTPUTS)
    with pytest.raises(
        CheckpointError, match=r"the heads pooler, classify, tokens cannot be in one bert folder.*classifier\.weight"
    ):
        export(model.family, model.net, bare=False)


@pytest.mark.parametrize("name", [name for name in NAMES if family_of(name).compiles])
def test_compiled_whole_the_network_gives_the_eager_numbers(name: str) -> None:
    torch.compiler.reset()
    net = loud_net(name)
    ids, mask, types = given_to(net)
    kept, places = mask.bool(), torch.arange(ids.shape[1]).expand_as(ids)
    given = (*(each[kept] for each in (ids, places, types)), Ragged.of(list(LENGTHS)))
    if "ragged" not in family_of(name).layouts:
        given = (*(each.flatten() for each in (ids, places, types)), Grid(*ids.shape, kept))
    with torch.no_grad():
        compiled = torch.compile(partial(all_states, net), fullgraph=True, backend="aot_eager")(*given)
        for a, b in zip(compiled, all_states(net, *given), strict=True):
            assert torch.allclose(a, b, atol=1e-5)


@pytest.mark.parametrize("name", NAMES)
def test_a_new_model_takes_pairs_of_texts_and_computes_without_dropout_what_recomputing_does(
    name: str, tokenizer: Tokenizer
) -> None:
    family, tokenizer = family_of(name), tokenizer_for(name, tokenizer)
    spec = family.new_spec(
        vocabulary=tokenizer.vocab_size, width=24, layers=2, heads=3, feed_forward=None, positions=64, dropout=0.1,
        attention_dropout=0.1,
    )  # fmt: skip
    model = create(spec, tokenizer, seed=0)
    assert model.encode(["a text", "another, longer text"]).shape == (2, 24)
    ids, mask, types = rectangle(LENGTHS, tokenizer.vocab_size)
    run = on_ragged if "ragged" in family.layouts else on_grid
    gradients = []
    for recompute in (False, True):
        for part in model.net.train().modules():
            if isinstance(part, Stack):
                part.recompute = recompute
        model.zero_grad()
        with dropout_key(1, 2):
            run(model.net, ids, mask, types)[-1].square().sum().backward()
        gradients.append([p.grad for key, p in model.named_parameters() if key not in TARGETS_ONLY])
    assert all(torch.equal(a, b) for a, b in zip(*gradients, strict=True))


@pytest.mark.parametrize(("name", "preset"), PRESETS)
def test_a_published_size_has_as_many_parameters_in_transformers(name: str, preset: str) -> None:
    transformers = pytest.importorskip("transformers")
    family = family_of(name)
    spec = family.presets[preset]
    if not hasattr(transformers, family.base):
        pytest.skip(f"transformers has no {name}")
    kind = getattr(transformers, family.base)
    with torch.device("meta"):
        theirs = kind(kind.config_class(**family.write_config(spec) | {"pad_token_id": 0}))
    predicted = family.parameters(spec, dict.fromkeys(family.architectures[family.base], 2))
    fixed = sum(p.numel() for name, p in theirs.named_parameters() if family.prefix + name in family.ignorable)
    assert sum(count for _, count in predicted.values()) == sum(p.numel() for p in theirs.parameters()) - fixed


@pytest.mark.parametrize(
    ("preset", "heads", "published"),
    [
        ("bert-base-uncased", ("pooler",), 109_482_240),
        ("bert-large-uncased", ("pooler",), 335_141_888),
        ("bert-base-uncased", ("pooler", "mlm", "nsp"), 110_106_428),
        ("bert-tiny", ("pooler",), 4_385_920),
        ("bert-base-cased", ("pooler",), 108_310_272),
        ("bert-base-chinese", ("pooler",), 102_267_648),
        ("albert-base-v2", ("pooler",), 11_683_584),
        ("albert-large-v2", ("pooler",), 17_683_968),
        ("albert-xlarge-v2", ("pooler",), 58_724_864),
        ("albert-xxlarge-v2", ("pooler",), 222_595_584),
        ("roberta-base", ("pooler",), 124_645_632),
        ("roberta-large", ("pooler",), 355_359_744),
        ("distilbert-base-uncased", (), 66_362_880),
        ("electra-small-discriminator", (), 13_548_800 - 256 * 257),
        ("electra-base-generator", (), 33_576_960 - 256 * 257),
        ("modernbert-base", (), 149_014_272),
        ("modernbert-large", (), 394_781_696),
        ("elmo-original", (), 93_600_848),
        ("elmo-medium", (), 28_027_728),
        ("elmo-small", (), 13_593_296),
    ],
)
def test_the_number_of_parameters_is_the_published_one(preset: str, heads: tuple[str, ...], published: int) -> None:
    family = next(entry.load() for entry in FAMILIES if preset in entry.load().presets)
    predicted = family.parameters(family.presets[preset], dict.fromkeys(heads, 2))
    assert sum(count for _, count in predicted.values()) == published


@pytest.mark.parametrize("name", NAMES)
def test_operations_are_twice_the_weights_of_the_matrices_that_are_passed_and_the_attention(name: str) -> None:
    spec = tiny_spec(name)
    if not spec.stack.block.heads:
        pytest.skip("nothing attends: has a test of its own")
    net = spec.build()
    blocks = [stack.blocks[n] for stack in net.modules() if isinstance(stack, Stack) for n in stack.order]
    # XLNet's distances pass one matrix once a batch, not once a token; each token has a score for each of them.
    passed = sum(
        m.weight.numel()
        for part in (*blocks, net.embed)
        for key, m in part.named_modules()
        if isinstance(m, nn.Linear) and key != "distance"
    )
    # Scores and sums over 5 tokens: two products as wide as the heads; none of the windows is that narrow.
    products = 2 * 5 + (2 * 5 - 1 + 2 if name == "xlnet" else 0)
    looked = [m.in_features for block in blocks for key, m in block.named_children() if key in ("out", "cross_out")]
    assert spec.flops(5) == 2 * (passed + sum(products * inner for inner in looked))
    if net.narrows:  # keys and values are still made, queries and all that follows are not
        last = blocks[net.stack.order[-1]]
        rest = sum(m.weight.numel() for m in (last.qkv, last.out, last.up, last.down)) - 2 * spec.width**2
        assert spec.stack.spared(5) == rest + products * spec.width


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
    with pytest.raises(ConfigError, match=r"no family 'brt'\. Did you mean 'bert'\? Known: bert, roberta"):
        family_of("brt")
