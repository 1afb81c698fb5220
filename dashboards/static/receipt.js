/* Checks a receipt in the reader's own browser, with a verifier key the reader brings.
   The checks are those of `assay verify-receipt`: C2SP signed notes and checkpoints, RFC 9162
   inclusion proofs, Ed25519 by WebCrypto. Nothing is sent anywhere. What it cannot settle: this file
   came from the server too, so whoever distrusts it runs the command on the downloaded receipt. */

const utf8 = new TextEncoder();
const DASH = "\u2014 ";
const KEPT = "assay.verifier-key";

/** A check that did not hold; `expected` and `got` are shown to the reader. */
class Refused extends Error {}

/** This browser lacks what the check needs: says nothing about the receipt. */
class CannotCheck extends Error {}

const hex = (bytes) => Array.from(bytes, (b) => b.toString(16).padStart(2, "0")).join("");
const has = (value, ...keys) => value !== null && typeof value === "object" && Object.keys(value).sort().join() === keys.join();
const same = (a, b) => hex(a) === hex(b);

function joined(...parts) {
  const all = new Uint8Array(parts.reduce((sum, part) => sum + part.length, 0));
  let at = 0;
  for (const part of parts) { all.set(part, at); at += part.length; }
  return all;
}

function fromHex(text) {
  if (typeof text !== "string" || !/^[0-9a-f]{64}$/.test(text)) throw new Refused(`${text} is not a hash of 64 hex digits`);
  return Uint8Array.from(text.match(/../g), (pair) => parseInt(pair, 16));
}

/** Standard base64 in its one spelling, so that no byte can be changed unseen. */
function fromBase64(text) {
  let plain;
  try { plain = atob(text); } catch { throw new Refused("not base64"); }
  if (btoa(plain) !== text) throw new Refused("base64 in another than its one spelling");
  return Uint8Array.from(plain, (c) => c.charCodeAt(0));
}

async function sha256(...parts) {
  if (!globalThis.crypto?.subtle) throw new CannotCheck("This page was not loaded over https or from this machine, so the browser gives it no WebCrypto.");
  return new Uint8Array(await crypto.subtle.digest("SHA-256", joined(...parts)));
}

const leafHash = (bytes) => sha256([0], bytes);
const nodeHash = (left, right) => sha256([1], left, right);

/* Ed25519 keys: the rules of ledger/keys.py. Points of small order sign some messages for anybody;
   an encoding of y beyond the field has a second spelling. */
const P = (1n << 255n) - 19n;
const ORDER_8 = 0x05fc536d880238b13933c6d305acdfd5f098eff289f4c345b027b2c28f95e826n;
const SMALL = new Set([0n, 1n, P - 1n, P, P + 1n, ORDER_8, P - ORDER_8]);
const yOf = (bytes) => BigInt(`0x${hex(Array.from(bytes.slice(0, 32)).reverse())}`) & ((1n << 255n) - 1n);

/** `name+hash+base64` as a key; refuses another type, a wrong hash and weak points. */
async function readKey(text) {
  const [name, hash, ...rest] = text.trim().split("+");
  const material = rest.length ? fromBase64(rest.join("+")) : [];
  if (!name || /\s/.test(name) || material.length !== 33 || material[0] !== 1) throw new Refused("The key is not laid out name+hash+base64 of an Ed25519 key.");
  const id = (await sha256(utf8.encode(`${name}\n`), material)).slice(0, 4);
  if (hex(id) !== hash) throw new Refused(`The key's hash is ${hash}; its name and bytes give ${hex(id)}.`);
  const point = material.slice(1);
  if (SMALL.has(yOf(point)) || yOf(point) >= P) throw new Refused("The key is a weak or misspelled point, which anybody could sign for.");
  return { name, id, point };
}

async function signedBy(key, message, signature) {
  if (signature.length !== 64) throw new Refused(`The signature has ${signature.length} bytes, not 64.`);
  if (SMALL.has(yOf(signature))) throw new Refused("The signature begins with a weak point.");
  let usable;
  try {
    usable = await crypto.subtle.importKey("raw", key.point, { name: "Ed25519" }, false, ["verify"]);
  } catch (error) {
    if (error.name === "NotSupportedError") throw new CannotCheck("This browser's WebCrypto has no Ed25519, so it cannot check the signature. Newer ones do.");
    throw new Refused("The key is no point of the curve.");
  }
  if (!(await crypto.subtle.verify({ name: "Ed25519" }, usable, signature, message))) throw new Refused(`The signature of ${key.name} does not verify over this checkpoint.`);
}

