/* Watches for new alarms while a page stays open, and says so politely: nothing moves, a line
   appears with a link. Reads what the page itself was made from, with the reader's own cookie. */

const EVERY_MS = 60_000; // an alarm waits for a person, not for a second
const watch = document.querySelector("section.watch[data-watch]");

async function look() {
  if (document.hidden) return;
  let found;
  try {
    const answer = await fetch(watch.dataset.watch, { headers: { Accept: "application/json" } });
    if (!answer.ok) return;
    found = (await answer.json()).alarms ?? [];
  } catch { return; } // offline for a moment: the next look will tell
  const about = watch.dataset.about?.split(" ");
  const fresh = found.filter((a) => a.leaf_index > Number(watch.dataset.newest) && (!about || about.includes(a.about)));
  if (!fresh.length) return;
  const news = watch.querySelector(".news");
  const link = document.createElement("a");
  link.href = `/alarms/${fresh[0].leaf_index}`;
  link.textContent = fresh.length === 1 ? "Open it" : "Open the newest";
  const name = fresh[0].model?.name ?? fresh[0].about;
  news.replaceChildren(fresh.length === 1 ? `A new alarm about ${name}. ` : `${fresh.length} new alarms, the newest about ${name}. `, link);
  watch.dataset.newest = fresh[0].leaf_index;
}

if (watch) {
  setInterval(look, EVERY_MS);
  document.addEventListener("visibilitychange", look);
  addEventListener("assay:look", look); // a test need not wait
}
