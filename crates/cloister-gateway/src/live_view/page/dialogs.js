// Dialogs that the page opens (alert, confirm, prompt, leaving the page): shown to who has control, who answers them.

export class Dialogs {
  constructor(answer) {
    this.box = document.getElementById('dialog');
    this.text = document.getElementById('dialog-text');
    this.field = document.getElementById('dialog-answer');
    this.yes = document.getElementById('dialog-yes');
    this.no = document.getElementById('dialog-no');
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
    this.field.hidden = type !== 'prompt';
    this.no.hidden = type === 'alert';
    (type === 'prompt' ? this.field : this.yes).focus();
  }

  close() {
    this.box.hidden = true;
  }
}
