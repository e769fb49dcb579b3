// Collected frames that wait for a label: one click sorts one, or all that are selected; everything can be undone.

import { visible } from "/visible.js";

const MOST_BUTTONS = 12;
const MOST_FOR_SELECTED = 6;
const PERIOD = 5000; // milliseconds between two looks, since others sort too
const UNDO_WITHOUT_ASKING = 3;
const LONGEST_WAIT = 10000; // milliseconds for a reply, behind which the connection counts as lost
// Phones write a capital first, and what they know better: that would be another class.
const AS_TYPED = { autocapitalize: "none", autocorrect: "off", spellcheck: "false", autocomplete: "off" };
const element = (id) => document.getElementById(id);

const SKELETON = `
  <h2 id="labelling-title">What is this? <small id="labelling-note"></small></h2>
  <div id="labelling-bar">
    <p id="labelling-status" role="status"></p>
    <button id="select-all" type="button" hidden>Select all</button>
    <button id="undo" type="button" hidden>Undo</button>
  </div>
  <details id="decisions" hidden>
    <summary>What was done last</summary>
    <ol id="decision-list" role="list"></ol>
    <button id="undo-all" type="button">Undo all of these</button>
  </details>
  <ul id="collected" role="list"></ul>
  <div id="selection" role="group" aria-label="Selected frames" hidden>
    <strong id="selection-count"></strong>
    <div class="choices"></div>
    <form>
      <input list="all-labels" aria-label="Label for the selected frames" placeholder="Label" maxlength="1000" required>
      <button type="submit">Sort</button>
      <button type="button" class="discard">Delete</button>
      <button type="button" class="none" aria-label="Select none">None</button>
    </form>
  </div>
  <p id="keys">Keyboard, in a frame: <kbd>1</kbd> to <kbd>9</kbd> sort it, <kbd>←</kbd> <kbd>→</kbd> go to another,
    <kbd>X</kbd> selects, <kbd>Delete</kbd> deletes, <kbd>U</kbd> undoes.</p>
  <datalist id="all-labels"></datalist>`;

export class Labelling {
  // onTrouble(text): frames cannot be listed, or with "" they can again.
  constructor(onTrouble = () => {}) {
    this.onTrouble = onTrouble;
    this.labels = [];
    this.images = [];
    this.decisions = [];
    this.selected = new Set();
    this.timer = null;
    this.shown = "";
    this.changes = 0;
    this.pending = new Set(); // names on their way, which nothing else may be done with
    this.losses = 0;
    this.looking = 0; // looks that wait for their reply
    this.working = Promise.resolve();
  }

  // One after the other: what is undone is the last step, also where that is still on its way.
  queue(step) {
    this.working = this.working.then(step).catch(() => status("Not done: something went wrong on the page."));
    return this.working;
  }

  start() {
    const section = element("labelling");
    if (!section.firstElementChild) this.build(section);
    section.hidden = false;
    this.stop();
    this.refresh();
    this.timer = setInterval(() => this.looking || this.refresh(), PERIOD);
  }

  stop() {
    clearInterval(this.timer);
  }

  build(section) {
    section.innerHTML = SKELETON;
    section.setAttribute("aria-labelledby", "labelling-title");
    section.addEventListener("keydown", (event) => this.key(event));
    element("undo").addEventListener("click", () => this.undoLast());
    element("undo-all").addEventListener("click", () => {
      const count = this.decisions.length;
      if (count > UNDO_WITHOUT_ASKING && !confirm(`Undo the last ${count} steps?`)) return;
      this.queue(() => this.undo(this.decisions));
    });
    element("select-all").addEventListener("click", () => this.select(this.images.map((image) => image.name), true));
    const form = element("selection").querySelector("form");
    const [input] = form.elements;
    setAll(input, AS_TYPED);
    form.addEventListener("submit", (event) => {
      event.preventDefault();
      this.send([...this.selected], "label", this.known(input.value.trim()));
      input.value = "";
    });
    form.querySelector(".discard").addEventListener("click", () => this.send([...this.selected], "discard"));
    form.querySelector(".none").addEventListener("click", () => this.select([...this.selected], false));
  }

