// Finds the element that a selector means: the first that is visible, else the first. A string says what is wrong with the selector.
function (kind, wanted) {
  const all = roots(document);
  if (kind === "css") {
    let hidden = null;
    for (const root of all) {
      let found;
      try {
        found = root.querySelectorAll(wanted);
      } catch (error) {
        return `${JSON.stringify(wanted)} is no CSS selector`;
      }
      for (const element of found) {
        if (isVisible(element)) return element;
        hidden ??= element;
      }
    }
    return hidden;
  }
  const needle = squeeze(wanted).toLowerCase();
  if (needle === "") return "an empty text matches everything";
  const candidates = [];
  // Gives the text below a node; a deepest element that holds the needle becomes a candidate.
  function collect(node) {
    if (node.nodeType === 3) return node.data;
    if (node.nodeType !== 1 || unseenTags.has(node.localName)) return "";
    const before = candidates.length;
    let text = ownLabel(node);
    for (const child of node.childNodes) {
      const inner = collect(child);
      const apart = child.nodeType === 1 && child.ownerDocument.defaultView?.getComputedStyle(child).display !== "inline";
      text += apart ? ` ${inner} ` : inner;
    }
    if (candidates.length === before) {
      const plain = squeeze(text).toLowerCase();
      if (plain.includes(needle)) candidates.push({ node, exact: plain === needle });
    }
    return text;
  }
  for (const root of all) for (const child of root.childNodes) collect(child);
  const visible = candidates.filter(({ node }) => isVisible(node));
  return (visible.find(({ exact }) => exact) ?? visible[0] ?? candidates[0])?.node ?? null;
}
