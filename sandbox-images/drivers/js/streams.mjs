/**
 * Standard streams as a program in a sandbox meets them: writes go to the descriptor before the call returns, in order
 * with what child processes write; reads fail with a sentence that says why.
 */
import { Buffer } from 'node:buffer';
import { Readable, Writable } from 'node:stream';

export const NO_INPUT =
  'there is no standard input in this sandbox: put the value into the code, or read it from a file';

/** `process.stdout` and `process.stderr`. */
export class BlockingStream extends Writable {
  #write;

  /** @param {number} fd @param {(bytes: Uint8Array) => void} write writes everything or throws */
  constructor(fd, write) {
    super({ decodeStrings: true, emitClose: false, autoDestroy: false });
    this.fd = fd;
    this.#write = write;
  }

  _write(chunk, _encoding, callback) {
    try {
      this.#write(chunk);
      callback();
    } catch (error) {
      callback(error);
    }
  }

  /** The stream outlives the program's last word: later cells write to it too. */
  end(chunk, encoding, callback) {
    if (typeof chunk !== 'function' && chunk != null) this.write(chunk, typeof encoding === 'string' ? encoding : undefined);
    const done = [chunk, encoding, callback].find((argument) => typeof argument === 'function');
    if (done) queueMicrotask(done);
    return this;
  }

  destroy() {
    return this;
  }
}

/** Puts both streams, and a stdin that fails as soon as it is read, in the place of the runtime's own. */
export function replaceStreams(process, stdout, stderr) {
  let stdin = null;
  const properties = {
    stdout: { value: stdout, writable: true },
    stderr: { value: stderr, writable: true },
    // A new one after each failure: the next reader shall be told too.
    stdin: { get: () => (stdin && !stdin.destroyed ? stdin : (stdin = noInput())) },
  };
  for (const [name, property] of Object.entries(properties)) {
    Object.defineProperty(process, name, { ...property, enumerable: true, configurable: true });
  }
}

function noInput() {
  const stream = new Readable({
    read() {
      this.destroy(new Error(NO_INPUT));
    },
  });
  stream.fd = 0;
  return stream;
}

/**
 * Writes all bytes even where a child process has made the shared pipe non-blocking.
 * @param {(bytes: Uint8Array) => number} writeSome returns how many were taken
 */
export function writerOf(writeSome) {
  const pause = new Int32Array(new SharedArrayBuffer(4));
  return (data) => {
    let rest = typeof data === 'string' ? Buffer.from(data, 'utf8') : data;
    while (rest.length > 0) {
      try {
        rest = rest.subarray(writeSome(rest));
      } catch (error) {
        if (error.code !== 'EAGAIN') throw error;
        Atomics.wait(pause, 0, 0, 1);
      }
    }
  };
}
