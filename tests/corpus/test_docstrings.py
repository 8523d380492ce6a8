"""The harvest of docstrings, its account, and the labelled task made of it."""

from __future__ import annotations

from collections import Counter, defaultdict
from pathlib import Path

import pytest

from maskwright.corpus.docstrings import Harvest, harvest
from maskwright.corpus.duplicates import groups
from maskwright.corpus.passages import NoTask, Passage, Split, labelled_task, passages_of_documents

MODULE = '''"""Tools for making very good bread at home.

    >>> bake("rye")
    'done'

The dough is left to rise for an hour, and
then it is put into a hot oven::

    oven.heat(250)
    oven.put(dough)

Ingredients
-----------
flour : array_like
    The flour of the bread that is to be baked today.

.. math:: x + y

Short one.
"""


def bake(flour):
    """Bake the bread with :func:`heat` until it is ``brown`` on both sides.

    Args:
        flour (str): The kind of flour that goes into the bread,
            with all of its bran.
    """

    def inner():
        """Nobody outside will ever read what is said in here."""


class Oven:
    """The oven in which all of the bread is baked."""

    if True:
        def heat(self):
            """Tools for making very good bread at home."""
'''
FILLER = "The quick brown fox number {} jumps over some lazy dogs near the river {} today."


@pytest.fixture(scope="module")
def installed() -> Harvest:
    return harvest(limit_bytes=1_500_000)


def install(root: Path, files: dict[str, str]) -> Path:
    for name, source in files.items():
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(source, encoding="utf-8")
    return root


def read(tmp_path: Path, files: dict[str, str], **options: float) -> Harvest:
    (tmp_path / "std").mkdir(parents=True, exist_ok=True)
    return harvest(stdlib=tmp_path / "std", packages=install(tmp_path / "site", files), **options)


def module(topic: str, count: int) -> str:
    return "\n".join(f'def f{n}():\n    """{FILLER.format(topic + str(n), n)}"""\n' for n in range(count))


def test_prose_is_kept_unwrapped_and_code_is_not(tmp_path: Path) -> None:
    found = read(tmp_path, {"bread/__init__.py": MODULE})
    assert found.documents == [
        (
            "bread",
            "Tools for making very good bread at home.\n"
            "The dough is left to rise for an hour, and then it is put into a hot oven:\n"
            "The flour of the bread that is to be baked today.\n"
            "Bake the bread with heat until it is brown on both sides.\n"
            "flour (str): The kind of flour that goes into the bread, with all of its bran.\n"
            "The oven in which all of the bread is baked.",
        )
    ]


def test_every_dropped_byte_has_its_reason(tmp_path: Path) -> None:
    found = read(tmp_path, {"bread/__init__.py": MODULE})
    dropped = found.bytes_dropped
    assert dropped["doctest"] == len(""">>> bake("rye")'done'""")
    assert dropped["markup"] == len("oven.heat(250)oven.put(dough)-----------.. math:: x + y")
    assert dropped["not prose"] == len("Ingredientsflour : array_likeShort one.Args:")
    assert dropped["repeated"] == len("Tools for making very good bread at home.")
    assert found.bytes_in == found.bytes_kept + dropped.total()
    assert found.bytes_kept == sum(len(line.encode()) for _, text in found.documents for line in text.split("\n"))


def test_functions_know_their_name_and_package(tmp_path: Path) -> None:
    found = read(tmp_path, {"bread/__init__.py": MODULE})
    assert [(p.source, p.label, p.group) for p in found.functions] == [
        ("bread:bake", "bread", "bread:bake"),
        ("bread:Oven", "bread", "bread:Oven"),
        ("bread:Oven.heat", "bread", "bread:Oven"),
    ]


def test_files_that_cannot_be_read_are_counted_by_reason(tmp_path: Path) -> None:
    found = read(
        tmp_path,
        {
            "good.py": MODULE,
            "broken.py": '"""A docstring that is fine and long enough."""\ndef (:',
            "nul.py": '"""A docstring that is fine and long enough."""\n\0',
            "plain.py": "x = 1\n" * 100,
            "empty.py": "",
            "huge.py": '"""' + "words " * 200_000 + '"""',
            "pkg/tests/test_it.py": MODULE,
        },
    )
    assert found.files_skipped == {"not this Python": 2, "few docstrings": 2, "over 1 MiB": 1}
    assert (found.files_seen, found.files_parsed) == (6, 1)


def test_a_bad_escape_and_a_lone_surrogate_are_no_trouble(tmp_path: Path) -> None:
    found = read(tmp_path, {"odd.py": '"""A pattern such as \\d means a digit \\ud800 in all of the texts."""'})
    assert found.documents == [("odd", "A pattern such as \\d means a digit ? in all of the texts.")]


def test_the_limit_shares_the_room_between_packages(tmp_path: Path) -> None:
    files = {f"giant/m{n}.py": module(f"giant{n}x", 100) for n in range(60)} | {"zebra.py": module("zebra", 100)}
    found = read(tmp_path, files, limit_bytes=100_000)
    assert "zebra" in {name for name, _ in found.documents}
    assert 100_000 <= found.bytes_kept < 110_000
    assert found.files_skipped["beyond the limit"] == found.files_seen - found.files_parsed > 0


def test_the_same_installation_gives_the_same_text(tmp_path: Path) -> None:
    files = {f"p{n}/m{k}.py": module(f"w{n}x{k}x", 20) for n in range(4) for k in range(4)}
    backwards = dict(reversed(files.items()))
    first, second = (read(tmp_path / side, some, limit_bytes=12_000) for side, some in (("a", files), ("b", backwards)))
    assert (first.documents, first.functions) == (second.documents, second.functions)


