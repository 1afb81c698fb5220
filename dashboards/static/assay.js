/* Conveniences; every page works without them.
   1. Times: the reader's own zone beside UTC.  2. Copy buttons.  (Charts have their own: charts.js.) */
"use strict";

const said = document.getElementById("said");

/* 1. Times. In the reader's zone, unless that is UTC. */
const zone = Intl.DateTimeFormat().resolvedOptions().timeZone;
const local = new Intl.DateTimeFormat(undefined, {
  day: "numeric", month: "short", hour: "2-digit", minute: "2-digit", timeZoneName: "short",
});
for (const time of document.querySelectorAll("time[datetime$='Z']")) {
  const moment = new Date(time.dateTime);
  if (Number.isNaN(moment.valueOf()) || (moment.getTimezoneOffset() === 0 && /UTC|GMT|London|Lisbon/.test(zone))) continue;
  const span = document.createElement("span");
  span.className = "local";
  span.textContent = local.format(moment);
  time.append(" ", span);
}

/* 2. Copy. The clipboard where there is one (https or localhost), else a selection to copy by hand. */
for (const button of document.querySelectorAll("button[data-copies]")) {
  button.hidden = false;
  button.addEventListener("click", async () => {
    const source = document.getElementById(button.dataset.copies);
    try {
      await navigator.clipboard.writeText(source.textContent);
      said.textContent = "Copied";
      button.dataset.done = "Copied";
    } catch {
      getSelection().selectAllChildren(source);
      said.textContent = "Selected; copy it with the keyboard";
      button.dataset.done = "Selected";
    }
    setTimeout(() => { delete button.dataset.done; }, 1600);
  });
}
