// Chooses options of a <select> by value or label. Gives {chosen} or {wrong: sentence}.
function (wanted) {
  const select = control(this.nodeType === 1 ? this : this.parentElement);
  if (select.localName !== "select") return { wrong: `${describe(select)} is no <select>: click it, then click the option` };
  const options = [...select.options];
  const list = options.slice(0, 30).map((option) => JSON.stringify(squeeze(option.label))).join(", ");
  if (wanted.length === 0 && !select.multiple) return { wrong: `name the option to choose; there are ${list}` };
  if (wanted.length > 1 && !select.multiple) return { wrong: "this <select> takes one option only" };
  const chosen = [];
  for (const name of wanted) {
    const plain = squeeze(name).toLowerCase();
    const option =
      options.find((option) => option.value === name) ??
      options.find((option) => squeeze(option.label) === squeeze(name)) ??
      options.find((option) => squeeze(option.label).toLowerCase() === plain);
    if (!option) return { absent: `there is no option ${JSON.stringify(name)}; there are ${list}` };
    if (option.disabled || option.parentElement.disabled) return { absent: `the option ${JSON.stringify(name)} is disabled` };
    chosen.push(option);
  }
  select.focus();
  if (select.multiple) for (const option of options) option.selected = chosen.includes(option);
  else chosen[0].selected = true;
  select.dispatchEvent(new Event("input", { bubbles: true, composed: true }));
  select.dispatchEvent(new Event("change", { bubbles: true }));
  return { chosen: chosen.map((option) => option.value) };
}
