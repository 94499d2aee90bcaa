// Everything here is an addition: each page works without it. It updates the parts of a page, writes relative times,
// and helps with copying and selecting.
"use strict";

const main = document.getElementById("main");
const UNITS = [[86400, "d", 3600, "h"], [3600, "h", 60, "min"]];

function length(seconds) {
  if (seconds < 60) return `${seconds} s`;
  if (seconds < 3600) return `${Math.floor(seconds / 60)} min`;
  const [large, unit, small, rest] = UNITS.find(([size]) => seconds >= size);
  const more = Math.floor((seconds % large) / small);
  return `${Math.floor(seconds / large)} ${unit}${more ? ` ${more} ${rest}` : ""}`;
}

// The server wrote the times, so its clock counts: remember how far it is from the clock here.
const written = main.dataset.now ? Date.parse(main.dataset.now) - Date.now() : 0;

function writeTimes(root) {
  for (const one of root.querySelectorAll("time[datetime]")) {
    const at = Date.parse(one.dateTime);
    const seconds = Math.trunc((Date.now() + written - at) / 1000);
    const text = length(Math.abs(seconds));
    const shown = "age" in one.dataset ? text : seconds > 0 ? `${text} ago` : seconds < 0 ? `in ${text}` : "now";
    if (one.textContent !== shown) one.textContent = shown;
    if (!one.dataset.utc) {
      one.dataset.utc = one.title;
      one.title = `${one.title} · here ${new Date(at).toLocaleString()}`;
    }
  }
}

function addCopying(root) {
  if (!navigator.clipboard) return;
  for (const one of root.querySelectorAll("[data-copy]")) {
    if (one.nextElementSibling?.classList.contains("copy") || one.querySelector(".copy")) continue;
    const text = one.textContent;
    const button = Object.assign(document.createElement("button"), { type: "button", className: "copy quiet", textContent: "Copy" });
    button.addEventListener("click", async () => {
      await navigator.clipboard.writeText(text);
      button.textContent = "Copied";
      setTimeout(() => { button.textContent = "Copy"; }, 1500);
    });
    if (one.matches("code")) one.after(button); else one.append(button);
  }
}

function addSelecting() {
  const form = document.getElementById("selected");
  if (!form) return;
  const head = form.querySelector("th.check");
  if (head && !head.querySelector("input")) {
    const all = Object.assign(document.createElement("input"), { type: "checkbox", ariaLabel: "Select all jobs of this page" });
    all.addEventListener("change", () => {
      for (const box of form.querySelectorAll("input[name=id]")) box.checked = all.checked;
    });
    head.replaceChildren(all);
  }
  const write = () => {
    const count = form.querySelectorAll("input[name=id]:checked").length;
    const label = form.querySelector("[data-count]");
    if (label) label.textContent = count ? `${count} selected:` : "Selected jobs:";
  };
  form.onchange = write;
  write();
}

// A part that somebody uses stays as it is: with the focus inside, with ticked boxes, or with selected text.
function isInUse(part) {
  const selection = getSelection();
  return (
    part.querySelector("input:checked") !== null ||
    (part.contains(document.activeElement) && document.activeElement !== part) ||
    (selection && !selection.isCollapsed && part.contains(selection.anchorNode))
  );
}

function keepOpen(before, after) {
  const opened = [...before.querySelectorAll("details")];
  const fresh = [...after.querySelectorAll("details")];
  const shift = fresh.length - opened.length; // new attempts come first
  opened.forEach((one, place) => {
    if (one.open && fresh[place + shift]) fresh[place + shift].open = true;
  });
}

function update(text) {
  const page = new DOMParser().parseFromString(text, "text/html");
  const kept = document.querySelectorAll("[data-part]").length;
  const fresh = page.querySelectorAll("[data-part]");
  const isOver = !("live" in page.getElementById("main").dataset); // the job has ended: show its result
  if (kept !== fresh.length || isOver) return location.reload();
  for (const after of fresh) {
    const before = document.getElementById(after.id);
    if (!before || isInUse(before)) continue;
    writeTimes(after);
    keepOpen(before, after);
    before.replaceChildren(...after.childNodes);
    addCopying(before);
  }
  addSelecting();
}

// The server sends the page again at each change. The browser itself connects again to a stream that ended.
function addUpdates() {
  if (!("live" in main.dataset)) return;
  const state = Object.assign(document.createElement("div"), { className: "live" });
  const button = Object.assign(document.createElement("button"), { type: "button" });
  state.append(button);
  document.getElementById("who").prepend(state);
  let isPaused = false, failures = 0, timer = 0, stream = null;

  function write(name, text) {
    state.dataset.state = name;
    button.textContent = text;
  }
  function close() {
    clearTimeout(timer);
    stream?.close();
    stream = null;
  }
  function open() {
    close();
    if (isPaused || document.hidden) return;
    stream = new EventSource(location.href);
    stream.addEventListener("open", () => write("live", "Live"));
    stream.addEventListener("page", (event) => {
      failures = 0;
      update(JSON.parse(event.data));
    });
    stream.addEventListener("error", () => {
      failures += 1;
      if (failures > 1 || stream.readyState === EventSource.CLOSED) write("lost", "Connection lost");
      if (stream.readyState === EventSource.CLOSED) ask();
    });
  }
  // The server refused the stream. Its reason is on the page if the visitor may no longer see it.
  async function ask() {
    close();
    timer = setTimeout(open, 1000 * Math.min(2 ** failures, 30));
    const answer = await fetch(location.href, { headers: { accept: "text/event-stream" } }).catch(() => null);
    answer?.body?.cancel();
    if (answer && [401, 403, 404].includes(answer.status)) location.reload();
  }
  button.addEventListener("click", () => {
    isPaused = !isPaused;
    write(isPaused ? "paused" : "live", isPaused ? "Paused" : "Live");
    open();
  });
  document.addEventListener("visibilitychange", open);
  write("live", "Live");
  timer = setTimeout(open, 1000); // the page is new, and may be left soon
}

if (new URLSearchParams(location.search).has("note")) {
  const clean = new URL(location.href);
  clean.searchParams.delete("note");
  history.replaceState(null, "", clean);
}
writeTimes(document);
setInterval(() => writeTimes(document), 1000);
addCopying(document);
addSelecting();
addUpdates();
document.querySelector("[data-focus]")?.focus();
