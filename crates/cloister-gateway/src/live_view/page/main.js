// The live view: puts connection, tabs, screen, input and dialogs together.
//
//   Cdp ──events──▶ Tabs ──show──▶ attach ──▶ Page.startScreencast ──frames──▶ Screen
//    ▲                                                                          │
//    └──────────── Input, address bar, tab buttons, dialogs (only with control) ◀┘

import { Cdp } from './cdp.js';
import { Dialogs } from './dialogs.js';
import { Input } from './input.js';
import { Screen, bytesOf } from './screen.js';
import { Tabs } from './tabs.js';

const id = (name) => document.getElementById(name);
const { stream, control, access, role } = document.body.dataset;
const place = { stream, control, access };
const state = { connected: false, taken: false, session: undefined, attaching: 0, crashed: false };

const mine = () => state.connected && state.taken && role === 'control';
const page = (method, params) => cdp.call(method, params, state.session);
/** For calls whose answer nobody waits for. What the browser refuses is shown. */
const send = (method, params) => { if (state.session) page(method, params).catch(fault); };
// The link that has opened this page opens its recording as well, for as long as it is good.
id('recorded').hidden = !document.body.dataset.recording;
id('recorded').addEventListener('click', () => {
  const query = new URLSearchParams(location.search);
  query.set('show', 'recording');
  location.search = query;
});
const fault = (error) => { id('fault').textContent = error.message; };

const screen = new Screen(id('screen'));
const cdp = new Cdp(place, { opened, closed, event });
const tabs = new Tabs(id('tabs'), {
  show: attach,
  changed: (tab) => address(tab.url),
  choose: (tab) => { if (mine()) cdp.call('Target.activateTarget', { targetId: tab }).catch(fault); tabs.select(tab); },
  close: (tab) => cdp.call('Target.closeTarget', { targetId: tab }).catch(fault),
  add: () => cdp.call('Target.createTarget', { url: 'about:blank' }).catch(fault),
  mine,
});
const dialogs = new Dialogs((accept, promptText) => {
  page('Page.handleJavaScriptDialog', { accept, promptText }).then(() => dialogs.close()).catch(fault);
});
new Input(screen, id('keys'), { send, mine, behind: () => cdp.behind, refused: () => notice(whyNot(), 4000) });

function opened() {
  state.connected = true;
  notice();
  tabs.reset();
  cdp.call('Target.setDiscoverTargets', { discover: true }).then(() => tabs.ready()).catch(fault);
  redraw();
}

function closed(text, again) {
  state.connected = false;
  state.session = undefined;
  dialogs.close();
  notice(again ? `Connecting again: ${text}` : `Closed: ${text}`);
  redraw();
}

function event(message) {
  if (message.method === 'Cloister.liveView') return heard(message.params);
  if (message.method === 'Target.targetCrashed') return crashed(message.params);
  if (!message.sessionId) return tabs.event(message);
  if (message.sessionId !== state.session) return;
  if (message.method === 'Page.screencastFrame') return frame(message.params);
  dialogs.event(message);
}

function crashed({ targetId }) {
  if (targetId !== tabs.shown) return;
  state.crashed = true;
  notice('The page has crashed. Load it again, or go elsewhere.');
}

/** What the server says of the session: who has control, and the access that the next connection needs. */
function heard({ automation, access: renewed }) {
  if (renewed) place.access = renewed;
  if (automation !== undefined && state.taken !== (automation === 'DISABLED')) {
    state.taken = automation === 'DISABLED';
    notice();
    tabs.draw();
    // A new session, if control is given back, forgets that the page's dialogs were waited for.
    if (state.taken) watchDialogs();
    else if (role === 'control' && state.session) attach(tabs.current());
  }
  redraw();
}

async function attach(tab) {
  const turn = ++state.attaching;
  const before = state.session;
  state.session = undefined;
  id('fault').textContent = '';
  dialogs.close();
  if (before) cdp.call('Target.detachFromTarget', { sessionId: before }).catch(() => {});
  address(tab?.url ?? '');
  if (!tab) { screen.clear(); return; }
  try {
    const { sessionId } = await cdp.call('Target.attachToTarget', { targetId: tab.id, flatten: true });
    // Another tab was chosen while this one was attached.
    if (turn !== state.attaching) { await cdp.call('Target.detachFromTarget', { sessionId }); return; }
    state.session = sessionId;
    watchDialogs();
    cast();
  } catch (error) {
    fault(error);
  }
}

