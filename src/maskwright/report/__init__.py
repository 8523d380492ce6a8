"""Plain numbers in; terminal tables, a JSONL log and one self-contained HTML page out.

    numbers   how a number, a share, a time or a rate is written, everywhere alike
    log       RunLog and read_log: what a run did, one JSON record a line
    terminal  tables, bars and the live line of a training
    chart     SVG charts
    page      sections and the page that holds them; its look is in page.css
    run       the page of one training run, from its log (curves) and its corpus (ledger)

No torch in this room: a report can be made on any machine.
"""

__all__: list[str] = []
