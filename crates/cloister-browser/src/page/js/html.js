// The outer HTML of the page or an element.
function (whole) {
  if (!whole) return this.outerHTML ?? this.textContent;
  const type = document.doctype ? `<!DOCTYPE ${document.doctype.name}>\n` : "";
  return type + document.documentElement.outerHTML;
}
