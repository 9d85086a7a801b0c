// The visible text of the page or an element, frames of the same process included.
function (whole) {
  const read = (element) => {
    if (["input", "textarea", "select"].includes(element.localName)) return element.value;
    let text = element.innerText ?? element.textContent ?? "";
    for (const root of roots(element).slice(1)) {
      const inner = root.body ?? root;
      const more = inner.innerText ?? [...inner.children].map((child) => child.innerText ?? "").join("\n");
      if (more.trim() !== "" && !text.includes(more.trim())) text += `\n${more}`;
    }
    return text;
  };
  const start = whole ? document.body ?? document.documentElement : this.nodeType === 1 ? this : this.parentElement;
  return start ? read(start).replace(/\u00a0/g, " ").replace(/[ \t]+\n/g, "\n").replace(/\n{3,}/g, "\n\n").trim() : "";
}
