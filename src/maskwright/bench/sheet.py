"""What a benchmark shows: a table for the terminal, what a reader must know, a page.  No torch."""

from __future__ import annotations

from collections.abc import Iterator

from maskwright.bench.cases import OURS
from maskwright.bench.load import BUSY, STOLEN, disturbed
from maskwright.bench.table import Record, Spread, ceilings, measured, ratios, shares, unequal, values
from maskwright.report import page
from maskwright.report.chart import Bar, bar_chart
from maskwright.report.numbers import share
from maskwright.report.page import Page

__all__ = ["COLUMNS", "bench_page", "ceiling_rows", "remarks", "rows"]

COLUMNS = ("work", "median (least–most)", "Maskwright is")


def rows(record: Record) -> list[tuple[str, str, str]]:
    """Return the table: for every case a line with our number, then one for each peer with the ratio to it."""
    found = []
    for case, facts in record["cases"].items():
        lines = []
        for side in (each["name"] for each in facts["sides"]):
            if numbers := list(values(record, case, side).values()):
                lines.append((f"  {_side(record, case, side)}", str(Spread.of(numbers)), _ratio(record, case, side)))
        found += [(f"{facts['title']}, {facts['unit']}", "", ""), *lines] if lines else []
    return found


def ceiling_rows(record: Record) -> list[tuple[str, str, str]]:
    """Return what matrix products give, then for every case with known work what we make of it on real tokens."""
    tops = {name: list(by.values()) for name, by in ceilings(record).items() if name != "ours" and by}
    found = [(f"matrix products, {name}", str(_tera(Spread.of(by))), "") for name, by in tops.items()]
    for case, facts in record["cases"].items():
        if tops and (one := shares(record, case)):
            ends = "" if one.share.least == one.share.most else f" ({share(one.share.least)}–{share(one.share.most)})"
            found.append((facts["title"], str(_tera(one.rate)), share(one.share.median) + ends))
    return found


def remarks(record: Record) -> list[str]:
    """Return what a reader must know: who was absent, what failed, what was not the same work, what else ran."""
    found = [f"{side} was left out: {why}" for side, why in record["absent"].items()]
    for one in record["measurements"]:
        if "error" in one:
            found.append(f"{one['case']}, {one['side']}, round {one['round'] + 1} failed: {one['error']}")
    for case, facts in record["cases"].items():
        for side in (each["name"] for each in facts["sides"] if each["name"] != OURS):
            if ratios(record, case, side) and (why := unequal(record, case, side)):
                found.append(f"{case}: no ratio to {side}, for {why}")
    loads = [one["load"] for one in record["measurements"] if disturbed(one["load"])]
    if loads:
        most, stolen = max(each["others"] for each in loads), max(each["stolen"] or 0.0 for each in loads)
        found.append(
            f"{len(loads)} of {len(record['measurements'])} measurements were disturbed: other programs used up to {most:.2f} "
            f"cores and the host took up to {share(stolen)} of the processor ({BUSY} and {share(STOLEN)} are let pass). "
            "Measure again on a quiet machine"
        )
    return found


def bench_page(record: Record) -> Page:
    """Return the page: the ratios as bars, the table, the ceiling, the remarks, the machine."""
    rounds = max((one["round"] + 1 for one in record["measurements"]), default=0)
    made = Page("Benchmark", f"Rounds: {rounds}. Each side in a process of its own, in turns.", wide=True)
    made.add(*(page.callout(f"{remark}.", "warning") for remark in remarks(record)))
    bars = [
        Bar(f"{facts['title']} · {side}", spread.median, spread.least, spread.most)
        for case, facts in record["cases"].items()
        for side, spread in _spreads(record, case)
    ]
    if bars:
        made.add(page.heading("How many times as fast"), page.chart(bar_chart("Maskwright against each", bars, "×")))
    made.add(page.heading("Measured"), page.table(COLUMNS, rows(record)))
    if found := ceiling_rows(record):
        made.add(page.heading("Against the ceiling"), page.table(("work", "TFLOP/s", "share"), found))
    texts = [
        (name, each["rows"], each["mean"], each["median"], each["longest"]) for name, each in record["texts"].items()
    ]
    made.add(page.heading("Texts"), page.table(("", "rows", "tokens, mean", "median", "longest"), texts))
    facts = {**record["machine"], **record["versions"]}
    return made.add(page.heading("Machine"), page.key_values(facts), page.code(record["command"]))


def _spreads(record: Record, case: str) -> Iterator[tuple[str, Spread]]:
    for side in (each["name"] for each in record["cases"][case]["sides"] if each["name"] != OURS):
        found = ratios(record, case, side)
        if found and not unequal(record, case, side):
            yield side, Spread.of(found)


def _ratio(record: Record, case: str, side: str) -> str:
    if side == OURS:
        return ""
    spread = dict(_spreads(record, case)).get(side)
    return f"{spread} ×" if spread else "not the same work" if ratios(record, case, side) else ""


def _side(record: Record, case: str, side: str) -> str:
    """The name, with the cosine of one that computes something else on purpose."""
    if next(each["rough"] for each in record["cases"][case]["sides"] if each["name"] == side):
        checks = [one["check"] for one in measured(record, case, side).values()]
        if cosines := [check["cosine"]["mean"] for check in checks if "cosine" in check]:
            return f"{side}, cosine {min(cosines):.3f}"
    return side


def _tera(spread: Spread) -> Spread:
    return Spread(spread.median / 1e12, spread.least / 1e12, spread.most / 1e12)
