// Puts the cursor into an editable element, with its content selected if it shall be replaced. Kinds of input that take no typing get
// their value at once. Gives what remains to be done: "type", "done", or a sentence that says why not.
function (text, replace) {
  const element = control(this.nodeType === 1 ? this : this.parentElement);
  const { localName: tag, type } = element;
  if (tag === "input") {
    if (["checkbox", "radio", "submit", "button", "reset", "image"].includes(type)) return `an <input type=${type}> takes no text: click it`;
    if (type === "file") return "an <input type=file> takes no text: use an upload step";
    if (["color", "date", "datetime-local", "month", "range", "time", "week"].includes(type)) {
      element.focus();
      element.value = text;
      if (element.value !== text) return `${JSON.stringify(text)} is no value for an <input type=${type}>`;
      element.dispatchEvent(new Event("input", { bubbles: true, composed: true }));
      element.dispatchEvent(new Event("change", { bubbles: true }));
      return "done";
    }
  } else if (tag === "select") {
    return "a <select> takes no text: use a select step";
  } else if (tag !== "textarea" && !element.isContentEditable) {
    return `${describe(element)} is neither an input nor editable`;
  }
  element.focus();
  if (tag === "input" || tag === "textarea") {
    if (replace) element.select();
    else if (element.selectionStart !== null) element.setSelectionRange(element.value.length, element.value.length);
    return element.value === "" && text === "" ? "done" : "type";
  }
  const selection = element.ownerDocument.defaultView.getSelection();
  selection.selectAllChildren(element);
  if (!replace) selection.collapseToEnd();
  return element.textContent === "" && text === "" ? "done" : "type";
}
