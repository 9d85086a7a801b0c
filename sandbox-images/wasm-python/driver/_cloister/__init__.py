"""The Python driver of the WebAssembly tier: the process tier's driver without processes, threads and descriptors.

    host ── k_run ──▶ kernel ──▶ session, and what it uses: the files of drivers/python/_cloister, the same as in a process
                        │           └ display, error, done ──▶ wire ──▶ _cloister_host.event ──▶ host
                        ├ streams: sys.stdout and sys.stderr ─────────▶ _cloister_host.emit ───▶ host
                        └ tier, eventloop: what the platform lacks says so in a sentence

The files of this folder and those of the process tier's driver that the builder names (builder/wasm.py) are one package.
"""
