// Scrolls by pixels: the element itself or what scrolls around it; for the page, whatever scrolls in the middle of the viewport.
// Gives where that is now and how far it goes.
function (x, y, whole) {
  const moves = (node) => {
    const style = node.ownerDocument.defaultView.getComputedStyle(node);
    const free = (overflow) => overflow === "auto" || overflow === "scroll";
    return (
      (y !== 0 && node.scrollHeight > node.clientHeight && free(style.overflowY)) ||
      (x !== 0 && node.scrollWidth > node.clientWidth && free(style.overflowX))
    );
  };
  let node = null;
  if (!whole) {
    node = this.nodeType === 1 ? this : this.parentElement;
    node.scrollIntoView({ block: "center", inline: "center", behavior: "instant" });
  }
  const home = (node?.ownerDocument ?? document).scrollingElement ?? document.documentElement;
  const room = home.scrollHeight > home.clientHeight || home.scrollWidth > home.clientWidth;
  if (whole && !room) node = document.elementFromPoint(innerWidth / 2, innerHeight / 2);
  while (node && !moves(node)) node = parentOf(node)?.nodeType === 1 ? parentOf(node) : parentOf(node)?.host ?? null;
  node ??= home;
  if (x !== 0 || y !== 0) node.scrollBy({ left: x, top: y, behavior: "instant" });
  return {
    x: Math.round(node.scrollLeft),
    y: Math.round(node.scrollTop),
    maxX: Math.max(0, node.scrollWidth - node.clientWidth),
    maxY: Math.max(0, node.scrollHeight - node.clientHeight),
  };
}
