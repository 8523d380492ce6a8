"""How fast Maskwright is on this machine, beside what one would take instead: ``maskwright bench``.

    cases.py     what is measured, and who takes part (no torch)
    place.py     the networks and texts that all sides share, in a folder of the run
    finetune.py mlm.py encode.py tokenise.py ready.py ceiling.py    a function a side: it prepares, and returns what is timed
    worker.py    one side of one case in a process of its own
    rounds.py load.py    the sides in turns, what else used the machine, bench.json
    table.py sheet.py    from bench.json to ratios; a table, remarks, a page (no torch)

A side is a function ``side(job) -> Ready``: everything in its body is outside the clock; ``Ready.run(clock)`` is inside.
"""
