/**
 * What a person reads when a cell fails: the error, the line of the cell, and a stack without the driver's own frames.
 */

import { fileURLToPath } from 'node:url';

/** Ends a cell at the deadline or on request. The name is the one that the protocol gives to every interrupt. */
export class KeyboardInterrupt extends Error {
  constructor(message = 'the cell was interrupted') {
    super(message);
    this.name = 'KeyboardInterrupt';
  }
}

/** Unwinds the cell after `process.exit(n)`; the cell has ended, the runtime has not. */
export class CellExit extends Error {
  constructor(code) {
    super(`exit(${code})`);
    this.name = 'CellExit';
  }
}

/** Unwinds what an already ended cell left pending. Never shown. */
export class CellEnded extends Error {
  constructor() {
    super('the cell that started this has ended');
    this.name = 'CellEnded';
  }
}

export const isSilent = (error) =>
  error instanceof KeyboardInterrupt || error instanceof CellExit || error instanceof CellEnded;

/** V8 drops a `sourceURL` that holds a space, so scripts carry this name and traces show `<cell 3>`. */
export const scriptName = (cell) => `cloister:cell-${cell}`;
/** The script from which the driver calls a cell. */
export const CALL_NAME = 'cloister:call';

/** Lines of a script are those of the cell; columns are not, and are left out. */
const shown = (text) =>
  text.replace(/cloister:cell-(\d+):(\d+)(:\d+)?/g, '<cell $1>:$2').replace(/(at |async )eval \((<cell \d+>:\d+)\)/g, '$1$2');

const OURS = new URL('../', import.meta.url).href;
const OURS_PATH = fileURLToPath(OURS);

/**
 * Leaves the driver's frames, and the runtime's below the guest's, out of every stack that is read from now on.
 *
 *     at parse (node:internal/…)        kept: called by the guest
 *     at <cell 3>:2                     the last frame of the guest
 *     at Session.post (node:inspector)  dropped, with all below
 */
export function trimStacks() {
  Error.prepareStackTrace = (error, frames) => {
    const names = frames.map((frame) => frame.getFileName() || frame.getScriptNameOrSourceURL() || '');
    const guests = names.map((name) => !/^(node|ext):/.test(name) && !isOurs(name));
    const kept = frames.slice(0, guests.lastIndexOf(true) + 1).filter((_, i) => !isOurs(names[i]));
    const lines = kept.length > 0 ? kept : frames.filter((_, i) => !isOurs(names[i]));
    return shown([headline(error), ...lines.map((frame) => `    at ${frame}`)].join('\n'));
  };
}

const isOurs = (name) => name === CALL_NAME || name.startsWith(OURS) || name.startsWith(OURS_PATH);

function headline(error) {
  try {
    return Error.prototype.toString.call(error);
  } catch {
    return 'Error (its name or message cannot be read)';
  }
}

/**
 * @param {unknown} error whatever was thrown
 * @param {(value: unknown) => string} inspect
 * @param {Map<number, string>} sources source of recent cells, for the line where it happened
 * @returns {{name: string, message: string, traceback: string}}
 */
export function describe(error, inspect, sources) {
  try {
    if (!(error instanceof Error) && !looksLikeError(error)) {
      const text = inspect(error);
      return { name: 'Uncaught', message: text, traceback: `Uncaught ${text}\n` };
    }
    const name = String(error.name ?? 'Error');
    const message = String(error.message ?? '');
    if (isSilent(error)) return { name, message, traceback: `${name}: ${message}\n` };
    if (typeof error.line === 'number' && typeof error.cell === 'number') {
      return { name, message, traceback: `${excerpt(error, sources)}\n\n${name}: ${message}\n` };
    }
    const text = inspect(error);
    const at = /<cell (\d+)>:(\d+)/.exec(String(error.stack));
    const line = at && excerpt({ cell: Number(at[1]), line: Number(at[2]) }, sources);
    return { name, message, traceback: line ? `${line}\n\n${text}\n` : `${text}\n` };
  } catch (second) {
    return { name: 'Error', message: 'an error that cannot be shown', traceback: `Error: reading it failed: ${second}\n` };
  }
}

/** An Error of another realm (`node:vm`). */
const looksLikeError = (e) => typeof e === 'object' && e !== null && typeof e.stack === 'string' && 'message' in e;

/** `<cell 3>:2`, the line, and a caret where the column is exact. */
function excerpt({ cell, line, column }, sources) {
  const text = sources.get(cell)?.split('\n')[line - 1];
  if (text === undefined || text.trim() === '') return '';
  const shortened = text.length > 200 ? `${text.slice(0, 200)}…` : text;
  const caret = column === undefined || column > 200 ? '' : `\n${shortened.slice(0, column).replace(/[^\t]/g, ' ')}^`;
  return `<cell ${cell}>:${line}\n${shortened}${caret}`;
}
