// What every script of ours may use: walking through documents, shadow trees and frames, and what a person sees of an element.
// These are declarations; world.rs puts them in front of each script.

// The document itself, open shadow roots, and documents of frames in the same process, in document order.
function roots(root) {
  const found = [root];
  for (const element of root.querySelectorAll("*")) {
    if (element.shadowRoot) found.push(...roots(element.shadowRoot));
    if (element.localName === "iframe" || element.localName === "frame") {
      const inner = innerDocument(element);
      if (inner) found.push(...roots(inner));
    }
  }
  return found;
}

// The document of a frame; null if it lives in another process.
function innerDocument(frame) {
  try {
    return frame.contentDocument;
  } catch {
    return null;
  }
}

function squeeze(text) {
  return text.replace(/[\s\u00a0]+/g, " ").trim();
}

// Whether it takes up room and is not made invisible. `display: contents` counts by its children.
function isVisible(element) {
  if (!element.isConnected) return false;
  const style = element.ownerDocument.defaultView?.getComputedStyle(element);
  if (!style || style.visibility !== "visible") return false;
  if (style.display === "contents") return [...element.children].some(isVisible) || squeeze(element.textContent) !== "";
  const box = element.getBoundingClientRect();
  if (box.width <= 0 || box.height <= 0) return false;
  const frame = element.ownerDocument.defaultView.frameElement;
  return frame ? isVisible(frame) : true;
}

// The parent across shadow trees.
function parentOf(node) {
  return node.assignedSlot ?? node.parentNode ?? node.host ?? null;
}

function holds(outer, inner) {
  for (let node = inner; node; node = node.parentNode ?? node.host) if (node === outer) return true;
  return false;
}

// Text that an element shows by itself beside its children: the label of a button made by <input>.
function ownLabel(element) {
  const labelled = element.localName === "input" && ["submit", "button", "reset"].includes(element.type);
  return labelled ? element.value : "";
}

const unseenTags = new Set(["script", "style", "noscript", "template", "head", "title", "meta", "link"]);

// `<button id="go" class="wide">Go on</button>`, shortened.
function describe(element) {
  if (element.nodeType !== 1) return element.nodeName;
  let start = element.localName;
  for (const name of ["id", "class", "name", "type", "role", "aria-label", "placeholder", "href"]) {
    const value = element.getAttribute(name);
    if (value) start += ` ${name}=${JSON.stringify(value.length > 40 ? value.slice(0, 39) + "…" : value)}`;
  }
  const text = squeeze(element.innerText ?? element.textContent ?? "");
  return `<${start}>${text.length > 40 ? text.slice(0, 39) + "…" : text}`;
}

// The element that a label stands for.
function control(element) {
  const label = element.localName === "label" ? element : element.closest?.("label");
  return label?.control ?? element;
}