  async refresh() {
    this.looking += 1;
    try {
      await this.look();
    } finally {
      this.looking -= 1;
    }
  }

  async look() {
    const before = this.changes;
    let collected;
    try {
      const response = await fetch("/api/collected", { signal: AbortSignal.timeout(LONGEST_WAIT) });
      if (response.status === 401) location.reload();
      if (!response.ok) return;
      collected = await response.json();
    } catch {
      this.onTrouble("Connection lost. Trying again …");
      return;
    }
    this.onTrouble("");
    if (before !== this.changes) return; // something was done since: a later look is on its way
    const { labels, images, waiting, decisions } = collected;
    const news = JSON.stringify([labels, images.map((image) => image.name), waiting, decisions.map((one) => one.id)]);
    if (news === this.shown) return;
    this.shown = news;
    Object.assign(this, { labels, images, decisions });
    element("all-labels").replaceChildren(...labels.map((label) => new Option(label)));
    element("labelling-note").textContent = this.note(images.length, waiting);
    element("select-all").hidden = images.length < 2;
    element("keys").hidden = !images.length;
    this.render(images);
    this.showDecisions();
    const there = new Set(images.map((image) => image.name));
    this.select([...this.selected].filter((name) => !there.has(name)), false);
  }

  note(shown, waiting) {
    if (!waiting) return "No frame waits for a label.";
    const count = waiting === 1 ? "1 frame waits" : `${waiting.toLocaleString()} frames wait`;
    const part = shown < waiting ? `, the newest ${shown} are here` : "";
    return `${count}${part}. One click sorts one into its class folder.`;
  }

  // Cards that stay are not moved, which would take the focus from them, and new ones come behind them: what a finger is
  // about to touch must not become another frame.
  render(images) {
    const list = element("collected");
    const names = new Set(images.map((image) => image.name));
    for (const card of [...list.children]) if (!names.has(card.dataset.name)) card.remove();
    const kept = new Map([...list.children].map((card) => [card.dataset.name, card]));
    for (const image of images) if (!kept.has(image.name)) list.append(this.card(image));
  }

  card(image) {
    const card = document.createElement("li");
    card.dataset.name = image.name;
    card.tabIndex = 0;
    card.setAttribute("aria-label", `Frame of ${moment(image.time)}`);
    const picture = new Image();
    picture.alt = `Collected frame of ${moment(image.time)}`;
    picture.loading = "lazy";
    picture.src = `/api/collected/${encodeURIComponent(image.name)}.jpg`;
    const select = document.createElement("label");
    select.className = "select";
    const box = document.createElement("input");
    box.type = "checkbox";
    box.addEventListener("change", () => this.select([image.name], box.checked));
    select.append(box, picture);
    const inner = document.createElement("div");
    inner.className = "card";
    const why = document.createElement("p");
    why.className = "why";
    why.textContent = `${moment(image.time)}, ${visible(image.reason)}`;
    inner.append(why, this.choices(image), this.otherLabel(image));
    box.setAttribute("aria-label", "Select");
    card.append(select, inner);
    return card;
  }

  choices(image) {
    const likely = Object.entries(image.scores).sort((a, b) => b[1] - a[1]);
    const scores = new Map(likely);
    const rest = this.labels.filter((label) => !scores.has(label)).slice(0, Math.max(0, MOST_BUTTONS - likely.length));
    const box = document.createElement("div");
    box.className = this.digits() ? "choices" : "choices numbered";
    box.setAttribute("role", "group");
    box.setAttribute("aria-label", "Label");
    for (const label of [...scores.keys()].slice(0, MOST_BUTTONS).concat(rest)) {
      const button = labelButton(label, () => this.send([image.name], "label", label));
      if (scores.has(label)) {
        const score = document.createElement("small");
        score.textContent = `${Math.round(scores.get(label) * 100)} %`;
        button.append(score);
      }
      box.append(button);
    }
    return box;
  }

