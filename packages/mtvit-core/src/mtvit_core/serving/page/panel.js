// The controls beside the picture: they only change what is drawn, never ask the server again.

const $ = (id) => document.getElementById(id);
const LAYERS = [["boxes", "Boxes"], ["masks", "Masks"], ["skeletons", "Skeletons"], ["names", "Names"]];

function made(tag, properties = {}, ...children) {
  const element = Object.assign(document.createElement(tag), properties);
  element.append(...children);
  return element;
}

/** A checkbox with a name. */
function choice(text, value, checked, colour, count) {
  const box = made("input", { type: "checkbox", value, checked });
  const label = made("label", {}, box);
  if (colour) {
    const swatch = made("span", { className: "swatch" });
    swatch.style.setProperty("--of", colour);
    label.append(swatch);
  }
  label.append(text);
  if (count !== undefined) label.append(made("span", { className: "count", textContent: count }));
  return label;
}

export class Panel {
  /** @param changed called whenever something else is to be drawn */
  constructor(card, changed) {
    this.card = card;
    this.colours = new Map(card.categories.map((c) => [c.name, c.colour]));
    this.off = new Set(); // classes that are switched off, kept from picture to picture
    this.mapsOn = new Set();
    this.chosen = null;
    this.changed = changed;
    $("layers").append(...LAYERS.map(([value, text]) => choice(text, value, true)));
    $("layers").addEventListener("change", (event) => {
      const { value, checked } = event.target;
      if (value.startsWith("map:")) this.mapsOn[checked ? "add" : "delete"](value);
      changed();
    });
    $("classes").addEventListener("change", (event) => {
      this.off[event.target.checked ? "delete" : "add"](event.target.value);
      changed();
    });
    for (const id of ["score", "opacity", "colours"]) $(id).addEventListener("input", changed);
  }

  get minScore() { return Number($("score").value); }

  /** Make the controls fit an answer. */
  take(answer) {
    this.answer = answer;
    this.chosen = null;
    for (const old of $("layers").querySelectorAll("label:has([value^='map:'])")) old.remove();
    const maps = Object.entries(answer.maps || {});
    $("layers").append(...maps.map(([name, map]) => {
      const range = map.range ? ` ${map.range.map((v) => v.toPrecision(3)).join(" to ")}` : "";
      return choice(`${name}${range}`, `map:${name}`, this.mapsOn.has(`map:${name}`));
    }));
    $("map-line").hidden = maps.length === 0;
    $("take").hidden = false;
  }

  /** What is to be drawn now; the lists below the controls follow. */
  view() {
    const minScore = this.minScore;
    $("score-value").value = minScore.toFixed(2);
    const sure = this.answer.objects.filter((object) => object.score >= minScore);
    const objects = sure.filter((object) => !this.off.has(object.category));
    if (!objects.includes(this.chosen)) this.chosen = null;
    const layers = new Set([...$("layers").querySelectorAll(":checked")].map((box) => box.value));
    const byObject = $("colours").value === "object";
    const colourOf = (object) => byObject
      ? this.card.colours[(object.id - 1) % this.card.colours.length]
      : this.colours.get(object.category);
    this.listClasses(sure);
    this.listObjects(objects, colourOf);
    this.listLabels(minScore);
    return { objects, layers, colourOf, opacity: Number($("opacity").value), chosen: this.chosen };
  }

  /** What the lines of curl and Python have to say. */
  question(file, layers) {
    const found = [...new Set(this.answer.objects.map((object) => object.category))];
    const some = found.some((name) => this.off.has(name));
    return {
      file, minScore: this.minScore,
      classes: some ? found.filter((name) => !this.off.has(name)) : null,
      maps: [...layers].some((layer) => layer.startsWith("map:")),
    };
  }

  listClasses(sure) {
    const counts = new Map();
    for (const { category } of sure) counts.set(category, (counts.get(category) || 0) + 1);
    for (const name of this.off) if (!counts.has(name)) counts.set(name, 0);
    const kept = document.activeElement?.closest("#classes") ? document.activeElement.value : null;
    $("classes").replaceChildren(...[...counts].sort(([a], [b]) => a.localeCompare(b)).map(([name, count]) =>
      choice(name, name, !this.off.has(name), this.colours.get(name), count)));
    $("classes-box").hidden = counts.size === 0;
    if (kept !== null) [...$("classes").querySelectorAll("input")].find((i) => i.value === kept)?.focus();
  }

  listObjects(objects, colourOf) {
    const listed = JSON.stringify(objects.map((object) => [object.id, colourOf(object)]));
    if (listed !== this.listed || this.answer !== this.listedOf) {
      this.listed = listed;
      this.listedOf = this.answer;
      this.makeRows(objects, colourOf);
    }
    for (const button of $("objects").querySelectorAll("button")) {
      button.setAttribute("aria-pressed", this.chosen?.id === Number(button.dataset.id));
    }
  }

  makeRows(objects, colourOf) {
    const rows = objects.map((object) => {
      const swatch = made("span", { className: "swatch" });
      swatch.style.setProperty("--of", colourOf(object));
      const button = made("button", { type: "button" }, swatch,
        made("span", { className: "name", textContent: object.category }),
        made("span", { className: "by", textContent: object.task }),
        made("span", { className: "value", textContent: object.score.toFixed(2) }));
      button.dataset.id = object.id;
      button.addEventListener("click", () => this.choose(object === this.chosen ? null : object));
      return made("li", {}, button);
    });
    const none = made("li", { className: "quiet", textContent: "None of this score" });
    const kept = document.activeElement?.closest("#objects") ? document.activeElement.dataset.id : null;
    $("objects").replaceChildren(...(rows.length ? rows : [none]));
    $("objects-title").textContent = `Objects (${objects.length})`;
    if (kept) $("objects").querySelector(`[data-id="${kept}"]`)?.focus();
  }

  listLabels(minScore) {
    const labels = Object.values(this.answer.labels || {}).flat().filter((l) => l.score >= minScore);
    $("labels").replaceChildren(...labels.map((label) =>
      made("li", { textContent: `${label.category} ${label.score.toFixed(2)}` })));
    $("labels-box").hidden = labels.length === 0;
  }

  /** Bring one object forward; null for all. */
  choose(object) {
    this.chosen = object;
    this.changed();
    if (object) $("objects").querySelector(`[data-id="${object.id}"]`)?.scrollIntoView({ block: "nearest" });
  }
}
