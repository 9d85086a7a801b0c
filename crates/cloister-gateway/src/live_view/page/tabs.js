// The session's tabs: follows the targets of the browser, says which one is shown, and draws the list.
//
//   Target.targetCreated · targetInfoChanged · targetDestroyed ──▶ Tabs ──▶ show(tab)
//   a new tab is shown at once, as a browser would; when the shown one closes, the newest that is left is shown

export class Tabs {
  /** `show(tab)` is called with {id, title, url} when another tab is to be shown, and with undefined when there is none. */
  constructor(list, { show, changed, choose, close, add, mine }) {
    Object.assign(this, { list, show, changed, choose, close, add, mine });
    this.reset();
  }

  /** Forgets everything: a new connection hears of every target again. */
  reset() {
    this.known = new Map();
    this.before = this.shown ?? this.before;
    this.shown = undefined;
    this.listed = false;
    this.draw();
  }

  /** Every tab that there was has been told: the one of before the connection broke is shown, else the newest. */
  ready() {
    this.listed = true;
    this.select(this.known.has(this.before) ? this.before : [...this.known.keys()].pop());
  }

  event({ method, params }) {
    if (method === 'Target.targetCreated' && params.targetInfo.type === 'page') this.put(params.targetInfo, true);
    if (method === 'Target.targetInfoChanged' && this.known.has(params.targetInfo.targetId)) this.put(params.targetInfo, false);
    if (method === 'Target.targetDestroyed' && this.known.delete(params.targetId)) {
      if (this.shown === params.targetId) this.select([...this.known.keys()].pop());
      this.draw();
    }
  }

  /** Titles and addresses as they are now. */
  refresh(targets) {
    for (const target of targets) {
      const tab = this.known.get(target.targetId);
      if (tab && (tab.title !== target.title || tab.url !== target.url)) this.put(target, false);
    }
  }

  put({ targetId, title, url }, isNew) {
    const tab = { id: targetId, title, url };
    this.known.set(targetId, tab);
    if (isNew && this.listed) this.select(targetId);
    else if (this.shown === targetId) this.changed(tab);
    this.draw();
  }

  select(id) {
    if (id === this.shown) return;
    this.shown = id;
    this.show(this.known.get(id));
    this.draw();
  }

  current() {
    return this.known.get(this.shown);
  }

  draw() {
    const tabs = [...this.known.values()].map((tab) => this.drawn(tab));
    if (this.mine() && this.known.size > 0) tabs.push(button('+', 'New tab', () => this.add()));
    this.list.replaceChildren(...tabs);
  }

  drawn(tab) {
    const box = document.createElement('div');
    box.className = 'tab';
    box.setAttribute('role', 'presentation');
    const title = button(tab.title || tab.url || 'Empty', tab.url, () => this.choose(tab.id));
    title.className = 'title';
    title.setAttribute('role', 'tab');
    box.setAttribute('aria-selected', String(tab.id === this.shown));
    title.setAttribute('aria-selected', String(tab.id === this.shown));
    box.append(title);
    if (this.mine()) box.append(button('\u00d7', 'Close tab', () => this.close(tab.id)));
    return box;
  }
}

function button(text, title, act) {
  const made = document.createElement('button');
  made.type = 'button';
  made.textContent = text;
  made.title = title;
  made.addEventListener('click', act);
  return made;
}
