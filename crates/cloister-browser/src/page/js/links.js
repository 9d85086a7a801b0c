// Every link with its text and absolute address, in document order, each address with each text once.
function (whole) {
  const start = whole ? document : this.nodeType === 1 ? this : this.parentElement;
  const links = [];
  const seen = new Set();
  for (const root of roots(start)) {
    const found = [...root.querySelectorAll("a[href], area[href]")];
    if (root === start && !whole && start.matches("a[href]")) found.unshift(start);
    for (const link of found) {
      const url = typeof link.href === "string" ? link.href : link.href.baseVal;
      const image = link.querySelector("img[alt]")?.alt ?? "";
      const text = squeeze(link.innerText ?? link.textContent) || link.getAttribute("aria-label") || image || link.title || "";
      const key = `${url}\n${text}`;
      if (seen.has(key)) continue;
      seen.add(key);
      links.push({ text, url });
      if (links.length >= 5000) return links;
    }
  }
  return links;
}
