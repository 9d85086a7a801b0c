// The player of a recording: pictures on the canvas, events beside it, and a time line for both.
//
//   recording (list) ──▶ moments ──▶ time line ──at──▶ frame: fetch, draw    log: the last events until then

import { Screen } from './screen.js';

const id = (name) => document.getElementById(name);
const { session, recording } = document.body.dataset;
const SPEEDS = [1, 2, 4, 8, 0.5];
/** Events beside the picture. */
const SHOWN = 120;
/** A pause is no longer than this while playing, in milliseconds: nobody waits for a page that stands still. */
const PAUSE = 1500;

const screen = new Screen(id('screen'));
const state = { access: document.body.dataset.access, frames: [], events: [], read: 0, at: 0, playing: false, speed: 0, wanted: -1, drawn: -1 };

async function get(path, more = '') {
  const answer = await fetch(`${recording}${path}?${state.access}${more}`, { cache: 'no-store' });
  if (!answer.ok) {
    const body = await answer.json().catch(() => undefined);
    throw new Error(body?.error?.message ?? `the server answered ${answer.status}`);
  }
  return answer;
}

/** Reads what has come since; the list brings a new access, so that the page may stay open. */
async function load() {
  const list = await (await get('')).json();
  state.access = list.access ?? state.access;
  state.live = !list.endedAt;
  state.frames = list.frames;
  while (state.read < list.events.size) {
    const bytes = new Uint8Array(await (await get('/events', `&offset=${state.read}`)).arrayBuffer());
    if (!bytes.length) break;
    state.read += bytes.length;
    const lines = new TextDecoder().decode(bytes).split('\n').filter(Boolean);
    for (const line of lines) state.events.push(JSON.parse(line));
  }
  const times = [...state.frames, ...state.events].map((entry) => entry.at);
  state.begin = times.reduce((a, b) => Math.min(a, b), Infinity);
  state.end = times.reduce((a, b) => Math.max(a, b), 0);
  if (!times.length) state.begin = state.end = 0;
  id('time').max = state.end - state.begin;
  id('who').textContent = state.live ? 'Recording: the session is live' : 'Recording: the session has ended';
  id('size').textContent = `${state.frames.length} pictures, ${state.events.length} events${list.full ? ', cut: no more room' : ''}`;
  id('notice').hidden = state.frames.length > 0;
  id('notice').textContent = 'There are no pictures yet.';
  show();
}

/** The last entry of a list that is ordered by time, until then; -1 before the first. */
function last(list, at) {
  let [low, high] = [0, list.length];
  while (low < high) {
    const middle = (low + high) >> 1;
    if (list[middle].at <= at) low = middle + 1; else high = middle;
  }
  return low - 1;
}

function show() {
  const at = state.begin + state.at;
  id('time').value = state.at;
  id('clock').textContent = `${clock(state.at)} / ${clock(state.end - state.begin)}`;
  id('play').textContent = state.playing ? 'Pause' : 'Play';
  id('speed').textContent = `${SPEEDS[state.speed]}×`;
  // Before the first picture it is shown all the same: an empty stage says nothing.
  state.wanted = Math.max(last(state.frames, at), state.frames.length ? 0 : -1);
  log(at);
  draw();
}

/** Draws what is wanted, one at a time; what was wanted in between is skipped. */
async function draw() {
  if (state.drawing) return;
  state.drawing = true;
  try {
    while (state.wanted !== state.drawn && state.wanted >= 0) {
      const number = state.wanted;
      const bytes = await (await get(`/frames/${number}`)).arrayBuffer();
      await screen.show(bytes, { width: 1, height: 1 });
      state.drawn = number;
    }
  } catch (error) {
    fault(error);
  } finally {
    state.drawing = false;
  }
}

function log(at) {
  const end = last(state.events, at) + 1;
  const page = state.frames[state.wanted]?.page;
  const named = state.events.slice(0, end).findLast((event) => event.kind === 'page' && event.page === page);
  id('url').value = named?.url ?? '';
  if (state.logged === end) return;
  state.logged = end;
  id('log').replaceChildren(...state.events.slice(Math.max(0, end - SHOWN), end).map(row));
  id('log').lastElementChild?.scrollIntoView({ block: 'nearest' });
}

/** One event; a page's words are text and nothing else. */
function row(event) {
  const line = document.createElement('li');
  line.className = ['command', 'action'].includes(event.kind) ? 'asked' : event.kind;
  const [when, what] = [document.createElement('time'), document.createElement('span')];
  when.textContent = clock(event.at - state.begin);
  what.textContent = words(event).slice(0, 300);
  line.append(when, what);
  return line;
}

function words(event) {
  switch (event.kind) {
    case 'command': return `${event.role} ${event.client}: ${event.method}${event.verdict === 'refused' ? ' (refused)' : ''}`;
    case 'action': return `action ${event.name}: ${event.outcome}`;
    case 'page': return `page ${event.page}: ${event.title || event.url}`;
    case 'closed': return `page ${event.page} closed`;
    case 'console': return `${event.level}: ${event.text}`;
    case 'request': return `${event.method} ${event.url}`;
    case 'response': return `${event.status} ${event.mime}`;
    case 'failed': return `failed: ${event.error}`;
    case 'lost': return `${event.events} events came too fast and were lost`;
    case 'note': return event.text;
    case 'start': return `start: ${event.engine}`;
    default: return event.kind;
  }
}

function clock(millis) {
  const seconds = Math.max(0, Math.floor(millis / 1000));
  return `${Math.floor(seconds / 60)}:${String(seconds % 60).padStart(2, '0')}`;
}

function fault(error) {
  id('fault').textContent = error.message;
}

/** Moves on by the time that has passed, over long pauses faster. */
function tick(now) {
  const passed = (now - (state.ticked ?? now)) * SPEEDS[state.speed];
  state.ticked = now;
  if (state.playing) {
    const at = state.begin + state.at;
    const next = [state.frames, state.events].map((list) => list[last(list, at) + 1]?.at ?? Infinity);
    const gap = Math.min(...next) - at;
    state.at += gap > PAUSE && Number.isFinite(gap) ? Math.max(passed, gap - PAUSE) : passed;
    if (state.at >= state.end - state.begin) {
      state.at = state.end - state.begin;
      state.playing = false;
    }
    show();
  }
  requestAnimationFrame(tick);
}

id('play').addEventListener('click', () => {
  if (!state.playing && state.at >= state.end - state.begin) state.at = 0;
  state.playing = !state.playing;
  show();
});
id('speed').addEventListener('click', () => { state.speed = (state.speed + 1) % SPEEDS.length; show(); });
id('time').addEventListener('input', () => { state.playing = false; state.at = Number(id('time').value); show(); });
new ResizeObserver(() => screen.fit()).observe(id('stage'));
document.title = `Recording of ${session}`;
const again = () => load().catch(fault).finally(() => setTimeout(again, state.live ? 5000 : 60000));
again();
requestAnimationFrame(tick);
