// Mouse, wheel, keyboard, compositions and pastes of the person, as CDP input events of the page.
//
//   canvas ── pointer, wheel ──▶ Input.dispatchMouseEvent      (moves and wheel turns: one per frame of the window)
//   textarea ── keydown, keyup ──▶ Input.dispatchKeyEvent
//      ├── composition ──▶ Input.imeSetComposition ──▶ Input.insertText
//      └── paste, emoji picker, dictation ──▶ Input.insertText

const BUTTONS = ['left', 'middle', 'right', 'back', 'forward'];
const MAC = /Mac|iPhone|iPad/.test(navigator.platform);
/** A page that does not answer gets no more moves than this; clicks and keys still wait for it. */
const BEHIND = 16;

export class Input {
  /** `send(method, params)` goes to the page in front; `mine()` says whether the person may act; `behind()` counts waiting calls. */
  constructor(screen, keys, { send, mine, behind, refused }) {
    Object.assign(this, { screen, keys, send, mine, behind, refused });
    this.click = { count: 0, time: 0, x: 0, y: 0 };
    this.held = new Map();
    this.turn = undefined;
    this.move = undefined;
    this.composing = false;
    this.listen(screen.canvas);
    this.listenKeys(keys);
  }

  listen(canvas) {
    canvas.addEventListener('pointerdown', (event) => this.press(event));
    canvas.addEventListener('pointerup', (event) => this.release(event));
    canvas.addEventListener('pointercancel', (event) => this.release(event));
    canvas.addEventListener('pointermove', (event) => this.moved(event));
    canvas.addEventListener('wheel', (event) => this.wheel(event), { passive: false });
    canvas.addEventListener('contextmenu', (event) => event.preventDefault());
  }

  press(event) {
    event.preventDefault();
    const at = this.screen.at(event.clientX, event.clientY);
    if (!at?.inside) return;
    if (!this.mine()) return this.refused();
    this.keys.focus({ preventScroll: true });
    this.screen.canvas.setPointerCapture(event.pointerId);
    const again = event.timeStamp - this.click.time < 500
      && Math.hypot(at.x - this.click.x, at.y - this.click.y) < 5 && this.click.button === event.button;
    this.click = { count: again ? this.click.count + 1 : 1, time: event.timeStamp, button: event.button, x: at.x, y: at.y };
    this.flush();
    this.mouse('mousePressed', at, event, { button: BUTTONS[event.button] ?? 'left', clickCount: this.click.count });
    this.down = true;
  }

  release(event) {
    if (!this.down || !this.mine()) return;
    this.down = event.buttons !== 0;
    const at = this.screen.at(event.clientX, event.clientY);
    if (!at) return;
    this.flush();
    this.mouse('mouseReleased', at, event, { button: BUTTONS[event.button] ?? 'left', clickCount: this.click.count });
  }

  moved(event) {
    const at = this.screen.at(event.clientX, event.clientY);
    if (!at || !(at.inside || this.down) || !this.mine()) return;
    this.move = { at, event };
    this.later();
  }

  wheel(event) {
    event.preventDefault();
    const at = this.screen.at(event.clientX, event.clientY);
    if (!at?.inside || !this.mine()) return;
    // Lines and pages, as Firefox counts them, in pixels.
    const unit = [1, 40, 400][event.deltaMode] ?? 1;
    const before = this.turn ?? { deltaX: 0, deltaY: 0 };
    this.turn = { at, event, deltaX: before.deltaX + event.deltaX * unit, deltaY: before.deltaY + event.deltaY * unit };
    this.later();
  }

  later() {
    this.due ??= requestAnimationFrame(() => this.flush());
  }

  /** Sends what has been gathered, so that a click is never ahead of the move to it. */
  flush() {
    if (this.due !== undefined) cancelAnimationFrame(this.due);
    this.due = undefined;
    const { move, turn } = this;
    this.move = this.turn = undefined;
    if (this.behind() > BEHIND) return;
    if (move) this.mouse('mouseMoved', move.at, move.event, { button: BUTTONS[this.down ? this.click.button : -1] ?? 'none' });
    if (turn) this.mouse('mouseWheel', turn.at, turn.event, { deltaX: turn.deltaX, deltaY: turn.deltaY });
  }

