// What an element is like now, and the point of the viewport where a click reaches it. `reveal` scrolls it into view first.
function (reveal) {
  const element = this.nodeType === 1 ? this : this.parentElement ?? this.host;
  if (!element || !element.isConnected) return { attached: false };
  const target = control(element);
  const state = {
    attached: true,
    visible: isVisible(element),
    enabled: !target.matches(":disabled") && !element.closest("[aria-disabled=true]"),
    editable:
      target.isContentEditable ||
      (["input", "textarea"].includes(target.localName) && !target.readOnly) ||
      target.localName === "select",
    tag: target.localName,
    type: target.type ?? "",
    description: describe(element),
  };
  if (!state.visible) return state;
  const view = (node) => node.ownerDocument.defaultView;
  if (reveal) {
    for (let node = element; node; node = view(node).frameElement) {
      const box = node.getBoundingClientRect();
      const { innerWidth, innerHeight } = view(node);
      const inside = box.top >= 0 && box.left >= 0 && box.bottom <= innerHeight && box.right <= innerWidth;
      const reached = inside && node.getRootNode().elementFromPoint?.(box.x + box.width / 2, box.y + box.height / 2);
      if (!reached || !(holds(node, reached) || holds(reached, node))) {
        node.scrollIntoView({ block: "center", inline: "center", behavior: "instant" });
      }
    }
  }
  // Moves a point of an element's frame into the main frame's viewport; says what covers it on the way.
  function outward(node, x, y) {
    for (let frame = view(node).frameElement; frame; frame = view(frame).frameElement) {
      const box = frame.getBoundingClientRect();
      const style = view(frame).getComputedStyle(frame);
      x += box.left + frame.clientLeft + parseFloat(style.paddingLeft);
      y += box.top + frame.clientTop + parseFloat(style.paddingTop);
      const there = frame.getRootNode().elementFromPoint(x, y);
      if (there !== frame) return { x, y, covered: there ? describe(there) : "the edge of the frame" };
    }
    return { x, y, covered: null };
  }
  let boxes = [...element.getClientRects()].filter((box) => box.width > 0 && box.height > 0).slice(0, 5);
  if (boxes.length === 0) boxes = [element.getBoundingClientRect()];
  const whole = element.getBoundingClientRect();
  const corner = outward(element, whole.left, whole.top);
  state.box = { x: corner.x, y: corner.y, width: whole.width, height: whole.height };
  for (const box of boxes) {
    const left = Math.max(box.left, 0), top = Math.max(box.top, 0);
    const right = Math.min(box.right, view(element).innerWidth), bottom = Math.min(box.bottom, view(element).innerHeight);
    if (right <= left || bottom <= top) {
      state.covered ??= "the edge of the viewport";
      continue;
    }
    const x = (left + right) / 2, y = (top + bottom) / 2;
    let there = element.getRootNode().elementFromPoint(x, y);
    const reached = there && (holds(element, there) || control(there) === target || (there.shadowRoot && holds(there, element)));
    const out = outward(element, x, y);
    if (reached && !out.covered) {
      state.x = out.x;
      state.y = out.y;
      delete state.covered;
      return state;
    }
    state.covered ??= out.covered ?? (there ? describe(there) : "the edge of the viewport");
  }
  return state;
}