/** Dialogs wait for an answer as long as anybody has asked to hear of them, so only who can answer asks. */
function watchDialogs() {
  if (mine()) send('Page.enable', {});
}

/** Frames no larger than the canvas, which is what can be seen of them. */
function cast() {
  const { width: maxWidth, height: maxHeight } = screen.canvas;
  send('Page.startScreencast', { format: 'jpeg', quality: 80, maxWidth, maxHeight });
}

async function frame({ data, metadata, sessionId }) {
  try {
    await screen.show(bytesOf(data), { width: metadata.deviceWidth, height: metadata.deviceHeight, top: metadata.offsetTop });
    if (state.crashed) { state.crashed = false; notice(); }
  } finally {
    // After it was drawn, so that a slow window gets fewer frames and not late ones.
    send('Page.screencastFrameAck', { sessionId });
  }
}

function address(url) {
  if (document.activeElement !== id('url')) id('url').value = url;
}

function whyNot() {
  return role === 'control' ? 'Take control to use the page.' : 'This link is for watching only.';
}

let noticeTimer;
function notice(text = '', time = 0) {
  clearTimeout(noticeTimer);
  id('notice').textContent = text;
  id('notice').hidden = text === '';
  if (time) noticeTimer = setTimeout(() => notice(), time);
}

function redraw() {
  id('link').textContent = state.connected ? 'Connected' : 'Not connected';
  id('who').textContent = state.taken ? 'Control: a person' : 'Control: automation';
  id('take').hidden = role !== 'control';
  id('take').disabled = !state.connected;
  id('take').textContent = state.taken ? 'Release control' : 'Take control';
  id('screen').classList.toggle('mine', mine());
  id('url').readOnly = !mine();
  for (const name of ['back', 'forward', 'reload']) id(name).disabled = !mine();
}

async function move(step) {
  const { currentIndex, entries } = await page('Page.getNavigationHistory');
  const entry = entries[currentIndex + step];
  if (entry) await page('Page.navigateToHistoryEntry', { entryId: entry.id });
}

async function go(typed) {
  // A name alone is meant for the web; a port, an address or localhost for a server that rarely has a certificate.
  const bare = /^(localhost|\[|[\d.]+(?=[:/]|$)|[^/]*:\d)/i.test(typed) ? 'http' : 'https';
  const url = /^[a-z][a-z0-9+.-]*:(?!\d)/i.test(typed) ? typed : `${bare}://${typed}`;
  try {
    const { errorText } = await page('Page.navigate', { url });
    if (errorText) throw new Error(`${url}: ${errorText}`);
  } catch (error) {
    // The bar says where the page is, and not where it was to go.
    address(tabs.current()?.url ?? '');
    throw error;
  }
}

async function take() {
  const answer = await fetch(`${place.control}?${place.access}`, {
    method: 'POST', headers: { 'content-type': 'application/json' }, body: JSON.stringify({ take: !state.taken }),
  });
  const said = await answer.json();
  if (!answer.ok) throw new Error(said.error?.message ?? `the server answers ${answer.status}`);
  heard(said);
}

function tried(act) {
  id('fault').textContent = '';
  act().catch(fault);
}

id('take').addEventListener('click', () => tried(take));
id('back').addEventListener('click', () => tried(() => move(-1)));
id('forward').addEventListener('click', () => tried(() => move(1)));
id('reload').addEventListener('click', () => tried(() => page('Page.reload')));
id('bar').addEventListener('submit', (event) => {
  event.preventDefault();
  if (!mine()) return notice(whyNot(), 4000);
  id('url').blur();
  tried(() => go(id('url').value.trim()));
});

let fitting;
new ResizeObserver(() => {
  clearTimeout(fitting);
  fitting = setTimeout(() => { if (screen.fit()) { send('Page.stopScreencast', {}); cast(); } }, 200);
}).observe(id('stage'));

// The browser does not say when a script or a late document changes a title.
setInterval(() => {
  if (state.connected) cdp.call('Target.getTargets').then(({ targetInfos }) => tabs.refresh(targetInfos)).catch(() => {});
}, 1500);

setInterval(() => {
  id('rate').textContent = state.connected ? `${screen.rate()} frames/s` : '';
  id('size').textContent = screen.page ? `${Math.round(screen.page.width)} \u00d7 ${Math.round(screen.page.height)}` : '';
}, 500);

redraw();
cdp.open();
