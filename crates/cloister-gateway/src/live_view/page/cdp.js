// The CDP connection: calls with answers, events to listeners, and a new connection when one breaks.
//
//   call ──▶ WebSocket ──▶ the server's broker ──▶ the browser
//   listeners ◀── events ──┘      closed ──▶ why? (GET of the control path) ──▶ wait ──▶ open again, or give up and say why

const WAITS = [500, 1000, 2000, 4000, 8000];

export class Cdp {
  /** `place` is {stream, control, access}; `hear` has opened(), closed(text, again) and event(message). */
  constructor(place, hear) {
    this.place = place;
    this.hear = hear;
    this.tries = 0;
    this.waiting = new Map();
    this.last = 0;
  }

  open() {
    const url = new URL(this.place.stream, location.href);
    url.protocol = url.protocol.replace('http', 'ws');
    url.search = this.place.access;
    const socket = new WebSocket(url);
    this.socket = socket;
    socket.onopen = () => { this.hear.opened(); };
    socket.onmessage = (message) => this.read(message.data);
    socket.onclose = (end) => this.over(end);
  }

  /** Answers, or fails with the browser's words. */
  call(method, params = {}, sessionId = undefined) {
    if (this.socket?.readyState !== WebSocket.OPEN) return Promise.reject(new Error('not connected'));
    const id = ++this.last;
    this.socket.send(JSON.stringify({ id, method, params, sessionId }));
    return new Promise((resolve, reject) => this.waiting.set(id, { resolve, reject }));
  }

  /** How many calls wait for an answer. */
  get behind() { return this.waiting.size; }

  read(text) {
    const message = JSON.parse(text);
    if (message.id === undefined) return this.hear.event(message);
    // Only a browser that answers shows that the connection is good; then the next break starts from the shortest wait.
    this.tries = 0;
    const waiting = this.waiting.get(message.id);
    this.waiting.delete(message.id);
    if (message.error) waiting?.reject(new Error(message.error.message));
    else waiting?.resolve(message.result);
  }

  async over(end) {
    for (const { reject } of this.waiting.values()) reject(new Error('the connection was closed'));
    this.waiting.clear();
    const said = end.reason || (end.code === 1006 ? 'the connection broke' : `closed with code ${end.code}`);
    // A WebSocket does not tell why it was refused; the same question over plain HTTP does.
    const refused = await this.refusal();
    if (refused) return this.hear.closed(refused, false);
    const wait = WAITS[Math.min(this.tries++, WAITS.length - 1)] * (0.75 + Math.random() / 2);
    this.hear.closed(said, true);
    setTimeout(() => this.open(), wait);
  }

  /** Why there is nothing to come back to; undefined if there may be. */
  async refusal() {
    try {
      const answer = await fetch(`${this.place.control}?${this.place.access}`);
      if (answer.ok || answer.status >= 500 || answer.status === 429) return undefined;
      return (await answer.json()).error?.message ?? `the server answers ${answer.status}`;
    } catch {
      return undefined;
    }
  }
}
