// A slider through time: what is on the page is fetched as it was at the height under the reader's hand.
// Without this module, the links to the steps beside it do the same.

import { localise } from "./times.js";

const REST_MS = 120; // the hand rests so long before anything is fetched
const slider = document.querySelector("[data-slider]");
const region = document.querySelector("[data-slides]");
let wanted = null;
let fetching = false;
let timer = 0;

async function show(address) {
    const answer = await fetch(address, { headers: { Accept: "text/html" } });
    const fresh = new DOMParser().parseFromString(await answer.text(), "text/html");
    // An error is shown as well: a file may not be there at an earlier step.
    const place = fresh.querySelector("[data-slides]") ?? fresh.querySelector("main");
    localise(place);
    region.replaceChildren(...document.adoptNode(place).childNodes);
    history.replaceState(null, "", address);
}

async function follow() {
    if (fetching) return;
    fetching = true;
    while (wanted !== null) {
        const address = wanted;
        wanted = null;
        try { await show(address); } catch { /* The node went away; the next move tries again. */ }
    }
    fetching = false;
}

if (slider && region) {
    const input = slider.querySelector("input");
    const output = slider.querySelector("output");
    slider.hidden = false;
    input.addEventListener("input", () => {
        output.textContent = `#${input.value}`;
        wanted = slider.dataset.slider.replace("__HEIGHT__", input.value);
        clearTimeout(timer);
        timer = setTimeout(follow, REST_MS);
    });
}
