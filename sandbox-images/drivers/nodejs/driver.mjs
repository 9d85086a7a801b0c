/**
 * The Node.js driver: JavaScript with the CommonJS names, TypeScript by Node's own type stripper.
 *
 * Started by init as (image.toml, [runners.nodejs], interrupt = "pipe")
 *
 *   /usr/local/bin/node --disable-warning=ExperimentalWarning /opt/cloister/nodejs/driver.mjs
 *
 * What is the same on Deno is in ../js/; this file says what is different here.
 */
import { Console } from 'node:console';
import fs from 'node:fs';
import process from 'node:process';
import { inspect } from 'node:util';
import { Session, takeDescriptors } from '../js/session.mjs';
import { BlockingStream, replaceStreams, writerOf } from '../js/streams.mjs';
import { importFromWorkspace, openWorkspace, resetWorkspace } from '../js/workspace.mjs';

const fds = takeDescriptors();

const out = writerOf((bytes) => fs.writeSync(1, bytes));
const err = writerOf((bytes) => fs.writeSync(2, bytes));

// Node's own streams would make the pipes non-blocking, which child processes would inherit and fail on.
const stdout = new BlockingStream(1, out);
const stderr = new BlockingStream(2, err);
replaceStreams(process, stdout, stderr);
// The global console also hands every argument to the inspector, which keeps them alive.
const quiet = new Console({ stdout, stderr });
for (const [name, method] of Object.entries(quiet)) if (typeof method === 'function') console[name] = method;

openWorkspace();

const leave = process.reallyExit.bind(process);

const session = new Session(
  {
    version: process.versions.node,
    terminates: true,
    // One level deeper than console.log: a value is often an answer of some service.
    inspect: (value) => inspect(value, { depth: 4, maxStringLength: 1 << 20 }),
    importModule: importFromWorkspace,
    reset: resetWorkspace,
    warn: err,
    leave,
  },
  fds,
);

process.exit = (code) => session.exit(code);
process.reallyExit = (code) => session.exit(code);
process.on('uncaughtException', (error) => session.uncaught(error));
process.on('unhandledRejection', (error) => session.uncaught(error));
