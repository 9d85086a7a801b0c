/** The thread that reads the interrupt pipe while the main thread may be stuck in guest code. See interrupt.mjs. */
import inspector from 'node:inspector';
import net from 'node:net';
import { parentPort, workerData } from 'node:worker_threads';
import { FLAGGED, PHASE, PHASE_BITS, WORD, wordOf } from './interrupt.mjs';

/** Time for a loop or the event loop to take the interrupt by itself. */
const PATIENCE_MS = 50;

const { fd, shared, terminate } = workerData;
let session = null;
if (terminate) {
  session = new inspector.Session();
  session.connectToMainThread();
}

const pipe = new net.Socket({ fd, readable: true, writable: false });
pipe.on('error', () => {});
pipe.on('data', interrupt);

function interrupt() {
  const word = Atomics.load(shared, WORD);
  const cell = word >> PHASE_BITS;
  if (word === wordOf(cell, PHASE.IDLE)) return;
  Atomics.store(shared, FLAGGED, cell);
  parentPort.postMessage(cell);
  const calling = wordOf(cell, PHASE.CALLING);
  if (!terminate || word !== calling) return;
  Atomics.wait(shared, WORD, calling, PATIENCE_MS);
  if (Atomics.compareExchange(shared, WORD, calling, wordOf(cell, PHASE.TERMINATING)) !== calling) return;
  session.post('Runtime.terminateExecution', () => Atomics.store(shared, WORD, wordOf(cell, PHASE.TERMINATED)));
}
