/**
 * One running cell: how it ends, what it shows, and the frames it sends.
 */
import { Buffer } from 'node:buffer';
import { formsOf, ownBundle } from './forms.mjs';

/** All forms of one frame together stay below the protocol's 8 MiB for a blob. */
const FORMS_LIMIT = 8 << 20;

/** Longer texts of an error would break the limits of a frame, and no one would read them. */
const NAME_LIMIT = 200;
const MESSAGE_LIMIT = 16 << 10;
const TRACEBACK_LIMIT = 256 << 10;

export class Cell {
  number;
  id;
  /** Value of the last bare expression; undefined shows nothing. */
  value = undefined;
  /** What this cell left pending must not run on: it was interrupted, it exited, or it failed in a callback. */
  killed = false;
  /** Settles with the first way in which the cell ends: `{status, error?, code?}`. */
  outcome;
  /** Settles when `done` is sent. */
  finished;
  /** Settles when every display so far is sent. */
  shown = Promise.resolve();

  #channel;
  #runtime;
  #limit;
  #displaysLeft;
  #settle;
  #outcome = null;
  #failure = null;
  #valueForms = null;
  #queued = 0;

  /**
   * @param {number} number shown as `<cell number>`
   * @param {{id: string, display?: number, displays?: number}} request
   * @param {import('./channel.mjs').Channel} channel
   * @param {{inspect: Function, warn: Function}} runtime
   */
  constructor(number, request, channel, runtime) {
    this.number = number;
    this.id = request.id;
    this.#channel = channel;
    this.#runtime = runtime;
    this.#limit = Math.min(request.display || FORMS_LIMIT, FORMS_LIMIT);
    this.#displaysLeft = request.displays ?? 0;
    this.outcome = new Promise((resolve) => {
      this.#settle = resolve;
    });
    this.finished = new Promise((resolve) => {
      this.release = resolve;
    });
  }

  /** The first outcome counts. */
  end(outcome) {
    this.#outcome ??= outcome;
    this.#settle();
  }

  kill(outcome) {
    this.killed = true;
    this.end(outcome);
  }

  /** An error that nobody caught. False if the cell has one already, so that the caller reports this one. */
  fail(outcome) {
    if (this.#failure) return false;
    this.#failure = outcome;
    this.kill(outcome);
    return true;
  }

  /** How it ended, all things considered. @param {unknown} exitCode `process.exitCode` as the cell left it */
  close(exitCode) {
    const outcome = this.#outcome ?? { status: 'ok' };
    if (outcome.status !== 'ok') return outcome;
    if (this.#failure) return this.#failure;
    const code = Number(exitCode ?? 0) & 0xff;
    return code === 0 ? outcome : { status: 'exit', code };
  }

  /**
   * Sends a display, or keeps the value for the end. Forms are made now, because the value may change later; only a
   * bundle that is promised is waited for, and then later displays wait too, so that the order is the cell's.
   * @param {'display'|'value'} kind @param {unknown} value @param {object|null} bundle
   */
  show(kind, value, bundle) {
    const own = bundle ?? ownBundle(value);
    const make = (resolved) => formsOf(value, resolved, this.#runtime.inspect, this.#limit);
    const deliver = (forms) => {
      if (kind === 'value') this.#valueForms = forms;
      else this.#display(forms);
    };
    if (typeof own?.then !== 'function') {
      const forms = make(own);
      if (this.#queued === 0) return void deliver(forms);
      return this.#queue(() => deliver(forms));
    }
    return this.#queue(async () => deliver(make(await own)));
  }

  #queue(step) {
    this.#queued += 1;
    const result = this.shown.then(step).finally(() => {
      this.#queued -= 1;
    });
    this.shown = result.catch(() => {});
    return result;
  }

  #display(forms) {
    this.#displaysLeft -= 1;
    if (this.#displaysLeft >= 0) this.#sendForms('display', forms);
    else if (this.#displaysLeft === -1) this.#runtime.warn('display: too many displays in one cell, the rest is left out\n');
  }

  sendValue() {
    if (this.#valueForms) this.#sendForms('value', this.#valueForms);
  }

  #sendForms(ev, forms) {
    const index = forms.map(({ mime, data }) => ({ mime, len: data.length }));
    this.#channel.send({ ev, id: this.id, forms: index }, forms.map(({ data }) => data));
  }

  /** @param {{name: string, message: string, traceback: string}} error */
  sendError({ name, message, traceback }) {
    const frame = { ev: 'error', id: this.id, name: clip(name, NAME_LIMIT), message: clip(message, MESSAGE_LIMIT) };
    this.#channel.send(frame, [Buffer.from(clip(traceback, TRACEBACK_LIMIT))]);
  }

  /** @param {string} status @param {number} exitCode */
  sendDone(status, exitCode) {
    this.#channel.send({ ev: 'done', id: this.id, status, exit_code: exitCode });
    this.release();
  }
}

function clip(text, limit) {
  return text.length <= limit ? text : `${text.slice(0, limit)}… (${text.length - limit} more characters)`;
}