  mouse(type, at, event, more) {
    this.send('Input.dispatchMouseEvent', {
      type, x: at.x, y: at.y, modifiers: modifiers(event), buttons: event.buttons ?? 0, pointerType: 'mouse', ...more,
    });
  }

  listenKeys(keys) {
    keys.addEventListener('keydown', (event) => this.keyDown(event));
    keys.addEventListener('keyup', (event) => this.keyUp(event));
    keys.addEventListener('blur', () => this.letGo());
    keys.addEventListener('compositionstart', () => { this.composing = true; });
    keys.addEventListener('compositionupdate', (event) => this.compose(event.data));
    keys.addEventListener('compositionend', (event) => {
      this.composing = false;
      keys.value = '';
      if (this.mine()) this.insert(event.data);
    });
    keys.addEventListener('paste', (event) => {
      event.preventDefault();
      if (this.mine()) this.insert(event.clipboardData.getData('text/plain'));
    });
    keys.addEventListener('input', (event) => {
      if (this.composing || event.isComposing) return;
      const text = keys.value;
      keys.value = '';
      if (this.mine()) this.insert(text);
    });
  }

  compose(text) {
    if (!this.mine()) return;
    this.send('Input.imeSetComposition', { text, selectionStart: text.length, selectionEnd: text.length });
  }

  insert(text) {
    // An empty text still ends a composition that was given up.
    this.send('Input.insertText', { text });
  }

  keyDown(event) {
    // Keys that belong to a composition: what they make comes as text. 229 is what Safari calls them.
    if (event.isComposing || event.keyCode === 229 || event.key === 'Process' || event.key === 'Dead') return;
    if ((event.ctrlKey || event.metaKey) && !event.altKey && event.key.toLowerCase() === 'v') return;
    event.preventDefault();
    if (!this.mine()) return this.refused();
    const key = described(event);
    if (!event.repeat) this.held.set(event.code, key);
    this.send('Input.dispatchKeyEvent', { ...key, type: key.text ? 'keyDown' : 'rawKeyDown', autoRepeat: event.repeat });
  }

  keyUp(event) {
    // A Mac says nothing of the keys that were released while its command key was down.
    if (MAC && event.key === 'Meta') return this.letGo();
    if (!this.held.delete(event.code) || !this.mine()) return;
    event.preventDefault();
    const { text, unmodifiedText, ...key } = described(event);
    this.send('Input.dispatchKeyEvent', { ...key, type: 'keyUp' });
  }

  /** Keys that were held when the window lost them would stay down for ever. */
  letGo() {
    const held = [...this.held.values()];
    this.held.clear();
    if (!this.mine()) return;
    for (const { text, unmodifiedText, ...key } of held) {
      this.send('Input.dispatchKeyEvent', { ...key, modifiers: 0, type: 'keyUp' });
    }
  }
}

/** Alt 1, Control 2, Meta 4, Shift 8. The page runs on Linux, so a Mac's command key is its control key. */
function modifiers(event) {
  const control = event.ctrlKey || (MAC && event.metaKey);
  return (event.altKey ? 1 : 0) | (control ? 2 : 0) | (!MAC && event.metaKey ? 4 : 0) | (event.shiftKey ? 8 : 0);
}

function described(event) {
  const key = { modifiers: modifiers(event), key: event.key, code: event.code, location: event.location,
    windowsVirtualKeyCode: event.keyCode, isKeypad: event.location === 3 };
  if (MAC && event.key === 'Meta') {
    Object.assign(key, { key: 'Control', code: event.code.replace('Meta', 'Control'), windowsVirtualKeyCode: 17 });
  }
  const graph = event.getModifierState('AltGraph');
  const plain = graph || !(event.ctrlKey || event.metaKey || event.altKey);
  const text = event.key === 'Enter' ? '\r' : [...event.key].length === 1 && plain ? event.key : '';
  // AltGr arrives as Control and Alt on some systems; the page would take it for a shortcut.
  if (graph) key.modifiers &= ~3;
  return text ? { ...key, text, unmodifiedText: text } : key;
}
