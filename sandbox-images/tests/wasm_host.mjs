// A host for python.wasm of the image wasm-python, on Node.js: it speaks the cell channel (PROTOCOL.md), so that the transcripts and
// the tests run against the module. It has no walls, no snapshot and no clock that interrupts; the worker of the tier has.
//
//     CLOISTER_CELL_FD=N node wasm_host.mjs ROOT [--trip-on=TEXT]
//
// ROOT is the image's root; the working directory is the workspace. When a cell prints TEXT, an interrupt is written into its memory.

import { closeSync, mkdirSync, mkdtempSync, readFileSync, readSync, rmSync, writeSync } from "node:fs";
import { randomBytes } from "node:crypto";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { WASI } from "node:wasi";

const root = process.argv[2];
const tripOn = process.argv[3]?.replace("--trip-on=", "");
const channel = Number(process.env.CLOISTER_CELL_FD);
const scratch = mkdtempSync(join(tmpdir(), "wasm-host-"));
mkdirSync(join(scratch, "tmp"));
process.on("exit", () => rmSync(scratch, { recursive: true, force: true }));

const wasi = new WASI({
  version: "preview1",
  args: [],
  env: {},
  returnOnExit: false,
  // "/" for what asks where it is; the longest of these names wins.
  preopens: { "/": scratch, "/lib": join(root, "lib"), "/workspace": process.cwd(), "/home/agent": process.cwd(), "/tmp": join(scratch, "tmp") },
});

let guest;
let loud = false;

function bytes(pointer, size) {
  return Buffer.from(new Uint8Array(guest.memory.buffer, pointer, size));
}

function writeAll(fd, data) {
  for (let done = 0; done < data.length; ) {
    try {
      done += writeSync(fd, data, done);
    } catch (error) {
      if (error.code !== "EAGAIN") throw error;
      Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, 1);
    }
  }
}

function frame(json, blob) {
  const head = Buffer.alloc(8);
  head.writeUInt32BE(json.length, 0);
  head.writeUInt32BE(blob.length, 4);
  writeAll(channel, Buffer.concat([head, json, blob]));
}

const cloister = {
  emit(kind, pointer, size) {
    if (loud && tripOn && bytes(pointer, size).includes(tripOn)) trip();
    if (loud || kind === 2) writeAll(kind, bytes(pointer, size));
    return 0;
  },
  event(json, jsonSize, blob, blobSize) {
    if (loud) frame(bytes(json, jsonSize), bytes(blob, blobSize));
    return 0;
  },
};

// Sleeps: Node's own answers too late where a wait is short. One subscription, of a clock; there is nothing else to wait for.
function pollOneoff(subscriptions, events, count, stored) {
  const view = new DataView(guest.memory.buffer);
  let nanoseconds = view.getBigUint64(subscriptions + 24, true);
  if (view.getUint16(subscriptions + 40, true) & 1) nanoseconds -= process.hrtime.bigint();
  const milliseconds = Math.max(Number(nanoseconds) / 1e6, 0);
  Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, milliseconds);
  view.setBigUint64(events, view.getBigUint64(subscriptions, true), true);
  view.setUint32(events + 8, 0, true);
  view.setUint32(stored, 1, true);
  return 0;
}

function trip() {
  const place = guest.k_alloc(20);
  guest.k_meta(place);
  const words = new Uint32Array(guest.memory.buffer);
  const [tripped, isTripped, breaker, bit] = words.slice(place / 4, place / 4 + 4);
  words[tripped / 4] = 1;
  words[isTripped / 4] = 1;
  words[breaker / 4] |= bit;
  guest.k_free(place);
}

function readExactly(size) {
  const data = Buffer.alloc(size);
  for (let done = 0; done < size; ) {
    const count = readSync(channel, data, done, size - done, null);
    if (count === 0) return null;
    done += count;
  }
  return data;
}

function call(name, ...buffers) {
  const places = buffers.map((data) => guest.k_alloc(data.length));
  buffers.forEach((data, number) => new Uint8Array(guest.memory.buffer).set(data, places[number]));
  const status = guest[name](...buffers.flatMap((data, number) => [places[number], data.length]));
  places.forEach((place) => guest.k_free(place));
  if (status !== 0) {
    console.error(`host: ${name} answered ${status}`);
    process.exit(1);
  }
}

const compiled = await WebAssembly.compile(readFileSync(join(root, "python.wasm")));
const imports = { ...wasi.wasiImport, poll_oneoff: pollOneoff };
const instance = await WebAssembly.instantiate(compiled, { wasi_snapshot_preview1: imports, cloister });
guest = instance.exports;
wasi.initialize(instance);
call("k_init", Buffer.from("PWD=/workspace\0HOME=/home/agent\0TMPDIR=/tmp"));
call("k_warm");
call("k_reseed", Buffer.concat([randomBytes(32), Buffer.from("LANG=C.UTF-8")]));
loud = true;
frame(Buffer.from(JSON.stringify({ ev: "ready", version: "3.13" })), Buffer.alloc(0));
for (let head; (head = readExactly(8)) !== null; ) {
  const json = readExactly(head.readUInt32BE(0));
  const blob = readExactly(head.readUInt32BE(4));
  if (JSON.parse(json).op === "warm") frame(Buffer.from('{"ev":"warmed"}'), Buffer.alloc(0));
  else call("k_run", json, blob);
}
closeSync(channel);
