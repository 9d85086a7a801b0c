// What a failed search may have meant: up to five descriptions, the most alike first.
function (kind, wanted) {
  const grams = (text) => {
    const plain = ` ${squeeze(text).toLowerCase()} `;
    const found = new Set();
    for (let at = 0; at + 2 < plain.length; at += 1) found.add(plain.slice(at, at + 3));
    return found;
  };
  const asked = grams(kind === "css" ? wanted.replace(/[^\p{L}\p{N}]+/gu, " ") : wanted);
  const alike = (text) => {
    const own = grams(text);
    let both = 0;
    for (const gram of own) if (asked.has(gram)) both += 1;
    return both === 0 ? 0 : (2 * both) / (own.size + asked.size);
  };
  const ranked = [];
  for (const root of roots(document)) {
    const which = kind === "css" ? "[id], [class], [name], a, button, input, select, textarea" : "a, button, input, select, textarea, label, summary, h1, h2, h3, [role], [aria-label], td, li, p, span";
    for (const element of [...root.querySelectorAll(which)].slice(0, 5000)) {
      if (!isVisible(element)) continue;
      const words = kind === "css"
        ? [element.id, element.getAttribute("class"), element.getAttribute("name"), element.localName].filter(Boolean)
        : [ownLabel(element), element.getAttribute("aria-label"), element.getAttribute("placeholder"), (element.innerText ?? "").slice(0, 200)].filter(Boolean);
      const score = Math.max(0, ...words.map(alike));
      if (score > 0.15) ranked.push({ score, text: describe(element) });
    }
  }
  ranked.sort((one, other) => other.score - one.score);
  return [...new Set(ranked.map(({ text }) => text))].slice(0, 5);
}