  otherLabel(image) {
    const form = document.createElement("form");
    const input = document.createElement("input");
    input.setAttribute("list", "all-labels");
    input.setAttribute("aria-label", "Another label");
    input.placeholder = "Other …";
    input.maxLength = 1000;
    input.required = true;
    setAll(input, AS_TYPED);
    const use = document.createElement("button");
    use.type = "submit";
    use.textContent = "Use";
    const discard = document.createElement("button");
    discard.type = "button";
    discard.className = "discard";
    discard.textContent = "Delete";
    discard.addEventListener("click", () => this.send([image.name], "discard"));
    form.addEventListener("submit", (event) => {
      event.preventDefault();
      this.send([image.name], "label", this.known(input.value.trim()));
    });
    form.append(input, use, discard);
    return form;
  }

  select(names, chosen) {
    for (const name of names) {
      if (chosen) this.selected.add(name);
      else this.selected.delete(name);
    }
    for (const card of element("collected").children) {
      const is = this.selected.has(card.dataset.name);
      card.classList.toggle("selected", is);
      card.querySelector("input[type=checkbox]").checked = is;
    }
    const bar = element("selection");
    bar.hidden = !this.selected.size;
    element("selection-count").textContent = `${this.selected.size} selected`;
    bar.querySelector(".choices").replaceChildren(
      ...this.likelyForSelected().map((label) => labelButton(label, () => this.send([...this.selected], "label", label))),
    );
  }

  likelyForSelected() {
    const sums = new Map();
    for (const image of this.images) {
      if (!this.selected.has(image.name)) continue;
      for (const [label, score] of Object.entries(image.scores)) sums.set(label, (sums.get(label) || 0) + score);
    }
    const likely = [...sums].sort((a, b) => b[1] - a[1]).map(([label]) => label);
    return [...new Set([...likely, ...this.labels])].slice(0, MOST_FOR_SELECTED);
  }

  // The class that differs from what was typed in capitals alone, where there is one.
  known(typed) {
    const alike = this.labels.filter((label) => label.toLowerCase() === typed.toLowerCase());
    return alike.length === 1 ? alike[0] : typed;
  }

  // Whether digits are names of classes: then a key is its class, and no button's number.
  digits() {
    return this.labels.some((label) => /^[1-9]$/.test(label));
  }

  // action: "label" or "discard"
  async send(names, action, label) {
    const free = names.filter((name) => !this.pending.has(name));
    if (!free.length || (action === "label" && !label)) return;
    const { losses } = this;
    free.forEach((name) => this.pending.add(name));
    try {
      // what waited for a connection that was lost is not done unseen when it is back
      await this.queue(() => (losses === this.losses ? this.sendNow(free, action, label) : undefined));
    } finally {
      free.forEach((name) => this.pending.delete(name));
    }
  }

  async sendNow(names, action, label) {
    const gone = new Set(names);
    const cards = [...element("collected").children];
    const first = cards.findIndex((one) => gone.has(one.dataset.name));
    const next = first < 0 ? undefined : cards.slice(first).concat(cards.slice(0, first).reverse()).find((one) => !gone.has(one.dataset.name));
    const result = await this.post(`/api/collected/${action}`, action === "label" ? { names, label } : { names });
    if (!result) return;
    const count = result.names ? result.names.length : 0;
    const many = names.length > 1 ? `${count} of ${names.length} ` : "";
    const done = action === "label" ? `sorted into ${label}.` : "deleted.";
    status(!count ? "Gone: sorted or deleted by somebody else." : capital(many + done));
    for (const card of cards) if (gone.has(card.dataset.name)) card.remove();
    this.select(names, false);
    if (next) next.focus({ preventScroll: names.length === 1 });
    await this.refresh();
  }

  undoLast() {
    return this.queue(() => this.undo(this.decisions.slice(0, 1)));
  }

