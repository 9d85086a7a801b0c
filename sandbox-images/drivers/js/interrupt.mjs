/**
 * Interrupts: one byte on a pipe ends the running cell and leaves the state alive.
 *
 *   init ──byte──▶ pipe ──▶ worker thread ──┬─▶ a flag that every loop of the cells looks at   (cell loops)
 *                                           ├─▶ a message to the event loop                    (cell awaits)
 *                                           └─▶ Node, after 50 ms: Runtime.terminateExecution  (cell is in a regular
 *                                               expression, a sort, a library)
 *
 * Termination is used only before the first await of a cell: that part runs inside a frame of the inspector, which a
 * termination ends cleanly. Anywhere else it would leave Node's own bookkeeping torn, and Node aborts. Deno has no such
 * frame at all (`connectToMainThread` is not supported). What the three ways do not reach is left to the kill that follows.
 *
 * The two threads agree on one word, the cell's number and its phase, so that a byte which comes too late hits nothing:
 *
 *   IDLE ──arm──▶ RUNNING ──call──▶ CALLING ──worker──▶ TERMINATING ──inspector answers──▶ TERMINATED
 *     ▲              │ ▲───return──────┘                                                       │
 *     └──disarm──────┴────────────────────────────────────────────────────────────────────────┘
 */
import inspector from 'node:inspector';
import { Worker } from 'node:worker_threads';
import { CALL_NAME, KeyboardInterrupt } from './errors.mjs';
import { provide } from './globals.mjs';

export const PHASE = { IDLE: 0, RUNNING: 1, CALLING: 2, TERMINATING: 3, TERMINATED: 4 };

/** Shared words: cell and phase, and the number of the cell whose loops shall end. */
export const WORD = 0;
export const FLAGGED = 1;

/** Bits of the word that are the phase; those above are the number of the cell. */
export const PHASE_BITS = 3;
export const wordOf = (cell, phase) => (cell << PHASE_BITS) | phase;

const CALL = { expression: `__cell_call()\n//# sourceURL=${CALL_NAME}` };

export class Interrupts {
  #shared = new Int32Array(new SharedArrayBuffer(8));
  #cell = 0;
  /** The frame for calls that may be terminated; null where that does not exist. */
  #session = null;
  #call = null;

  /**
   * @param {number|null} fd the pipe, or null: no interrupts
   * @param {{terminate: boolean, onInterrupt: (cell: number) => void}} options `terminate`: the runtime can terminate
   *   execution from a worker; `onInterrupt`: called in the event loop
   */
  constructor(fd, { terminate, onInterrupt }) {
    if (fd === null) return;
    const flag = new Int32Array(this.#shared.buffer, FLAGGED * Int32Array.BYTES_PER_ELEMENT, 1);
    // Constant, so that compiled loops read the memory itself.
    Object.defineProperty(globalThis, '__cell_flag', { value: flag });
    if (terminate) {
      this.#session = new inspector.Session();
      this.#session.connect();
      provide('__cell_call', () => this.#call());
    }
    const worker = new Worker(new URL('./interrupt_worker.mjs', import.meta.url), {
      workerData: { fd, shared: this.#shared, terminate },
      execArgv: [],
    });
    worker.on('message', onInterrupt);
    worker.on('error', (error) => console.error(`cells cannot be interrupted: ${error?.message}`));
    worker.unref();
  }

  /** For loops: the flag is this cell's, not left from an earlier one. */
  get flagged() {
    return Atomics.load(this.#shared, FLAGGED) === this.#cell;
  }

  /** @param {number} cell from 1, another one each time */
  arm(cell) {
    this.#cell = cell;
    Atomics.store(this.#shared, FLAGGED, 0);
    this.#enter(PHASE.RUNNING);
  }

  /**
   * Calls a function in a frame that can be terminated.
   * @param {() => Promise<void>} run
   * @returns {Promise<void>} what it returned
   */
  call(run) {
    if (!this.#session) return run();
    let result = null;
    this.#call = () => {
      result = run();
    };
    this.#enter(PHASE.CALLING);
    this.#session.post('Runtime.evaluate', CALL);
    this.#leaveCall();
    if (result === null) throw new KeyboardInterrupt();
    return result;
  }

  /** Later bytes are for the next cell. */
  disarm() {
    this.#enter(PHASE.IDLE);
  }

  #enter(phase) {
    Atomics.store(this.#shared, WORD, wordOf(this.#cell, phase));
    Atomics.notify(this.#shared, WORD);
  }

  /** Afterwards no termination is under way: one that was asked for too late is run into here, where it does no harm. */
  #leaveCall() {
    const calling = wordOf(this.#cell, PHASE.CALLING);
    const running = wordOf(this.#cell, PHASE.RUNNING);
    if (Atomics.compareExchange(this.#shared, WORD, calling, running) === calling) return;
    const terminating = () => Atomics.load(this.#shared, WORD) === wordOf(this.#cell, PHASE.TERMINATING);
    this.#call = () => {
      // Spinning, not sleeping: a termination reaches only JavaScript that runs.
      while (terminating());
    };
    while (terminating()) this.#session.post('Runtime.evaluate', CALL);
    this.#enter(PHASE.RUNNING);
  }
}
