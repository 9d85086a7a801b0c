"""The image builder.

    images.lock ─▶ debs ─▶ wheels ─▶ npm ─▶ drivers ─▶ published image
                    │        │        │       │
                    └────────┴────────┴───────┴── each stage: a folder named by the hash of its inputs, made of hard links
                                                  to the stage before it, so a changed input rebuilds only what follows it

    toolchain.lock ─▶ tools ─▶ libpython ─▶ module ─▶ site ─▶ driver ─▶ published image      (WebAssembly: wasm.py)

Two rules keep hard links safe: a stage never writes into an existing file (it unlinks and creates), and metadata is only
ever set to the one normal form that `tree.normalise` knows.
"""
