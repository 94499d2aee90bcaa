// Checks of the built site in a real browser: `make docs-check`. CHROMIUM may name the program.

import assert from "node:assert/strict";
import { existsSync } from "node:fs";
import { mkdir, readFile } from "node:fs/promises";
import { createServer } from "node:http";
import { extname, join, normalize } from "node:path";
import { after, before, test } from "node:test";
import { fileURLToPath } from "node:url";
import { chromium } from "playwright-core";

const SITE = fileURLToPath(new URL("../../docs/_build/html/", import.meta.url));
const SHOTS = fileURLToPath(new URL("../../docs/_build/screenshots/", import.meta.url));
const PROGRAMS = [process.env.CHROMIUM, "/usr/bin/chromium", "/usr/bin/chromium-browser", "/usr/bin/google-chrome"];
const TYPES = { ".html": "text/html", ".css": "text/css", ".js": "text/javascript", ".svg": "image/svg+xml" };
const NARROW = { width: 380, height: 800 };
const WIDE = { width: 1440, height: 900 };
const THEMES = ["light", "dark"];
const VISITORS = 2; // pages that the browser shows at the same time

let server, browser, origin, pages;

before(async () => {
  const executablePath = PROGRAMS.find((path) => path && existsSync(path));
  assert.ok(executablePath, "Chromium is needed; on Debian or Ubuntu, run as root: apt-get install chromium");
  server = createServer(serve).listen(0, "127.0.0.1");
  await new Promise((resolve) => server.once("listening", resolve));
  origin = `http://127.0.0.1:${server.address().port}`;
  browser = await chromium.launch({ executablePath, args: ["--no-sandbox"] });
  await mkdir(SHOTS, { recursive: true });
  pages = await crawl();
});

after(async () => {
  await browser?.close();
  server?.close();
});

async function serve(request, response) {
  const path = join(SITE, normalize(new URL(request.url, "http://x").pathname));
  try {
    const body = await readFile(path.endsWith("/") ? join(path, "index.html") : path);
    response.writeHead(200, { "content-type": TYPES[extname(path)] ?? "text/html" }).end(body);
  } catch {
    response.writeHead(404).end();
  }
}

/** Every page that links lead to: its links and anchors, and for an article what is wrong with its looks. */
async function crawl() {
  const found = new Map();
  const waiting = [`${origin}/index.html`];
  const visitors = Array.from({ length: VISITORS }, async () => {
    const { page, problems } = await blank();
    for (let url; (url = waiting.pop() ?? (await later(waiting, found))); ) {
      if (found.has(url)) continue;
      found.set(url, undefined); // the other visitor need not come
      const lost = (error) => ({ status: String(error), links: [], anchors: new Set() });
      found.set(url, await visit(page, url, problems).catch(lost));
      const inside = found.get(url).links.filter((link) => link.startsWith(origin)).map((link) => link.split("#")[0]);
      waiting.push(...inside.filter((link) => !found.has(link) && !link.includes("?")));
    }
    await page.close();
  });
  await Promise.all(visitors);
  return found;
}

/** The next address, once a visitor has found one; nothing when all have arrived. */
async function later(waiting, found) {
  while (waiting.length === 0 && [...found.values()].includes(undefined)) await new Promise((go) => setTimeout(go, 20));
  return waiting.pop();
}

async function visit(page, url, problems) {
  problems.length = 0;
  const name = url.slice(origin.length + 1);
  const answer = await page.goto(url, { waitUntil: isArticle(name) ? "load" : "domcontentloaded" });
  if (answer.status() !== 200) return { status: answer.status(), links: [], anchors: new Set() };
  const [links, anchors] = await page.evaluate(() => [
    [...document.querySelectorAll("a[href]")].map((link) => link.href),
    [...document.querySelectorAll("[id]")].map((one) => one.id),
  ]);
  const looks = isArticle(name) ? await look(page, name) : {};
  return { status: 200, links, anchors: new Set(anchors), problems: [...problems], ...looks };
}

