/**
 * The two things that Deno itself cannot do with a descriptor, by foreign calls.
 *
 * * Marking one close-on-exec: Deno starts programs with every descriptor that is not.
 * * Writing as much as a pipe takes: `Deno.stdout.writeSync` writes all or fails, and when a child process has made the
 *   shared pipe non-blocking it fails after an unknown part.
 */

const F_SETFD = 2;
const FD_CLOEXEC = 1;
const F_GETFL = 3;
const F_SETFL = 4;
const O_NONBLOCK = 0o4000;

export class Libc {
  #symbols = Deno.dlopen('libc.so.6', {
    fcntl: { parameters: ['i32', 'i32', 'i32'], result: 'i32' },
    write: { parameters: ['i32', 'buffer', 'usize'], result: 'isize' },
  }).symbols;

  closeOnExec(fd) {
    if (this.#symbols.fcntl(fd, F_SETFD, FD_CLOEXEC) !== 0) throw new Error(`descriptor ${fd} is not open`);
  }

  /** @param {number} fd @param {Uint8Array} bytes @returns {number} how many were taken; 0: try again */
  write(fd, bytes) {
    const taken = Number(this.#symbols.write(fd, bytes, BigInt(bytes.length)));
    if (taken >= 0) return taken;
    const flags = this.#symbols.fcntl(fd, F_GETFL, 0);
    if ((flags & O_NONBLOCK) === 0) throw new Error(`descriptor ${fd} takes no more output`);
    this.#symbols.fcntl(fd, F_SETFL, flags & ~O_NONBLOCK);
    return 0;
  }
}
