// The page or an element as Markdown: headings, paragraphs, lists, quotes, code, tables, links, images. Hidden parts are left out.
function (whole) {
  const block = new Set(["address", "article", "aside", "details", "dd", "div", "dl", "dt", "fieldset", "figcaption", "figure", "footer", "form", "header", "main", "nav", "p", "section", "summary", "body", "html", "search", "hgroup"]);
  const skipped = new Set([...unseenTags, "svg", "canvas", "object", "embed", "audio", "video", "dialog:not([open])"]);
  const escape = (text) => text.replace(/([\\`*_[\]])/g, "\\$1");
  const fence = (text) => "`".repeat(Math.max(0, ...(text.match(/`+/g) ?? []).map((run) => run.length)) + 1);
  const address = (url) => (/[\s()<>]/.test(url) ? `<${url.replace(/[<>\s]/g, encodeURIComponent)}>` : url);
  const indent = (text, by, first) => text.split("\n").map((line, at) => (at === 0 ? first + line : line === "" ? "" : by + line)).join("\n");

  // Whether an element is left out. Boxes without room may have overflowing children: only what is switched off counts.
  const hidden = (element) => {
    if (skipped.has(element.localName)) return true;
    const style = element.ownerDocument.defaultView?.getComputedStyle(element);
    return !style || style.display === "none" || (style.visibility !== "visible" && element.children.length === 0);
  };
  const children = (element) => {
    if (element.shadowRoot) return element.shadowRoot.childNodes;
    if (element.localName === "slot" && element.assignedNodes().length > 0) return element.assignedNodes();
    return element.childNodes;
  };

  function inline(node) {
    if (node.nodeType === 3) return escape(node.data.replace(/[\s\u00a0]+/g, " "));
    if (node.nodeType !== 1 || hidden(node)) return "";
    const inner = () => [...children(node)].map(inline).join("");
    const around = (mark) => {
      const text = inner();
      const core = text.trim();
      return core === "" ? text : text.replace(core, () => mark + core + mark);
    };
    switch (node.localName) {
      case "br": return "\n";
      case "b": case "strong": return around("**");
      case "i": case "em": return around("*");
      case "del": case "s": return around("~~");
      case "code": case "kbd": case "samp": {
        const text = node.textContent;
        const mark = fence(text);
        return text.trim() === "" ? "" : mark + (mark.length > 1 ? ` ${text} ` : text) + mark;
      }
      case "img": {
        const source = node.currentSrc || node.src;
        return source ? `![${escape(squeeze(node.alt))}](${source.startsWith("data:") ? "data:" : address(source)})` : "";
      }
      case "a": {
        const text = inner().trim().replace(/\s*\n\s*/g, " ");
        if (!node.href || text === "") return text;
        return `[${text}](${address(typeof node.href === "string" ? node.href : node.href.baseVal)})`;
      }
      case "input": return ["hidden", "password"].includes(node.type) ? "" : ["checkbox", "radio"].includes(node.type) ? (node.checked ? "[x] " : "[ ] ") : escape(node.value);
      case "textarea": return escape(node.value);
      case "select": return escape([...node.selectedOptions].map((option) => option.label).join(", "));
      default: return inner();
    }
  }

  const isBlock = (node) => {
    if (node.nodeType !== 1) return false;
    if (/^(h[1-6]|ul|ol|menu|pre|blockquote|table|hr|iframe)$/.test(node.localName) || block.has(node.localName)) return true;
    if (["a", "span", "label", "button"].includes(node.localName)) return [...node.children].some(isBlock);
    const display = node.ownerDocument.defaultView?.getComputedStyle(node).display ?? "";
    return /^(block|flex|grid|list-item|flow-root)/.test(display) && node.localName !== "code" && node.localName !== "img";
  };

  function blocks(nodes) {
    const parts = [];
    let line = "";
    const flush = () => {
      const text = line.replace(/ *\n */g, "  \n").replace(/^[ \n]+|[ \n]+$/g, "").replace(/ {2,}(?!\n)/g, " ");
      // A line that begins like a list or a heading is none.
      if (text !== "") parts.push(text.replace(/^(#{1,6} |[-+>] |\d+)(?=[.)] )?/, (start) => (/^\d/.test(start) && !/^\d+[.)] /.test(text) ? start : /^\d/.test(start) ? `${start}\\` : `\\${start}`)));
      line = "";
    };
    for (const node of nodes) {
      if (!isBlock(node)) {
        line += inline(node);
        continue;
      }
      if (hidden(node)) continue;
      flush();
      const text = element(node);
      if (text !== "") parts.push(text);
    }
    flush();
    return parts.join("\n\n");
  }

  function element(node) {
    const name = node.localName;
    if (/^h[1-6]$/.test(name)) {
      const text = squeeze([...children(node)].map(inline).join(""));
      return text === "" ? "" : `${"#".repeat(Number(name[1]))} ${text}`;
    }
    if (name === "hr") return "---";
    if (name === "pre") {
      const code = node.innerText.replace(/\n$/, "");
      const kind = /(?:language|lang|highlight)-([\w+#-]+)/.exec(`${node.className} ${node.querySelector("code")?.className ?? ""}`)?.[1] ?? "";
      const mark = "`".repeat(Math.max(3, fence(code).length));
      return `${mark}${kind}\n${code}\n${mark}`;
    }
    if (name === "blockquote") {
      const text = blocks(children(node));
      return text === "" ? "" : text.split("\n").map((line) => (line === "" ? ">" : `> ${line}`)).join("\n");
    }
    if (name === "ul" || name === "ol" || name === "menu") return list(node, name === "ol");
    if (name === "table") return table(node);
    if (name === "dt") return `**${squeeze([...children(node)].map(inline).join(""))}**`;
    if (name === "iframe") {
      const inner = innerDocument(node);
      return inner?.body ? blocks(inner.body.childNodes) : node.src ? `[frame](${address(node.src)})` : "";
    }
    if (name === "a" && node.href) {
      const text = squeeze(blocks(children(node)).replace(/^#+ /gm, "").replace(/\n+/g, " "));
      return text === "" ? "" : `[${text.replace(/\[([^\]]*)\]\([^)]*\)/g, "$1")}](${address(node.href)})`;
    }
    return blocks(children(node));
  }

  function list(node, ordered) {
    const items = [];
    let number = ordered ? node.start ?? 1 : 0;
    for (const item of node.children) {
      if (hidden(item)) continue;
      const first = ordered ? `${number}. ` : "- ";
      const text = item.localName === "li" ? blocks(children(item)) : element(item);
      number += 1;
      if (text === "") continue;
      // A list within an item follows its text without a gap.
      items.push(indent(text.replace(/\n\n(?=(- |\d+\. ))/g, "\n"), " ".repeat(first.length), first));
    }
    return items.join("\n");
  }

  function table(node) {
    const rows = [...node.rows].filter((row) => !hidden(row)).map((row) => [...row.cells]);
    const widest = Math.max(0, ...rows.map((row) => row.reduce((sum, cell) => sum + cell.colSpan, 0)));
    if (widest === 0) return "";
    // A table of one column, or one with a table inside, is layout.
    if (widest === 1 || node.querySelector("table")) return rows.flat().map((cell) => blocks(children(cell))).filter(Boolean).join("\n\n");
    const cells = rows.map((row) => {
      const texts = row.flatMap((cell) => [squeeze(blocks(children(cell)).replace(/\n+/g, " ")).replace(/\|/g, "\\|"), ...Array(cell.colSpan - 1).fill("")]);
      return [...texts, ...Array(Math.max(0, widest - texts.length)).fill("")];
    });
    const headed = rows[0].every((cell) => cell.localName === "th") || node.tHead?.rows.length > 0;
    if (!headed) cells.unshift(Array(widest).fill(""));
    const lines = cells.map((row) => `| ${row.join(" | ")} |`);
    lines.splice(1, 0, `|${" --- |".repeat(widest)}`);
    const caption = node.caption && !hidden(node.caption) ? `${squeeze(node.caption.innerText)}\n\n` : "";
    return caption + lines.join("\n");
  }

  const start = whole ? document.body ?? document.documentElement : this.nodeType === 1 ? this : this.parentElement;
  if (!start) return "";
  const text = isBlock(start) ? element(start) : blocks([start]);
  return text.replace(/\n{3,}/g, "\n\n").trim();
}
