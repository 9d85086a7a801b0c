/**
 * Runs the two pieces of a rewritten cell in the global scope.
 *
 * Eval code, unlike a script, declares functions that can be deleted again, and unlike the inspector's REPL mode it
 * leaves no promise with the engine: one that can never settle is collected, and the inspector reports that from inside
 * the collector, which ends Deno.
 */
import { scriptName } from './errors.mjs';

/** The global scope, instead of this module's. */
const globalEval = eval;

/**
 * @param {{functions: string|null, body: string}} code
 * @param {number} cell its number, for stack traces
 * @returns {() => Promise<void>} runs the body; rejects with what the cell throws
 */
export function prepare({ functions, body }, cell) {
  const name = `\n//# sourceURL=${scriptName(cell)}`;
  if (functions !== null) globalEval(functions + name);
  return globalEval(`(async()=>{${body}\n})${name}`);
}
