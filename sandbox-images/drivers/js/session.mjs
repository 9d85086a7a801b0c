/**
 * One session: takes `run` requests from the cell channel, runs the cells and answers.
 *
 *   run ─▶ strip types ─▶ rewrite ─▶ evaluate ─▶ value ─▶ one turn of the event loop ─▶ frames, done
 *              └───────── guest code may run: interrupts are armed ─────────┘
 *
 * A cell ends with the first of: its last statement, an uncaught error (also in a callback or a promise that it
 * started), `exit(n)`, an interrupt. Timers, servers and promises that are still pending after an ordinary end go on.
 */
import { AsyncLocalStorage } from 'node:async_hooks';
import process from 'node:process';
import { setImmediate } from 'node:timers';
import { isPromise } from 'node:util/types';
import { Cell } from './cell.mjs';
import { Channel } from './channel.mjs';
import { CellEnded, CellExit, KeyboardInterrupt, describe, isSilent, trimStacks } from './errors.mjs';
import { prepare } from './evaluate.mjs';
import { isBundle } from './forms.mjs';
import { baseline, declare, provide } from './globals.mjs';
import { Interrupts } from './interrupt.mjs';
import { rewrite } from './rewrite.mjs';
import { stripTypes } from './typescript.mjs';

/** Sources kept to show the line of an error; older cells show only the stack. */
const SOURCES_KEPT = 200;

/** Exit status of the driver when the channel brings something else than frames. */
const NOT_A_FRAME = 2;

/** Exit code of an interrupted cell: 128 + SIGINT, as shells report it. */
const INTERRUPTED = 130;

export class Session {
  #runtime;
  #channel;
  #interrupts;
  #restore;
  #context = new AsyncLocalStorage();
  #sources = new Map();
  /** @type {Cell|null} */
  #cell = null;
  #count = 0;
  #last = Promise.resolve();

