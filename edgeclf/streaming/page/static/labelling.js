// Collected frames that wait for a label: one click sorts one.

const MOST_BUTTONS = 12;
const element = (id) => document.getElementById(id);

export class Labelling {
  constructor() {
    this.labels = [];
    this.timer = null;
    this.shown = "";
  }

  start() {
    element("labelling").hidden = false;
    this.stop();
    this.refresh();
    this.timer = setInterval(() => this.refresh(), 5000);
  }

  stop() {
    clearInterval(this.timer);
  }

  async refresh() {
    let collected;
    try {
      const response = await fetch("/api/collected");
      if (!response.ok) return;
      collected = await response.json();
    } catch {
      return;
    }
    const names = JSON.stringify([collected.labels, collected.images.map((image) => image.name)]);
    if (names === this.shown) return;
    this.shown = names;
    this.labels = collected.labels;
    element("all-labels").replaceChildren(...collected.labels.map((label) => new Option(label)));
    element("labelling-note").textContent = collected.images.length
      ? "Frames the model was unsure of, and a few others. One click sorts one into its class folder."
      : "No frame waits for a label.";
    this.render(collected.images);
  }

  // Cards that stay keep their element, and with it the focus and what was typed.
  render(images) {
    const list = element("collected");
    const kept = new Map([...list.children].map((card) => [card.dataset.name, card]));
    list.replaceChildren(...images.map((image) => kept.get(image.name) || this.card(image)));
  }

  card(image) {
    const card = document.createElement("li");
    card.dataset.name = image.name;
    const picture = new Image();
    picture.alt = `Collected frame of ${moment(image.time)}`;
    picture.loading = "lazy";
    picture.src = `/api/collected/${encodeURIComponent(image.name)}.jpg`;
    const inner = document.createElement("div");
    inner.className = "card";
    const why = document.createElement("p");
    why.className = "why";
    why.textContent = `${moment(image.time)}, ${image.reason}`;
    inner.append(why, this.choices(image), this.otherLabel(image));
    card.append(picture, inner);
    return card;
  }

  choices(image) {
    const likely = Object.entries(image.scores).sort((a, b) => b[1] - a[1]);
    const scores = new Map(likely);
    const rest = this.labels.filter((label) => !scores.has(label)).slice(0, Math.max(0, MOST_BUTTONS - likely.length));
    const box = document.createElement("div");
    box.className = "choices";
    box.setAttribute("role", "group");
    box.setAttribute("aria-label", "Label");
    for (const label of [...scores.keys()].slice(0, MOST_BUTTONS).concat(rest)) {
      const button = document.createElement("button");
      button.type = "button";
      button.textContent = label;
      button.dataset.label = label;
      if (scores.has(label)) {
        const score = document.createElement("small");
        score.textContent = `${Math.round(scores.get(label) * 100)} %`;
        button.append(score);
      }
      button.addEventListener("click", () => this.send(image.name, "label", { label }));
      box.append(button);
    }
    return box;
  }

  otherLabel(image) {
    const form = document.createElement("form");
    const input = document.createElement("input");
    input.setAttribute("list", "all-labels");
    input.setAttribute("aria-label", "Another label");
    input.placeholder = "Another label";
    input.maxLength = 100;
    input.required = true;
    const use = document.createElement("button");
    use.type = "submit";
    use.textContent = "Use";
    const discard = document.createElement("button");
    discard.type = "button";
    discard.className = "discard";
    discard.textContent = "Delete";
    discard.addEventListener("click", () => this.send(image.name, "discard", {}));
    form.addEventListener("submit", (event) => {
      event.preventDefault();
      this.send(image.name, "label", { label: input.value });
    });
    form.append(input, use, discard);
    return form;
  }

  async send(name, action, body) {
    const status = element("labelling-status");
    const card = [...element("collected").children].find((one) => one.dataset.name === name);
    const next = card && (card.nextElementSibling || card.previousElementSibling);
    try {
      const response = await fetch(`/api/collected/${encodeURIComponent(name)}/${action}`, {
        method: "POST",
        headers: { "Content-Type": "application/json" },
        body: JSON.stringify(body),
      });
      if (!response.ok && response.status !== 404) {
        status.textContent = (await response.json()).error;
        return;
      }
      status.textContent = !response.ok ? "That frame is gone." : action === "label" ? `Sorted into ${body.label}.` : "Deleted.";
    } catch {
      status.textContent = "Not done: the connection is lost.";
      return;
    }
    if (card) card.remove();
    if (next) next.querySelector("button").focus({ preventScroll: true });
    this.refresh();
  }
}

function moment(time) {
  const date = new Date(time);
  return Number.isNaN(date.getTime()) ? time : date.toLocaleString();
}
