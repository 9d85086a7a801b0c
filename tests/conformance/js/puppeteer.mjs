// Two Puppeteer clients, exactly as they are, on one browser session that others use as well.
//
//   node puppeteer.mjs ENDPOINT       prints one JSON line per stage and goes on when it gets a line
//
//   connect both, a page each ─▶ line ─▶ see the others' pages, type, take pictures ─▶ one closes its browser, the other goes on

import { createInterface } from "node:readline/promises";
import puppeteer from "puppeteer-core";

const browserWSEndpoint = process.argv[2];
const lines = createInterface({ input: process.stdin })[Symbol.asyncIterator]();
const say = (value) => console.log(JSON.stringify(value));
const connect = () => puppeteer.connect({ browserWSEndpoint, defaultViewport: null });

const HTML = "<title>NAME</title><input id=i><p id=p></p><script>i.oninput = () => p.textContent = i.value</script>";

async function opened(browser, name) {
  const page = await browser.newPage();
  await page.setContent(HTML.replace("NAME", name));
  return page;
}

async function typed(page, text) {
  await page.type("#i", text);
  return page.$eval("#p", (found) => found.textContent);
}

const [first, second] = await Promise.all([connect(), connect()]);
const pages = await Promise.all([opened(first, "puppeteer-1"), opened(second, "puppeteer-2")]);
say({ connected: [first.connected, second.connected] });
await lines.next();

const titles = async (browser) => (await Promise.all((await browser.pages()).map((page) => page.title()))).sort();
const [texts, pictures, titlesSeen] = await Promise.all([
  Promise.all(pages.map((page, index) => typed(page, `größer ${index} 日本`))),
  Promise.all(pages.map(async (page) => Buffer.from(await page.screenshot()).toString("hex", 0, 4))),
  titles(first),
]);
// The way in which most programs end; the browser is not this client's alone.
const left = new Promise((resolve) => first.once("disconnected", resolve));
await first.close();
await left;
say({ texts, pictures, titles: titlesSeen, alive: await typed(pages[1], "!"), connected: [first.connected, second.connected] });
await lines.next();
await second.disconnect();
process.exit(0);
