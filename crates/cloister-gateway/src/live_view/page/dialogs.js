// Dialogs that the page opens (alert, confirm, prompt, leaving the page): shown to all, answered by who has control.

export class Dialogs {
  constructor({ answer, mine }) {
    this.box = document.getElementById('dialog');
    this.text = document.getElementById('dialog-text');
    this.field = document.getElementById('dialog-answer');
    this.yes = document.getElementById('dialog-yes');
    this.no = document.getElementById('dialog-no');
    this.mine = mine;
    this.yes.addEventListener('click', () => answer(true, this.field.value));
    this.no.addEventListener('click', () => answer(false));
    this.field.addEventListener('keydown', (event) => { if (event.key === 'Enter') this.yes.click(); });
  }

  event({ method, params }) {
    if (method === 'Page.javascriptDialogOpening') this.open(params);
    if (method === 'Page.javascriptDialogClosed') this.close();
  }

  open({ type, message, defaultPrompt }) {
    this.type = type;
    const says = type === 'beforeunload' ? 'Leave this page? Changes that you made may not be saved.' : message;
    this.text.textContent = says;
    this.field.value = defaultPrompt ?? '';
    this.box.hidden = false;
    this.redraw();
    if (this.mine()) (type === 'prompt' ? this.field : this.yes).focus();
  }

  /** After control has changed hands. */
  redraw() {
    this.field.hidden = this.type !== 'prompt' || !this.mine();
    this.yes.hidden = !this.mine();
    this.no.hidden = !this.mine() || this.type === 'alert';
  }

  close() {
    this.box.hidden = true;
  }
}