/** The width of an article on a narrow screen, and its faint texts in each theme. */
async function look(page, name) {
  const file = name.replaceAll("/", "-");
  await page.setViewportSize(NARROW);
  const width = await page.evaluate(() => document.documentElement.scrollWidth);
  if (/state-machine|json-schema|guarantees|python\/jobs/.test(name)) {
    await page.screenshot({ path: join(SHOTS, `narrow-${file}.png`), fullPage: false });
  }
  await page.setViewportSize(WIDE);
  const faint = {};
  for (const theme of THEMES) {
    // The browser prefers the other theme, so that only the switch of the page decides.
    await page.emulateMedia({ colorScheme: theme === "dark" ? "light" : "dark" });
    await page.evaluate((chosen) => { document.body.dataset.theme = chosen; }, theme);
    faint[theme] = await page.evaluate(faintTexts);
    if (/state-machine|performance|architecture|json-schema|index|http/.test(name)) {
      await page.screenshot({ path: join(SHOTS, `${theme}-${file}.png`) });
    }
  }
  return { width, faint };
}

/** Whether people read this page: it is neither source code nor the index. */
function isArticle(name) {
  return !/^(_modules|source|genindex|py-modindex|search)/.test(name);
}

function articles() {
  const all = [...pages].map(([url, page]) => [url.slice(origin.length + 1), page]);
  return all.filter(([name, { status }]) => isArticle(name) && status === 200);
}

async function blank(viewport = WIDE, theme = "light") {
  const page = await browser.newPage({ viewport, colorScheme: theme });
  const problems = [];
  page.on("pageerror", (error) => problems.push(String(error)));
  page.on("response", (answer) => answer.status() >= 400 && problems.push(`${answer.status()} ${answer.url()}`));
  page.on("request", (request) => {
    if (!request.url().startsWith(origin) && !request.url().startsWith("data:")) problems.push(request.url());
  });
  return { page, problems };
}

async function open(name, viewport) {
  const { page, problems } = await blank(viewport);
  await page.goto(`${origin}/${name}`);
  return { page, problems };
}

function brokenLinks(found) {
  const broken = [];
  for (const [url, { status, links }] of found) {
    if (status !== 200) broken.push(`${url}: ${status}`);
    for (const link of links.filter((one) => one.startsWith(origin) && one.includes("#"))) {
      const [target, anchor] = link.split("#");
      const known = found.get(target)?.anchors;
      if (anchor && known && !known.has(decodeURIComponent(anchor))) broken.push(`${url} -> ${link}`);
    }
  }
  return broken;
}

test("no link is broken", () => {
  assert.ok(pages.size > 40, `only ${pages.size} pages were found`);
  assert.deepEqual(brokenLinks(pages), []);
});

test("a broken link is noticed", () => {
  const [page, gone] = [`${origin}/a.html`, `${origin}/b.html`];
  const found = new Map([
    [page, { status: 200, links: [gone, `${page}#here`, `${page}#c`], anchors: new Set(["here"]) }],
    [gone, { status: 404, links: [], anchors: new Set() }],
  ]);
  assert.deepEqual(brokenLinks(found), [`${page} -> ${page}#c`, `${gone}: 404`]);
});

test("a missing picture and a script from elsewhere are noticed", async () => {
  const { page, problems } = await open("index.html", WIDE);
  await page.evaluate(() => {
    document.body.append(Object.assign(new Image(), { src: "gone.png" }));
    document.body.append(Object.assign(document.createElement("script"), { src: "http://elsewhere.invalid/a.js" }));
  });
  await page.waitForLoadState("networkidle");
  assert.deepEqual(problems.sort(), [`404 ${origin}/gone.png`, "http://elsewhere.invalid/a.js"]);
  await page.close();
});

