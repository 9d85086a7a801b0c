/**
 * The Deno driver: TypeScript and JavaScript with the `Deno` API.
 *
 * Started by init as (image.toml, [runners.deno], interrupt = "pipe")
 *
 *   /usr/local/bin/deno run --allow-all --no-lock --no-config --quiet /opt/cloister/deno/driver.mjs
 *
 * What is the same on Node is in ../js/; this file says what is different here. Interrupts reach a cell where it awaits
 * and at each turn of a loop in its own code; ../js/interrupt.mjs says why not elsewhere.
 */
import module from 'node:module';
import process from 'node:process';
import { inspect } from 'node:util';
import { isModuleNamespaceObject } from 'node:util/types';
import { Session, takeDescriptors } from '../js/session.mjs';
import { BlockingStream, NO_INPUT, replaceStreams, writerOf } from '../js/streams.mjs';
import { importFromWorkspace, openWorkspace, requireFromWorkspace, resetWorkspace } from '../js/workspace.mjs';
import { Libc } from './libc.mjs';

const fds = takeDescriptors();
const libc = new Libc();
for (const fd of [fds.cell, fds.interrupt]) if (fd !== null) libc.closeOnExec(fd);

const out = writerOf((bytes) => libc.write(1, bytes));
const err = writerOf((bytes) => libc.write(2, bytes));
replaceStreams(process, new BlockingStream(1, out), new BlockingStream(2, err));
// Deno's console gives up on a pipe that a child process has made non-blocking. Its class prints through any function.
const Console = Deno[Deno.internal]?.Console;
if (Console) {
  const patient = new Console((text, level) => (level > 1 ? err : out)(text));
  for (const [name, method] of Object.entries(patient)) if (typeof method === 'function') console[name] = method;
}
Deno.stdin.readSync = () => {
  throw new Deno.errors.UnexpectedEof(NO_INPUT);
};
Deno.stdin.read = async () => Deno.stdin.readSync();
for (const name of ['prompt', 'alert', 'confirm']) {
  const answer = name === 'confirm' ? false : name === 'prompt' ? null : undefined;
  const ask = (text = '') => {
    err(`${name}(${JSON.stringify(String(text))}) gives ${answer}: ${NO_INPUT}\n`);
    return answer;
  };
  Object.defineProperty(globalThis, name, { value: ask, writable: true, enumerable: true, configurable: true });
}

openWorkspace();

const leave = Deno.exit;

const session = new Session(
  {
    version: Deno.version.deno,
    terminates: false,
    // A string shows with the quotes that it has on the other runtimes.
    inspect: (value) => (typeof value === 'string' ? inspect(value) : Deno.inspect(value)),
    importModule,
    reset: resetWorkspace,
    warn: err,
    leave,
  },
  fds,
);

Deno.exit = (code) => session.exit(code);
process.exit = (code) => session.exit(code);
process.reallyExit = (code) => session.exit(code);
addEventListener('error', (event) => {
  event.preventDefault();
  // Unlike a rejection, this event does not come in the async context of what failed.
  session.uncaught(event.error, session.running);
});
addEventListener('unhandledrejection', (event) => {
  event.preventDefault();
  session.uncaught(event.reason);
});

async function importModule(specifier, options) {
  try {
    return isBare(specifier) ? installed(specifier) : await importFromWorkspace(specifier, options);
  } catch (error) {
    if (/^(npm|jsr|https?):/.test(specifier) && /failed|sending request/i.test(error.message)) {
      throw new TypeError(`${error.message}\n(downloading needs network, which the policy of this sandbox may deny)`);
    }
    throw error;
  }
}

const isBare = (specifier) => !/^(\.{0,2}\/|[a-z][a-z+.-]*:)/i.test(specifier) && !module.isBuiltin(specifier);

/** A package in the workspace's node_modules, which `import()` does not look at without a configuration file. */
function installed(specifier) {
  let found;
  try {
    found = requireFromWorkspace(specifier);
  } catch (error) {
    if (error.code !== 'MODULE_NOT_FOUND') throw error;
    throw new TypeError(`no package ${JSON.stringify(specifier)} in node_modules; with network, import "npm:${specifier}"`);
  }
  return isModuleNamespaceObject(found) ? found : { ...found, default: found };
}
