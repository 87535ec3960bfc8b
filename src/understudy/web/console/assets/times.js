// Times in the reader's own zone, those that are read and those that are written; UTC stays in the title.
// Without this module, pages show UTC, and ask for it.

const FORMAT = new Intl.DateTimeFormat(undefined, {
    year: "numeric", month: "2-digit", day: "2-digit",
    hour: "2-digit", minute: "2-digit", second: "2-digit", fractionalSecondDigits: 3,
});
const RELATIVE = new Intl.RelativeTimeFormat(undefined, { numeric: "auto", style: "short" });
const UNITS = [["day", 86400], ["hour", 3600], ["minute", 60], ["second", 1]];

function ago(at) {
    const seconds = (at - Date.now()) / 1000;
    const [unit, length] = UNITS.find(([, length]) => Math.abs(seconds) >= length) ?? UNITS[3];
    return RELATIVE.format(Math.round(seconds / length), unit);
}

export function localise(root) {
    for (const time of root.querySelectorAll("time[datetime]")) {
        const at = new Date(time.dateTime);
        if (Number.isNaN(at.getTime())) continue;
        time.title ||= time.textContent;
        time.textContent = time.hasAttribute("data-ago") ? ago(at) : FORMAT.format(at);
    }
    for (const mark of root.querySelectorAll("[data-utc]")) mark.hidden = true;
}

// Of the document: a live page makes its forms anew.
document.addEventListener("formdata", (event) => {
    for (const field of event.target.querySelectorAll("[data-time]")) {
        const at = new Date(field.value);
        if (!Number.isNaN(at.getTime())) event.formData.set(field.name, at.toISOString());
    }
});

localise(document);
for (const place of document.querySelectorAll("[data-zone]")) {
    place.textContent = `times are those of ${Intl.DateTimeFormat().resolvedOptions().timeZone}`;
}
setInterval(() => localise(document), 30_000);