test("the navigation leads to every section", async () => {
  const { page } = await open("index.html", WIDE);
  const captions = await page.locator(".sidebar-tree .caption").allTextContents();
  assert.ok(["Reference", "Explanation"].every((name) => captions.includes(name)), captions.join());
  await page.locator(".sidebar-tree").getByRole("link", { name: "State machine" }).click();
  assert.equal(await page.locator("h1").first().textContent().then((text) => text.replace("¶", "")), "State machine");
  await page.locator(".toc-tree").getByRole("link", { name: "Moves" }).click();
  assert.match(page.url(), /#moves$/);
  await page.close();
});

test("the search finds pages by their words", async () => {
  const { page, problems } = await open("index.html", WIDE);
  await page.getByRole("searchbox").or(page.locator(".sidebar-search")).first().fill("lease");
  await page.keyboard.press("Enter");
  await page.waitForSelector("#search-results li a");
  await page.waitForFunction(() => /Search finished|found/.test(document.body.innerText));
  const titles = await page.locator("#search-results li a").allTextContents();
  assert.ok(titles.length >= 5, titles.join());
  assert.ok(titles.some((title) => title.includes("State machine") || title.includes("Guarantees")), titles.join());
  await page.screenshot({ path: join(SHOTS, "search.png") });
  assert.deepEqual(problems, []);
  await page.close();
});

test("no page scrolls sideways on a narrow screen", () => {
  const wide = articles().filter(([, { width }]) => width > NARROW.width);
  assert.deepEqual(wide.map(([name, { width }]) => `${name}: ${width}`), []);
});

test("no page has an error, lacks a file or loads one from elsewhere", () => {
  assert.deepEqual(articles().flatMap(([name, { problems }]) => problems.map((problem) => `${name}: ${problem}`)), []);
});

for (const theme of THEMES) {
  test(`text and pictures are readable in ${theme} mode`, () => {
    assert.deepEqual(articles().flatMap(([name, { faint }]) => faint[theme].map((text) => `${name}: ${text}`)), []);
  });
}

test("a faint text is noticed", async () => {
  const { page } = await open("explanation/state-machine.html", WIDE);
  assert.deepEqual(await page.evaluate(faintTexts), []);
  await page.addStyleTag({ content: "article p { color: #aaa !important } .state-machine text { fill: #ccc !important }" });
  const faint = await page.evaluate(faintTexts);
  assert.ok(faint.some((text) => text.startsWith("P ")) && faint.some((text) => text.startsWith("text ")), faint.join());
  await page.close();
});

test("the button of the page switches the theme", async () => {
  const { page } = await open("index.html", WIDE);
  const themes = [];
  for (let times = 0; times < 3; times += 1) {
    await page.locator(".theme-toggle:visible").first().click();
    themes.push(await page.evaluate(() => document.body.dataset.theme));
  }
  assert.deepEqual(themes.sort(), ["auto", "dark", "light"]);
  await page.close();
});

/** The texts whose contrast is below 4.5 (WCAG AA), with the ratio. Runs in the page. */
function faintTexts() {
  const channel = (value) => (value <= 0.03928 ? value / 12.92 : ((value + 0.055) / 1.055) ** 2.4);
  const canvas = new OffscreenCanvas(1, 1).getContext("2d", { willReadFrequently: true });
  const known = new Map(); // of colours: a look at the canvas takes long, and a page has a few colours
  const read = (colour) => {
    if (!known.has(colour)) known.set(colour, drawn(colour));
    return known.get(colour);
  };
  const drawn = (colour) => {
    canvas.clearRect(0, 0, 1, 1);
    canvas.fillStyle = colour;
    canvas.fillRect(0, 0, 1, 1);
    return [...canvas.getImageData(0, 0, 1, 1).data];
  };
  const luminance = ([red, green, blue]) =>
    0.2126 * channel(red / 255) + 0.7152 * channel(green / 255) + 0.0722 * channel(blue / 255);
  const grounds = new Map();
  const ground = (one) => {
    if (!one) return read("white");
    if (!grounds.has(one)) {
      const box = one instanceof SVGElement && one.ownerSVGElement === null ? one.querySelector("rect.ground") : null;
      const colour = read(box ? getComputedStyle(box).fill : getComputedStyle(one).backgroundColor);
      grounds.set(one, colour[3] === 255 ? colour : ground(one.parentElement));
    }
    return grounds.get(one);
  };
  const found = new Set();
  const selector = "article p, article li, article td, article th, article code, article a, article dt, article .highlight span, article text, h1, h2, h3";
  for (const element of document.querySelectorAll(selector)) {
    if (!element.textContent.trim() || element.classList.contains("headerlink")) continue;
    if (element.closest(".rich-terminal")) continue; // it draws its own dark ground
    const style = getComputedStyle(element);
    const colour = read(element instanceof SVGElement ? style.fill : style.color);
    const [high, low] = [luminance(colour), luminance(ground(element))].sort((a, b) => b - a);
    const ratio = (high + 0.05) / (low + 0.05);
    if (ratio < 4.5) found.add(`${element.tagName} ${element.className?.baseVal ?? element.className} ${ratio.toFixed(2)} ${element.textContent.slice(0, 30)}`);
  }
  return [...found].slice(0, 20);
}
