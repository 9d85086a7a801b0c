#!/usr/bin/env python3
"""Writes the tables of the AgentCore service model that cloister-gateway enforces.

    pip install boto3==1.44.5        # brings botocore and its service models; into a venv of your own
    scripts/generate-model.py        # rewrites crates/cloister-gateway/src/agentcore/model/tables.rs
    scripts/generate-model.py --check  # exit status 1 if the checked-in file differs

    botocore/data/bedrock-agentcore/*/service-2.json.gz          data plane ──┐
    botocore/data/bedrock-agentcore-control/*/service-2.json.gz  control plane┴─▶ OPERATIONS (all), shapes (of SERVED)

The model is the source of truth. A constraint is never edited in the output: add the operation to SERVED and run again.
"""

import argparse
import gzip
import hashlib
import json
import pathlib
import re
import subprocess
import sys

SERVICES = {"bedrock-agentcore": "Data", "bedrock-agentcore-control": "Control"}

# Operations whose shapes are written out. Each needs a row in agentcore/operations.rs (a test compares the two).
SERVED = [
    "StartCodeInterpreterSession",
    "GetCodeInterpreterSession",
    "ListCodeInterpreterSessions",
    "StopCodeInterpreterSession",
    "InvokeCodeInterpreter",
    "StartBrowserSession",
    "GetBrowserSession",
    "ListBrowserSessions",
    "StopBrowserSession",
    "UpdateBrowserStream",
    "InvokeBrowser",
]

OUTPUT = pathlib.Path(__file__).resolve().parent.parent / "crates/cloister-gateway/src/agentcore/model/tables.rs"

LOCATIONS = {None: "Body", "uri": "Uri", "querystring": "Query", "header": "Header"}


def load(service):
    """The newest model of a service: its text's digest and the parsed document."""
    import botocore

    folder = pathlib.Path(botocore.__file__).parent / "data" / service
    path = sorted(folder.glob("*/service-2.json.gz"))[-1]
    raw = gzip.decompress(path.read_bytes())
    return hashlib.sha256(raw).hexdigest(), json.loads(raw)


def text(value):
    """A Rust string literal."""
    return '"' + value.replace("\\", "\\\\").replace('"', '\\"') + '"'


def option(value):
    return "None" if value is None else f"Some({value:_})" if isinstance(value, int) else f"Some({value})"


def static_name(shape):
    return re.sub(r"(?<=[a-z0-9])(?=[A-Z])|(?<=[A-Z])(?=[A-Z][a-z])", "_", shape).upper()


class Shapes:
    """Collects the shapes that the served operations reach, each as one static."""

    def __init__(self, model):
        self.model = model
        self.written = {}

    def reference(self, name):
        if name not in self.written:
            self.written[name] = None  # reserves the place, and ends recursion
            self.written[name] = self.render(name)
        return "&" + static_name(name)

    def render(self, name):
        shape = self.model["shapes"][name]
        kind = shape["type"]
        limits = f"min: {option(shape.get('min'))}, max: {option(shape.get('max'))}"
        if kind == "string":
            pattern = option(text(shape["pattern"]) if "pattern" in shape else None)
            values = ", ".join(text(value) for value in shape.get("enum", []))
            return f"Shape::String {{ {limits}, pattern: {pattern}, values: &[{values}] }}"
        if kind == "blob":
            return f"Shape::Blob {{ {limits} }}"
        if kind in ("integer", "long"):
            return f"Shape::Integer {{ {limits} }}"
        if kind in ("double", "boolean", "timestamp"):
            return "Shape::" + kind.capitalize()
        if kind == "list":
            return f"Shape::List {{ {limits}, member: {self.reference(shape['member']['shape'])} }}"
        if kind == "structure":
            return self.structure(name, shape)
        sys.exit(f"{name}: the tables have no form for the type {kind}; add it here, to model/mod.rs and to validate.rs")

    def structure(self, name, shape):
        required = set(shape.get("required", []))
        rows = []
        for member, target in shape["members"].items():
            location = LOCATIONS[target.get("location")]
            wire = target.get("locationName", member)
            need = "REQUIRED" if member in required else "OPTIONAL"
            where = f"Location::{location}, " if location != "Body" else ""
            how = "bound" if where else "member"
            names = f"{text(member)}, {text(wire)}" if where else text(member)
            if not where and wire != member:
                sys.exit(f"{name}.{member}: body members with another name on the wire are not handled yet")
            rows.append(f"{how}({where}{names}, {need}, {self.reference(target['shape'])}),")
        one_of = bool(shape.get("union") or shape.get("eventstream"))
        return f"Shape::Structure {{ union: {str(one_of).lower()}, members: &[{''.join(rows)}] }}"


def generate():
    digests, operations, served, errors = {}, [], [], {}
    shapes = None
    for service, plane in SERVICES.items():
        digests[service], model = load(service)
        if plane == "Data":
            shapes = Shapes(model)
        for name, operation in sorted(model["operations"].items()):
            http = operation["http"]
            uri = http["requestUri"].split("?")[0]
            operations.append(f"{plane.lower()}({text(name)}, {text(http['method'])}, {text(uri)}),")
            if plane == "Data" and name in SERVED:
                for error in operation["errors"]:
                    errors[error["shape"]] = model["shapes"][error["shape"]]["error"]["httpStatusCode"]
    model = shapes.model
    for name in SERVED:
        operation = model["operations"][name]
        source, sink = (shapes.reference(operation[side]["shape"]) for side in ("input", "output"))
        status = operation["http"]["responseCode"]
        served.append(f"Served {{ name: {text(name)}, status: {status}, input: {source}, output: {sink} }},")
    for error in sorted(errors):
        shapes.reference(error)

    import botocore

    lines = [
        "//! The AgentCore service models as tables. Generated: do not edit.",
        "//!",
        f"//! From botocore {botocore.__version__} by `scripts/generate-model.py` (its docstring says how to run it again).",
        "//!",
    ]
    lines += [f"//! `{service}`: sha256 {digest}" for service, digest in digests.items()]
    lines += [
        "",
        "use super::{Location, OPTIONAL, Operation, REQUIRED, Served, Shape, bound, control, data, member};",
        "",
        "/// Every operation of both planes.",
        f"pub static OPERATIONS: &[Operation] = &[{''.join(operations)}];",
        "",
        "/// The operations that this server answers, with their shapes.",
        f"pub static SERVED: &[Served] = &[{''.join(served)}];",
        "",
        "/// The errors that the served operations list, with their statuses and shapes.",
        "pub static ERRORS: &[(&str, u16, &Shape)] = &["
        + "".join(f"({text(e)}, {s}, &{static_name(e)})," for e, s in sorted(errors.items()))
        + "];",
        "",
    ]
    for name in sorted(shapes.written):
        lines.append(f"/// `{name}`.\npub static {static_name(name)}: Shape = {shapes.written[name]};")
    source = "\n".join(lines) + "\n"
    config = str(OUTPUT.parents[5])
    done = subprocess.run(
        ["rustfmt", "--edition", "2024", "--config-path", config], input=source, capture_output=True, text=True
    )
    if done.returncode != 0:
        sys.exit(f"rustfmt refused the generated file: {done.stderr}")
    return done.stdout


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--check", action="store_true", help="write nothing; fail if the checked-in file differs")
    arguments = parser.parse_args()
    source = generate()
    if arguments.check:
        if OUTPUT.read_text() != source:
            sys.exit(f"{OUTPUT} is not what this botocore's service model gives; run scripts/generate-model.py")
        return
    OUTPUT.write_text(source)
    print(f"wrote {OUTPUT}")


if __name__ == "__main__":
    main()