/** Origin, size and root of a note, and whether `key` signed it. */
function parseNote(note) {
  const end = note.lastIndexOf("\n\n");
  if (end < 0 || !note.endsWith("\n")) throw new Refused("The checkpoint has no blank line before signatures.");
  const text = note.slice(0, end + 1);
  // eslint-disable-next-line no-control-regex
  if (/[\u0000-\u0009\u000b-\u001f]/.test(text)) throw new Refused("The checkpoint holds a control character.");
  const lines = text.split("\n");
  if (lines.length !== 4 || !lines[0]) throw new Refused("A checkpoint has three lines: origin, size, root.");
  if (!/^(0|[1-9][0-9]{0,15})$/.test(lines[1])) throw new Refused(`Tree size ${lines[1]} is not a number.`);
  const root = fromBase64(lines[2]);
  if (root.length !== 32) throw new Refused("The root has not 32 bytes.");
  return { text, signatures: note.slice(end + 2, -1).split("\n"), origin: lines[0], size: Number(lines[1]), root };
}

async function openNote(note, key) {
  const checkpoint = parseNote(note);
  let signed = false;
  for (const line of checkpoint.signatures) {
    const [name, encoded, ...more] = line.slice(DASH.length).split(" ");
    if (!line.startsWith(DASH) || !name || !encoded || more.length) throw new Refused("A signature line is malformed.");
    const decoded = fromBase64(encoded);
    if (name !== key.name || !same(decoded.slice(0, 4), key.id)) continue;
    await signedBy(key, utf8.encode(checkpoint.text), decoded.slice(4));
    signed = true;
  }
  if (!signed) throw new Refused(`No signature of ${key.name} under your key is on this checkpoint.`);
  if (checkpoint.origin !== key.name) throw new Refused(`The checkpoint is of ${checkpoint.origin}, your key is of ${key.name}.`);
  return checkpoint;
}

/** The root that a path leads to (RFC 9162, 2.1.3.2); refuses a path of another length. */
async function rootOf(leaf, index, size, path) {
  if (!Number.isSafeInteger(index) || !Number.isSafeInteger(size) || index < 0 || index >= size) throw new Refused(`There is no leaf ${index} in a tree of ${size}.`);
  let [place, last, computed] = [index, size - 1, leaf];
  for (const node of path) {
    if (last === 0) throw new Refused("The path is too long.");
    if (place % 2 === 1 || place === last) {
      computed = await nodeHash(node, computed);
      while (place !== 0 && place % 2 === 0) { place /= 2; last = Math.floor(last / 2); }
    } else {
      computed = await nodeHash(computed, node);
    }
    place = Math.floor(place / 2);
    last = Math.floor(last / 2);
  }
  if (last !== 0) throw new Refused("The path is too short.");
  return computed;
}

async function checkPath(bytes, index, size, path, root, what) {
  if (!Array.isArray(path)) throw new Refused("The path is not a list.");
  const leaf = await leafHash(bytes);
  const computed = await rootOf(leaf, index, size, path.map(fromHex));
  if (!same(computed, root)) throw new Refused(`The path leads to ${hex(computed)}; ${what} is ${hex(root)}.`);
  return `It leads from leaf hash ${hex(leaf)} to ${hex(computed)}.`;
}

/* The steps, in the order they are shown. Each returns what it found; a later one needs an earlier. */
const STEPS = [
  ["Your key is a verifier key", async (s) => {
    s.key = await readKey(s.keyText);
    return `It is of the log ${s.key.name}, hash ${hex(s.key.id)}.`;
  }],
  ["The receipt has its form", (s) => {
    const r = s.receipt;
    const fits = has(r, "checkpoint", "entry", "format", "inclusion", "leaf_index", "state") && has(r.inclusion, "path", "tree_size")
      && r.format === "assay/receipt/v1" && ["published", "witnessed"].includes(r.state)
      && typeof r.entry === "string" && typeof r.checkpoint === "string";
    if (!fits) throw new Refused("It is no receipt of format assay/receipt/v1.");
    s.entry = utf8.encode(r.entry);
    return `It is for leaf ${r.leaf_index} of a tree of ${r.inclusion.tree_size}.`;
  }],
  ["The checkpoint is signed with your key", async (s) => {
    s.checkpoint = await openNote(s.receipt.checkpoint, s.key);
    return `${s.checkpoint.origin} signed a tree of ${s.checkpoint.size} with root ${hex(s.checkpoint.root)}.`;
  }],
  ["The entry is in the signed tree", (s) => {
    const { leaf_index: index, inclusion } = s.receipt;
    if (inclusion.tree_size !== s.checkpoint.size) throw new Refused(`The path is of a tree of ${inclusion.tree_size}, the checkpoint of ${s.checkpoint.size}.`);
    return checkPath(s.entry, index, s.checkpoint.size, inclusion.path, s.checkpoint.root, "the signed root");
  }],
  ["The entry is of this log", (s) => {
    try { s.body = JSON.parse(s.receipt.entry).body; } catch { throw new Refused("The entry is not JSON."); }
    if (s.body?.origin !== s.checkpoint.origin) throw new Refused(`The entry is of ${s.body?.origin}, the checkpoint of ${s.checkpoint.origin}.`);
    return `It is a ${s.body.type} by key ${s.body.producer}.`;
  }],
];
const ROW_STEP = ["The row is in the entry", async (s) => {
  const found = await checkPath(utf8.encode(s.row.row), s.row.row_index, s.row.row_count, s.row.path, fromHex(s.body.data.rows_root), "the entry's root of rows");
  if (s.body.data.row_count !== s.row.row_count) throw new Refused(`The entry has ${s.body.data.row_count} rows, the path is of ${s.row.row_count}.`);
  s.rowRead = JSON.parse(s.row.row);
  return found;
}];

