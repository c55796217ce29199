// The page: images come in, answers are shown.
import { Camera } from "./camera.js";
import { FLOOR, Refused, modelCard, predict, useToken } from "./client.js";
import { Panel } from "./panel.js";
import { Scene } from "./scene.js";
import { cocoResults, curlLine, download, pythonLines, shownJson } from "./take.js";

const $ = (id) => document.getElementById(id);
const scene = new Scene($("picture")), camera = new Camera($("live"));
let card = null, panel = null, shown = null, asking = null;

async function begin() {
  try {
    card = await modelCard();
  } catch (refusal) {
    if (refusal.status === 401) { $("locked").hidden = false; $("token").focus(); return; }
    complain(refusal);
    return;
  }
  $("locked").hidden = true;
  complain(null);
  const name = card.name.split(/[\\/]/).slice(-2).join("/");
  $("model").textContent = `${name}: ${card.tasks.map((task) => task.name).join(", ")}, on ${card.device}`;
  $("model").title = card.name;
  panel ||= new Panel(card, redraw);
  $("score").min = FLOOR;
}

/** Ask about an image and show what comes back; a newer image takes the place of one that is asked about. */
async function see(blob, file, note = "") {
  if (!panel) return;
  asking?.abort();
  const mine = asking = new AbortController();
  if (!camera.on) $("status").textContent = "Looking…";
  try {
    const [bitmap, answer] = await Promise.all([
      createImageBitmap(blob).catch(() => null), predict(blob, mine.signal)]);
    if (mine !== asking) { bitmap?.close(); return; }
    await scene.show(bitmap, answer, card);
    shown = { answer, file };
    panel.take(answer);
    $("frame").classList.add("filled");
    complain(bitmap ? null : new Error("This browser cannot show this kind of image; the results are right."));
    tellFacts(answer, note);
    redraw();
  } catch (refusal) {
    if (refusal.name === "AbortError" || mine !== asking) return;
    $("status").textContent = "";
    complain(refusal);
    if (refusal.status === 401) begin();
    if (camera.on && refusal.status !== 429) stopCamera();
  }
}

function redraw() {
  if (!shown) return;
  const view = panel.view();
  scene.draw(view);
  const count = `${view.objects.length} of ${shown.answer.objects.length} objects`;
  $("picture").setAttribute("aria-label", `${shown.file}: ${count} shown`);
  if (!camera.on) $("status").textContent = count;
  const question = panel.question(shown.file, view.layers);
  $("curl").textContent = curlLine(question);
  $("python").textContent = pythonLines(question, card);
}

function tellFacts({ width, height, device, milliseconds: ms }, note) {
  const facts = {
    Image: `${width} × ${height}`, Answer: `${ms.total.toFixed(0)} ms`, Model: `${ms.model.toFixed(0)} ms`,
    Waited: `${ms.queue.toFixed(0)} ms`, Device: device, ...(note && { Camera: note }),
  };
  $("facts").replaceChildren(...Object.entries(facts).map(([name, value]) => {
    const line = document.createElement("div"), term = document.createElement("dt");
    const told = document.createElement("dd");
    term.textContent = name; told.textContent = value;
    line.append(term, told);
    return line;
  }));
}

function complain(error) {
  $("error").hidden = !error;
  $("error").textContent = error ? error.message : "";
}

async function startCamera() {
  $("camera").setAttribute("aria-pressed", "true");
  $("camera").textContent = "Freeze";
  $("status").textContent = "Live";
  let last = performance.now(), rate = 0;
  try {
    await camera.start(async (blob) => {
      await see(blob, "camera.jpg", rate ? `${rate.toFixed(1)} a second` : "live");
      if (shown) shown.blob = blob;
      const now = performance.now();
      rate = 1000 / (now - last);
      last = now;
    });
  } catch (cause) {
    complain(new Error(`The camera cannot be used: ${cause.message}`));
    stopCamera();
  }
}

function stopCamera() {
  camera.stop();
  asking?.abort(); // what is shown stays
  asking = null;
  $("camera").setAttribute("aria-pressed", "false");
  $("camera").textContent = "Camera";
  if (shown) redraw();
}

function take(file) {
  if (!file) return;
  if (camera.on) stopCamera();
  see(file, file.name || "pasted.png");
}

async function sample() {
  const response = await fetch("page/sample.jpg");
  take(new File([await response.blob()], "sample.jpg", { type: "image/jpeg" }));
}

const json = (value) => new Blob([JSON.stringify(value, null, 1)], { type: "application/json" });
const stem = () => shown.file.replace(/\.[^.]*$/, "");
const actions = {
  open: () => $("file").click(),
  sample,
  camera: () => (camera.on ? stopCamera() : startCamera()),
  json: () => download(`${stem()}.json`,
    json(shownJson(shown.answer, panel.view().objects, panel.minScore))),
  coco: () => download(`${stem()}.coco.json`, json(cocoResults(panel.view().objects))),
  png: () => $("picture").toBlob((blob) => download(`${stem()}.found.png`, blob)),
};
for (const [id, act] of Object.entries(actions)) $(id).addEventListener("click", act);
for (const button of document.querySelectorAll(".copy")) {
  button.addEventListener("click", async () => {
    await navigator.clipboard.writeText($(button.dataset.of).textContent);
    button.textContent = "Copied";
    setTimeout(() => { button.textContent = "Copy"; }, 1500);
  });
}
$("file").addEventListener("change", () => { take($("file").files[0]); $("file").value = ""; });
$("locked").addEventListener("submit", (event) => {
  event.preventDefault();
  useToken($("token").value);
  begin().then(() => { if (!card) complain(new Refused(401, "The token is not this server's.")); });
});
$("picture").addEventListener("click", (event) => shown && panel.choose(scene.at(event.clientX, event.clientY)));
document.addEventListener("paste", (event) => {
  take([...event.clipboardData.files].find((file) => file.type.startsWith("image/")));
});
document.addEventListener("keydown", (event) => {
  if (event.ctrlKey || event.metaKey || event.altKey || event.target.matches("input, select, pre")) return;
  const act = { o: "open", s: "sample", c: "camera" }[event.key.toLowerCase()];
  if (act) { event.preventDefault(); $(act).click(); }
  if (event.key === "Escape" && shown) panel.choose(null);
});
let depth = 0; // of elements that something is dragged over
for (const [name, change] of [["dragenter", 1], ["dragleave", -1]]) {
  document.addEventListener(name, () => { depth += change; $("frame").classList.toggle("over", depth > 0); });
}
document.addEventListener("dragover", (event) => event.preventDefault());
document.addEventListener("drop", (event) => {
  event.preventDefault();
  depth = 0;
  $("frame").classList.remove("over");
  take(event.dataTransfer.files[0]);
});
new ResizeObserver(redraw).observe($("frame"));
begin();
