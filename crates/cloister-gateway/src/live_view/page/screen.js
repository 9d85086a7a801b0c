// The canvas: draws frames scaled to the window with bars around them, and maps points of the window back to the page.

export class Screen {
  constructor(canvas) {
    this.canvas = canvas;
    this.pen = canvas.getContext('2d', { alpha: false });
    this.times = [];
    this.fit();
  }

  /** Takes over the size of the window in device pixels; true if it has changed. */
  fit() {
    const dense = window.devicePixelRatio || 1;
    const width = Math.max(1, Math.round(this.canvas.clientWidth * dense));
    const height = Math.max(1, Math.round(this.canvas.clientHeight * dense));
    if (width === this.canvas.width && height === this.canvas.height) return false;
    this.canvas.width = width;
    this.canvas.height = height;
    this.paint();
    return true;
  }

  /** Draws a picture of a page of `width` by `height` CSS pixels, of which `top` are above the page. */
  async show(bytes, { width, height, top = 0 }) {
    const picture = await createImageBitmap(new Blob([bytes], { type: 'image/jpeg' }));
    this.picture?.close();
    this.picture = picture;
    this.page = { width, height, top };
    this.times.push(performance.now());
    this.paint();
  }

  clear() {
    this.picture?.close();
    this.picture = undefined;
    this.paint();
  }

  paint() {
    const { pen, canvas, picture } = this;
    pen.fillStyle = getComputedStyle(canvas.parentElement).backgroundColor;
    pen.fillRect(0, 0, canvas.width, canvas.height);
    if (!picture) return;
    const scale = Math.min(canvas.width / picture.width, canvas.height / picture.height);
    const [width, height] = [picture.width * scale, picture.height * scale];
    this.drawn = { x: (canvas.width - width) / 2, y: (canvas.height - height) / 2, width, height };
    pen.imageSmoothingQuality = 'high';
    pen.drawImage(picture, this.drawn.x, this.drawn.y, width, height);
  }

  /** The point of the page under a point of the window: {x, y, inside}; undefined before the first frame. */
  at(clientX, clientY) {
    if (!this.picture || !this.drawn) return undefined;
    const box = this.canvas.getBoundingClientRect();
    const across = ((clientX - box.left) * this.canvas.width / box.width - this.drawn.x) / this.drawn.width;
    const down = ((clientY - box.top) * this.canvas.height / box.height - this.drawn.y) / this.drawn.height;
    const inside = across >= 0 && across < 1 && down >= 0 && down < 1;
    return { x: across * this.page.width, y: down * this.page.height - this.page.top, inside };
  }

  /** Frames of the last second. */
  rate() {
    const since = performance.now() - 1000;
    this.times = this.times.filter((time) => time > since);
    return this.times.length;
  }
}

/** The bytes in a base64 text. */
export function bytesOf(text) {
  return Uint8Array.from(atob(text), (letter) => letter.charCodeAt(0));
}
