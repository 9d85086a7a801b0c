/**
 * Values as MIME forms: what `value` and `display` frames carry.
 *
 * A value may bring its own forms with the method `Symbol.for("Jupyter.display")` (Deno's convention), which returns
 * `{mime: data}`; `display({"image/png": bytes})` takes such a bundle as it is. Data is a string, bytes, or anything
 * that JSON can hold; pictures may be base64 strings, as Jupyter writes them.
 */
import { Buffer } from 'node:buffer';

const OWN_FORMS = Symbol.for('Jupyter.display');
const MIME = /^[a-z]{1,20}\/[\w.+-]{1,100}$/;
/** More forms of one value than this are dropped: their list must fit into the json of a frame. */
const MOST_FORMS = 32;
const BINARY = /^(image\/(?!svg)|audio\/|video\/|application\/(pdf|octet-stream)$)/;

/** The bundle that a value brings itself, a promise of it, or null. */
export function ownBundle(value) {
  return typeof value?.[OWN_FORMS] === 'function' ? value[OWN_FORMS]() : null;
}

/** True for a plain object whose every key is a MIME type. */
export function isBundle(value) {
  if (!isPlain(value)) return false;
  const keys = Object.keys(value);
  return keys.length > 0 && keys.every((key) => MIME.test(key));
}

/**
 * @param {unknown} value
 * @param {object|null} bundle the forms to show instead of those that can be made of the value
 * @param {(value: unknown) => string} inspect
 * @param {number} limit bytes of all forms together
 * @returns {{mime: string, data: Buffer}[]} with `text/plain` among them
 */
export function formsOf(value, bundle, inspect, limit) {
  const forms = new Map();
  for (const [mime, data] of Object.entries(bundle ?? {}).slice(0, MOST_FORMS)) {
    if (MIME.test(mime) && data != null) forms.set(mime, bytesOf(mime, data));
  }
  const json = bundle ? null : jsonOf(value);
  if (json !== null) forms.set('application/json', Buffer.from(json));
  if (!forms.has('text/plain')) {
    forms.set('text/plain', Buffer.from(bundle && bundle === value ? `<${[...forms.keys()].join(', ')}>` : inspect(value)));
  }
  return fit([...forms].map(([mime, data]) => ({ mime, data })), limit);
}

function isPlain(value) {
  if (typeof value !== 'object' || value === null) return false;
  const prototype = Object.getPrototypeOf(value);
  return prototype === null || prototype === Object.prototype;
}

/** Null for what is not data (class instances, functions) and for what JSON refuses (cycles, BigInt). */
function jsonOf(value) {
  if (!Array.isArray(value) && !isPlain(value)) return null;
  try {
    return JSON.stringify(value) ?? null;
  } catch {
    return null;
  }
}

function bytesOf(mime, data) {
  if (data instanceof ArrayBuffer) return Buffer.from(data);
  if (ArrayBuffer.isView(data)) return Buffer.from(data.buffer, data.byteOffset, data.byteLength);
  if (typeof data === 'string') return Buffer.from(data, BINARY.test(mime) ? 'base64' : 'utf8');
  return Buffer.from(JSON.stringify(data) ?? String(data));
}

/** Leaves out the largest rich forms until the rest fits, then cuts the text; the text says what was done. */
function fit(forms, limit) {
  const text = forms.find((form) => form.mime === 'text/plain');
  const size = () => forms.reduce((sum, form) => sum + form.data.length, 0);
  if (size() <= limit) return forms;
  const notes = text.data.length > limit ? [`[cut here: a display may have at most ${limit} bytes]`] : [];
  // Half of the room is enough for the text; a rich form that would take that away goes first.
  const room = limit - Math.min(text.data.length, limit >> 1);
  const rich = forms.filter((form) => form !== text).sort((a, b) => a.data.length - b.data.length);
  while (rich.reduce((sum, form) => sum + form.data.length, 0) > room) {
    const { mime, data } = rich.pop();
    notes.push(`[${mime} left out: it has ${data.length} bytes, and a display may have at most ${limit}]`);
  }
  const note = Buffer.from(notes.map((line) => `\n${line}`).join(''));
  const left = limit - note.length - rich.reduce((sum, form) => sum + form.data.length, 0);
  text.data = Buffer.concat([cutText(text.data, Math.max(left, 0)), note]).subarray(0, limit);
  return [...rich, text];
}

/** The first `length` bytes, less what would be half a character. */
function cutText(data, length) {
  if (data.length <= length) return data;
  while (length > 0 && (data[length] & 0xc0) === 0x80) length -= 1;
  return data.subarray(0, length);
}