/** Run the steps; `told(n, state, text)` hears of each. States: passed, failed, cannot, skipped. */
async function check(state, told) {
  const steps = state.row ? [...STEPS, ROW_STEP] : STEPS;
  let verdict = "passed";
  for (const [n, [, step]] of steps.entries()) {
    if (verdict !== "passed") { told(n, "skipped", ""); continue; }
    try {
      told(n, "passed", await step(state));
    } catch (error) {
      verdict = error instanceof CannotCheck ? "cannot" : "failed";
      told(n, verdict, error.message);
    }
  }
  return verdict;
}

/* The page. */

const WORDS = { passed: "Passed", failed: "Failed", cannot: "Cannot check", skipped: "Not reached" };
const ENDS = {
  passed: "Every step passed: this entry stands in the log that your key signs for.",
  failed: "Failed: under your key this receipt does not show what it claims. Keep both.",
  cannot: "Not checked: this browser cannot. Download the receipt and run assay verify-receipt.",
};

function listItem(title) {
  const item = document.createElement("li");
  const [mark, words, detail] = ["b", "span", "span"].map((tag) => document.createElement(tag));
  mark.className = "told";
  words.textContent = title;
  detail.className = "fine wrap-any";
  item.append(mark, words, detail);
  return item;
}

/** What the checked bytes themselves say, beside what the page shows. */
function facts(state) {
  const data = state.body.data ?? {};
  const row = state.rowRead ?? data.row ?? {};
  const found = { Type: state.body.type, "Recorded at": state.body.event_time, Model: data.model_name, "Model digest": data.model_digest, Decision: row.decision };
  return Object.entries(found).filter(([, value]) => typeof value === "string").map(([name, value]) => {
    const pair = document.createElement("div");
    const [dt, dd] = ["dt", "dd"].map((tag) => document.createElement(tag));
    dt.textContent = name;
    dd.textContent = value;
    dd.className = "wrap-any";
    pair.append(dt, dd);
    return pair;
  });
}

const store = { // a browser may refuse to keep anything
  get() { try { return localStorage.getItem(KEPT) ?? ""; } catch { return ""; } },
  set(text) { try { localStorage.setItem(KEPT, text); } catch { /* not kept then */ } },
  drop() { try { localStorage.removeItem(KEPT); } catch { /* nothing was kept */ } },
};

function start(section) {
  const part = (name) => section.querySelector(`[data-part=${name}]`);
  const [form, key, keep, list, end, said] = ["form", "key", "keep", "steps", "end", "facts"].map(part);
  key.value = store.get();
  keep.checked = key.value !== "";
  section.hidden = false;
  form.addEventListener("submit", async (event) => {
    event.preventDefault();
    if (keep.checked) store.set(key.value.trim()); else store.drop();
    const state = { keyText: key.value, row: section.dataset.row ? JSON.parse(section.dataset.row) : null };
    try { state.receipt = JSON.parse(document.getElementById(section.dataset.receipt).textContent); } catch { state.receipt = null; }
    const titles = (state.row ? [...STEPS, ROW_STEP] : STEPS).map(([title]) => title);
    list.replaceChildren(...titles.map(listItem));
    said.replaceChildren();
    end.textContent = "Checking…";
    const verdict = await check(state, (n, name, text) => {
      const [mark, , detail] = list.children[n].children;
      list.children[n].className = name;
      mark.textContent = WORDS[name];
      detail.textContent = text;
    });
    end.textContent = ENDS[verdict];
    end.className = `end ${verdict}`;
    if (verdict === "passed") said.replaceChildren(...facts(state));
    said.hidden = verdict !== "passed";
  });
}

for (const section of document.querySelectorAll("[data-receipt]")) start(section);
