"""The Python driver: runs cells as a notebook would and answers on the cell channel (sandbox-images/PROTOCOL.md).

It shares its process with guest code, so nothing here is a security boundary: a guest that breaks the driver spoils
its own session and nothing else. What the driver owes is honesty: the right value, the whole output, one answer per call.

    serve ── request ──▶ session ──▶ context (clear) ──▶ cellcode (parse, compile, run) ──▶ display ──▶ forms ──▶ text, figures
                           │             │                   │   └ asyncloop                └────────▶ wire (frames)
                           │             └ packages, hooks   └ magics (only what is not valid Python)
                           └ around every cell: interrupt, limits, streams, forks;  on an exception: report
"""