  /**
   * @param {object} runtime what differs between Node and Deno:
   *   `version`; `inspect(value)`; `terminates`: execution can be terminated from another thread;
   *   `importModule(specifier, options)`; `reset()`: the process's own state for `clear`;
   *   `warn(text)`: write to descriptor 2; `leave(code)`: end the process
   * @param {{cell: number, interrupt: number|null}} fds
   */
  constructor(runtime, fds) {
    this.#runtime = runtime;
    trimStacks();
    this.#provideHooks();
    this.#channel = new Channel(
      fds.cell,
      (request, code) => this.#accept(request, code.toString('utf8')),
      (reason) => {
        if (reason !== 'closed') runtime.warn(`cell channel: ${reason}\n`);
        runtime.leave(reason === 'closed' ? 0 : NOT_A_FRAME);
      },
    );
    // What follows costs milliseconds; a request is read only after it.
    this.#channel.send({ ev: 'ready', version: runtime.version });
    this.#interrupts = new Interrupts(fds.interrupt, {
      terminate: runtime.terminates,
      onInterrupt: (cell) => this.#interrupted(cell),
    });
    this.#restore = baseline();
  }

  #accept(request, code) {
    if (request.op === 'warm') {
      this.#last = this.#last.then(() => this.#warm());
      return;
    }
    if (request.op !== 'run') throw new Error(`unknown op ${JSON.stringify(request.op)}`);
    this.#last = this.#last.then(() => this.#run(request, code));
  }

  /** Loads what the first cells would wait for; leaves nothing that a cell can see. */
  async #warm() {
    const scripts = rewrite(stripTypes('const warm: number = await 1;'), { looseImports: true });
    this.#runtime.inspect([scripts]);
    await prepare({ functions: 'void 0', body: 'await 0' }, 0)();
    this.#channel.send({ ev: 'warmed' });
  }

  #run(request, code) {
    if (request.clear) this.#clear();
    this.#count += 1;
    const cell = new Cell(this.#count, request, this.#channel, this.#runtime);
    this.#cell = cell;
    this.#sources.set(cell.number, code);
    this.#sources.delete(cell.number - SOURCES_KEPT);
    process.exitCode = undefined;
    this.#interrupts.arm(cell.number);
    this.#context.run(cell, () => this.#guest(cell, code, request.language)).then(
      () => cell.end({ status: 'ok' }),
      (error) => cell.end(this.#outcomeOf(error)),
    );
    // One turn first: rejections that nobody handled and errors of `nextTick` are reported there, and are the cell's.
    cell.outcome.then(() => setImmediate(() => this.#finish(cell)));
    return cell.finished;
  }

  async #guest(cell, code, language) {
    if (language !== 'javascript' && language !== 'typescript') {
      throw new TypeError(`this runtime runs javascript and typescript, not ${JSON.stringify(language)}`);
    }
    const typed = language === 'typescript';
    let scripts;
    try {
      scripts = rewrite(typed ? stripTypes(code) : code, { looseImports: typed });
    } catch (error) {
      if (error instanceof SyntaxError) error.cell = cell.number;
      throw error;
    }
    declare(scripts.names);
    const body = prepare(scripts, cell.number);
    await this.#interrupts.call(body);
    // `main()` and `fetch(…).then(…)` as a last line mean: wait for it.
    if (isPromise(cell.value)) cell.value = await cell.value;
    if (cell.value !== undefined) await cell.show('value', cell.value, null);
    await cell.shown;
  }

  #outcomeOf(error) {
    if (error instanceof KeyboardInterrupt) return { status: 'interrupted', error };
    if (error instanceof CellExit) return { status: 'exit', code: error.code };
    return { status: 'error', error };
  }

  #finish(cell) {
    const outcome = cell.close(process.exitCode);
    process.exitCode = undefined;
    // Showing an error runs code of the guest, so it belongs to what can still be interrupted.
    const report = 'error' in outcome ? this.#context.run(cell, () => this.#describe(outcome.error)) : null;
    this.#interrupts.disarm();
    this.#cell = null;
    if (outcome.status === 'ok') {
      cell.sendValue();
      cell.sendDone('ok', 0);
    } else if (outcome.status === 'exit') {
      cell.sendDone('exit', outcome.code);
    } else {
      cell.sendError(report);
      cell.sendDone(outcome.status, outcome.status === 'interrupted' ? INTERRUPTED : 1);
    }
  }

  /** The event loop got the interrupt: the cell awaits something, or has just ended. */
  #interrupted(number) {
    const cell = this.#cell;
    if (cell?.number === number) cell.kill({ status: 'interrupted', error: new KeyboardInterrupt() });
  }

  /** The running cell, or null. */
  get running() {
    return this.#cell;
  }

  /**
   * An exception or rejection that no guest code caught. Never ends the runtime.
   * @param {unknown} error @param {Cell|null} cell the cell that it is of
   */
  uncaught(error, cell = this.#context.getStore() ?? this.#cell) {
    if (isSilent(error)) return;
    if (cell && cell === this.#cell && cell.fail({ status: 'error', error })) return;
    const { traceback } = this.#describe(error);
    const where = cell ? `in the background of cell ${cell.number}` : 'in the background';
    this.#runtime.warn(`Uncaught error ${where}:\n${traceback}`);
  }

  #describe(error) {
    return describe(error, this.#runtime.inspect, this.#sources);
  }

  /** `process.exit`, `Deno.exit`: ends the cell, keeps the state. Never returns. */
  exit(code) {
    const number = Number(code ?? process.exitCode ?? 0) & 0xff;
    const cell = this.#context.getStore() ?? this.#cell;
    if (cell && cell === this.#cell) cell.kill({ status: 'exit', code: number });
    else this.#runtime.warn(`exit(${number}) is ignored: the cell that called it had ended\n`);
    throw new CellExit(number);
  }

  #clear() {
    this.#restore();
    this.#runtime.reset();
    this.#sources.clear();
  }

  /** What rewritten code calls. */
  #provideHooks() {
    const running = () => this.#context.getStore();
    provide('__cell_value', (value) => {
      const cell = running();
      if (cell) cell.value = value;
    });
    provide('__cell_check', (value) => {
      if (running()?.killed) throw new CellEnded();
      return value;
    });
    provide('__cell_loop', () => {
      if (this.#interrupts.flagged && running() === this.#cell) throw new KeyboardInterrupt();
    });
    provide('__cell_import', async (specifier, options, wanted = []) => {
      const namespace = await this.#runtime.importModule(String(specifier), options);
      for (const name of wanted) {
        if (name in namespace) continue;
        throw new SyntaxError(`The requested module '${specifier}' does not provide an export named '${name}'`);
      }
      if (running()?.killed) throw new CellEnded();
      return namespace;
    });
    provide('display', (value) => {
      const cell = running() ?? this.#cell;
      return cell?.show('display', value, isBundle(value) ? value : null);
    });
  }
}

/** The descriptors that init named; the variables are removed, so that programs started here do not see them. */
export function takeDescriptors(env = process.env) {
  const cell = Number(env.CLOISTER_CELL_FD);
  const interrupt = env.CLOISTER_INTERRUPT_FD === undefined ? null : Number(env.CLOISTER_INTERRUPT_FD);
  delete env.CLOISTER_CELL_FD;
  delete env.CLOISTER_INTERRUPT_FD;
  if (!Number.isInteger(cell) || cell < 3 || (interrupt !== null && !(interrupt >= 3))) {
    process.stderr.write('CLOISTER_CELL_FD does not name a descriptor: this program is started by the sandbox init\n');
    process.exit(64);
  }
  return { cell, interrupt };
}
