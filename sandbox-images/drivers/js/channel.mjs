/**
 * The cell channel: length-prefixed frames over a connected stream socket (sandbox-images/PROTOCOL.md).
 *
 *   frame = u32 json_length | u32 blob_length | json | blob          (big-endian)
 *
 * Frames arrive through the event loop, so timers and promises of the guest run between cells; a frame is sent with one
 * write, which the kernel takes at once as long as its buffer has room.
 */
import { Buffer } from 'node:buffer';
import net from 'node:net';

/** A longer json or blob means that framing is lost; refused before memory is taken for it. */
const JSON_LIMIT = 1 << 20;
const BLOB_LIMIT = 8 << 20;
const HEADER = 8;

export class Channel {
  #socket;
  #buffered = [];
  #length = 0;

  /**
   * @param {number} fd the socket
   * @param {(request: object, blob: Buffer) => void} onRequest
   * @param {(reason: string) => void} onEnd the peer is gone or speaks something else
   */
  constructor(fd, onRequest, onEnd) {
    this.#socket = new net.Socket({ fd, readable: true, writable: true });
    this.#socket.on('data', (chunk) => {
      this.#buffered.push(chunk);
      this.#length += chunk.length;
      try {
        for (let frame = this.#take(); frame; frame = this.#take()) onRequest(frame.json, frame.blob);
      } catch (error) {
        this.#socket.destroy();
        onEnd(error.message);
      }
    });
    this.#socket.on('error', () => onEnd('closed'));
    this.#socket.on('end', () => onEnd('closed'));
  }

  /** @param {object} json @param {Buffer[]} parts the blob, in pieces */
  send(json, parts = []) {
    const text = Buffer.from(JSON.stringify(json));
    const header = Buffer.alloc(HEADER);
    header.writeUInt32BE(text.length, 0);
    header.writeUInt32BE(parts.reduce((sum, part) => sum + part.length, 0), 4);
    this.#socket.write(Buffer.concat([header, text, ...parts]));
  }

  #take() {
    if (this.#length < HEADER) return null;
    let all = this.#buffered[0];
    if (all.length < HEADER) all = this.#join();
    const jsonLength = all.readUInt32BE(0);
    const blobLength = all.readUInt32BE(4);
    if (jsonLength > JSON_LIMIT || blobLength > BLOB_LIMIT) {
      throw new Error(`frame of ${jsonLength} + ${blobLength} bytes is larger than the protocol allows`);
    }
    const total = HEADER + jsonLength + blobLength;
    if (this.#length < total) return null;
    all = this.#join();
    this.#buffered = all.length > total ? [all.subarray(total)] : [];
    this.#length = all.length - total;
    const json = JSON.parse(all.toString('utf8', HEADER, HEADER + jsonLength));
    return { json, blob: all.subarray(HEADER + jsonLength, total) };
  }

  #join() {
    if (this.#buffered.length > 1) this.#buffered = [Buffer.concat(this.#buffered)];
    return this.#buffered[0];
  }
}