  async undo(decisions) {
    if (!decisions.length) return undefined;
    let restored = 0;
    let lost = 0;
    for (const decision of decisions) {
      const result = await this.post("/api/collected/undo", { decision: decision.id });
      if (!result) return this.refresh();
      restored += result.restored || 0;
      lost += result.gone || 0;
    }
    const back = restored === 1 ? "1 frame is back" : `${restored} frames are back`;
    const gone = lost ? `; ${lost} ${lost === 1 ? "is" : "are"} gone for good` : "";
    status(restored || lost ? `Undone: ${back}${gone}.` : "That was undone already.");
    await this.refresh();
    return undefined;
  }

  // The reply; {} where what was asked for is gone; null where it was not done, and the status says why.
  async post(path, body) {
    this.changes += 1;
    try {
      const response = await fetch(path, {
        method: "POST",
        headers: { "Content-Type": "application/json" },
        body: JSON.stringify(body),
        signal: AbortSignal.timeout(LONGEST_WAIT),
      });
      if (response.ok) return await response.json();
      if (response.status === 404) return {};
      status((await response.json()).error);
    } catch {
      this.losses += 1;
      status("Not done: the connection is lost.");
    }
    return null;
  }

  showDecisions() {
    const { decisions } = this;
    element("undo").hidden = element("decisions").hidden = !decisions.length;
    if (!decisions.length) return;
    element("undo").title = `Undo: ${describe(decisions[0])}`;
    element("undo-all").hidden = decisions.length < 2;
    element("decision-list").replaceChildren(
      ...decisions.map((decision) => {
        const row = document.createElement("li");
        const when = document.createElement("time");
        when.dateTime = decision.time;
        when.textContent = new Date(decision.time).toLocaleTimeString();
        const what = document.createElement("span");
        what.className = "name";
        what.textContent = describe(decision);
        const button = document.createElement("button");
        button.type = "button";
        button.textContent = "Undo";
        button.addEventListener("click", () => this.queue(() => this.undo([decision])));
        row.append(when, what, button);
        return row;
      }),
    );
  }

  key(event) {
    const typing = event.target.matches("input:not([type=checkbox])");
    const wanted = event.key.toLowerCase();
    if (event.altKey || event.metaKey || typing || (event.ctrlKey && wanted !== "z")) return;
    if (event.repeat && !wanted.startsWith("arrow")) return; // a key that is held is one wish
    if (wanted === "u" || (event.ctrlKey && wanted === "z")) {
      event.preventDefault();
      this.undoLast();
      return;
    }
    const card = event.target.closest("#collected > li");
    if (!card) return;
    const { name } = card.dataset;
    const buttons = [...card.querySelectorAll(".choices button")];
    const meant = this.digits() ? buttons.find((one) => one.dataset.label === wanted) : buttons[wanted - 1];
    const steps = { arrowleft: "previousElementSibling", arrowright: "nextElementSibling" };
    if (steps[wanted]) card[steps[wanted]]?.focus();
    else if (wanted === "x") this.select([name], !this.selected.has(name));
    else if (wanted === "delete") this.send([name], "discard");
    else if (/^[1-9]$/.test(wanted) && meant) meant.click();
    else return;
    event.preventDefault();
  }
}

function labelButton(label, onClick) {
  const button = document.createElement("button");
  button.type = "button";
  button.textContent = visible(label);
  button.dataset.label = label;
  button.addEventListener("click", (event) => {
    if (event.detail < 2) onClick(); // the second click of a double one meets the card that came to this place
  });
  return button;
}

function setAll(node, attributes) {
  for (const [name, value] of Object.entries(attributes)) node.setAttribute(name, value);
}

function describe(decision) {
  const frames = decision.count === 1 ? "1 frame" : `${decision.count} frames`;
  return decision.label === null ? `${frames} deleted` : `${frames} sorted into ${visible(decision.label)}`;
}

function status(text) {
  element("labelling-status").textContent = visible(text);
}

function capital(text) {
  return text.charAt(0).toUpperCase() + text.slice(1);
}

function moment(time) {
  const date = new Date(time);
  return Number.isNaN(date.getTime()) ? visible(time) : date.toLocaleString();
}