def test_a_harvest_cut_short_by_time_says_so(tmp_path: Path) -> None:
    found = read(tmp_path, {"bread.py": MODULE}, seconds=-1)
    assert found.out_of_time
    assert found.files_skipped == {"out of time": 1}


def test_the_running_installation_is_accounted_for(installed: Harvest) -> None:
    assert installed.bytes_in == installed.bytes_kept + installed.bytes_dropped.total()
    assert installed.files_seen == installed.files_parsed + installed.files_skipped.total()
    assert 1_500_000 <= installed.bytes_kept < 1_700_000
    assert min(installed.bytes_dropped.values()) >= 0
    assert not installed.out_of_time
    lines = [line for _, text in installed.documents for line in text.split("\n")]
    assert len(lines) == len(set(lines))


def test_the_sides_of_a_task_share_no_group_and_no_near_duplicate(installed: Harvest) -> None:
    task = labelled_task(installed.functions, classes=6, per_class=(20, 60))
    assert isinstance(task, Split)
    sides = [task.train, task.dev, task.test]
    passages = [(number, p) for number, side in enumerate(sides) for p in side]
    sides_of_near, sides_of_group = defaultdict(set), defaultdict(set)
    for near, (number, passage) in zip(groups([p.text for _, p in passages]), passages, strict=True):
        sides_of_near[near].add(number)
        sides_of_group[passage.group].add(number)
    assert max(len(found) for found in sides_of_near.values()) == 1
    assert max(len(found) for found in sides_of_group.values()) == 1


def test_no_text_of_a_task_holds_the_name_of_a_class(installed: Harvest) -> None:
    task = labelled_task(installed.functions, classes=6, per_class=(20, 60))
    assert isinstance(task, Split)
    long = [label.lower() for label in task.labels if len(label) >= 5]
    assert long
    texts = " ".join(p.text for p in (*task.train, *task.dev, *task.test)).lower()
    assert [name for name in long if name in texts] == []


def test_names_are_blanked_with_the_word_around_them_unless_they_are_short() -> None:
    passages = [
        Passage(
            f"{f'w{a[0]}{n} v{n} ' * 20}Use PyTorch-like scikit-learn or Rich, not enriched {a}.",
            a,
            f"{a}{n}",
            f"{a}{n}",
            names,
        )
        for a, names in (("torch", ("torch",)), ("sklearn", ("sklearn", "scikit-learn")), ("rich", ("rich",)))
        for n in range(9)
    ]
    task = labelled_task(passages, per_class=(3, 9))
    assert isinstance(task, Split)
    assert all("Use library library or library, not enriched library." in p.text for p in task.test)


def test_a_task_is_balanced_and_depends_on_its_seed_alone() -> None:
    passages = [
        Passage(FILLER.format(f"{a}{n}", f"{a}{n}{n}") + f" {a}{n} {n}{a}" * 9, a, f"{a}{n}", f"{a}{n}")
        for a in "abcde"
        for n in range(70)
    ]
    first, again, other = (labelled_task(passages, classes=4, per_class=(40, 50), seed=seed) for seed in (1, 1, 2))
    assert isinstance(first, Split)
    assert isinstance(other, Split)
    assert first == again
    assert set(first.test) != set(other.test)
    assert first.labels == ("a", "b", "c", "d")
    for side, count in ((first.train, 32), (first.dev, 5), (first.test, 13)):
        assert Counter(p.label for p in side) == dict.fromkeys("abcd", count)


def test_a_text_that_two_labels_share_is_left_out() -> None:
    shared = "This one sentence stands in the manual of every single package there is."
    passages = [
        Passage(FILLER.format(f"{a}{n}", f"{a}{n}") + f" {a}{n}" * 20, a, f"{a}{n}", f"{a}{n}")
        for a in "abc"
        for n in range(9)
    ]
    passages += [Passage(shared, a, f"{a}s", f"{a}s") for a in "abc"]
    task = labelled_task(passages, per_class=(3, 30))
    assert isinstance(task, Split)
    assert shared not in {p.text for side in (task.train, task.dev, task.test) for p in side}
    assert sum(len(side) for side in (task.train, task.dev, task.test)) == 27


def test_too_little_text_makes_no_task_and_says_why() -> None:
    task = labelled_task(passages_of_documents([("a.txt", "Short."), ("b.txt", FILLER * 50)]))
    assert isinstance(task, NoTask)
    assert task.reason == (
        "a labelled task needs at least 3 sources with 40 different passages each; 0 of 1 have that many. "
        "Give longer texts, or more of them."
    )


def test_passages_of_documents_are_paragraphs_of_bounded_size() -> None:
    paragraph = "A line that was wrapped by hand\nand that goes on for quite a while after its\nfirst line end.\n\n"
    long = "One sentence of some length that is repeated. " * 40
    found = passages_of_documents([("x", paragraph + "Tiny.\n\n" + long), ("y", "字" * 1500)])
    assert found[0].text == paragraph.replace("\n", " ").strip()
    assert found[1].text.startswith("Tiny. One sentence")
    assert {p.label for p in found} == {"x", "y"}
    assert [len(p.text) for p in found if p.label == "y"] == [600, 600, 300]
    assert all(p.text.endswith(".") for p in found if p.label == "x")
    assert all(80 <= len(p.text) <= 600 for p in found)
    assert len({p.source for p in found}) == len(found)
