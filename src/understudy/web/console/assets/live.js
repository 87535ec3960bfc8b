// Live: when the node tells of new steps, what is on the page is fetched again. The page works without it.

import { localise } from "./times.js";

const PAUSE_MS = 1000; // between two looks, however fast steps come
const SHARE = 10; // a page that takes long to make is asked for less often: it takes a tenth of the node's time at most
const region = document.querySelector("[data-live]");
const button = document.querySelector("[data-live-switch]");
let source = null;
let due = false;
let waiting = false;
let took = 0;

async function look() {
    const answer = await fetch(location.href, { headers: { Accept: "text/html" } });
    if (!answer.ok) return;
    const fresh = new DOMParser().parseFromString(await answer.text(), "text/html").querySelector("[data-live]");
    // What the reader holds (a selection, the focus) is not taken from under their hands.
    if (fresh === null || region.contains(document.activeElement) || !getSelection().isCollapsed) return;
    localise(fresh);
    region.replaceChildren(...document.adoptNode(fresh).childNodes);
}

function soon() {
    due = true;
    if (waiting || document.hidden) return;
    waiting = true;
    setTimeout(async () => {
        due = false;
        const began = performance.now();
        try { await look(); } finally { took = performance.now() - began; waiting = false; if (due) soon(); }
    }, Math.max(PAUSE_MS, SHARE * took));
}

function follow(on) {
    source?.close();
    source = on ? new EventSource(region.dataset.live) : null;
    source?.addEventListener("step", soon);
    button.setAttribute("aria-pressed", String(on));
    button.querySelector("[data-live-text]").textContent = on ? "Live" : "Paused";
}

if (region?.dataset.live && button) {
    button.hidden = false;
    button.addEventListener("click", () => follow(source === null));
    document.addEventListener("visibilitychange", () => { if (due) soon(); });
    addEventListener("pagehide", () => source?.close());
    addEventListener("pageshow", (event) => { if (event.persisted && source !== null) follow(true); });
    follow(true);
}
