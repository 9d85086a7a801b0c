"""What `sysconfig` says of this interpreter. Written by hand: the generated one names paths and options of the building host."""

build_time_vars = {
    "VERSION": "3.13",
    "SOABI": "cpython-313-wasm32-wasi",
    "EXT_SUFFIX": ".cpython-313-wasm32-wasi.so",
    "MULTIARCH": "wasm32-wasi",
    "HOST_GNU_TYPE": "wasm32-unknown-wasip1",
    "Py_DEBUG": 0,
    "Py_GIL_DISABLED": 0,
    "Py_ENABLE_SHARED": 0,
    "WITH_PYMALLOC": 1,
    # Time zones come from the package tzdata.
    "TZPATH": "",
}
