/* Three conveniences; every page works without them.
   1. Times: the reader's own zone beside UTC.  2. Copy buttons.  3. A cursor on charts. */
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

/* 3. The cursor: arrow keys, Home and End, or the pointer. The words come from the server. */
for (const plot of document.querySelectorAll("svg.plot")) {
  const points = [...plot.querySelectorAll(".pt")];
  const line = plot.querySelector(".cursor");
  const told = plot.closest("figure")?.querySelector(".cursor-told");
  if (!points.length || !line || !told) continue;
  let at = -1;
  const show = (index) => {
    at = Math.max(0, Math.min(points.length - 1, index));
    line.removeAttribute("hidden");
    line.setAttribute("x1", points[at].dataset.x);
    line.setAttribute("x2", points[at].dataset.x);
    told.hidden = false;
    told.textContent = points[at].dataset.told;
  };
  const hide = () => { line.setAttribute("hidden", "hidden"); told.hidden = true; at = -1; };
  plot.setAttribute("tabindex", "0");
  plot.setAttribute("aria-description", "Arrow keys read the points one by one");
  plot.addEventListener("keydown", (event) => {
    const last = points.length - 1;
    const from = at < 0 ? points.length : at;
    const next = {
      ArrowLeft: from - 1, ArrowRight: at < 0 ? last : at + 1, Home: 0, End: last,
    }[event.key];
    if (next !== undefined) { event.preventDefault(); show(next); }
    if (event.key === "Escape") hide();
  });
  plot.addEventListener("blur", hide);
  plot.addEventListener("pointermove", (event) => {
    const box = plot.getBoundingClientRect();
    const share = ((event.clientX - box.left) / box.width) * 100;
    let best = 0;
    points.forEach((point, i) => {
      const near = (p) => Math.abs(parseFloat(p.dataset.x) - share);
      if (near(point) < near(points[best])) best = i;
    });
    show(best);
  });
  plot.addEventListener("pointerleave", () => { if (document.activeElement !== plot) hide(); });
}
