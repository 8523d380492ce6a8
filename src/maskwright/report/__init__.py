"""Plain numbers in; terminal tables, a JSONL log and one self-contained HTML page out.

    numbers   how a number, a share, a time or a rate is written, everywhere alike
    log       RunLog: what a run did, one JSON record a line
    records   reading a log: all of it, or what is new
    history   what a log says: curves as columns, and what state the run is in
    terminal  tables, bars and the live line of a training
    chart     SVG charts
    page      sections and the page that holds them; its look is in page.css
    panels    pieces of pages that follow or compare
    run       the page of one training run: curves, ledger (the corpus), scores (after the end)
    compare   the page of several runs; overlay: their curves
    watch     a page that follows its runs; its script is watch.js
    runs      finding the logs; export: their numbers as a table

No torch in this room: a report can be made on any machine.
"""

__all__: list[str] = []
