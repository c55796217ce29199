// What is shown, as files and as lines that give the same.
import { hasToken } from "./client.js";

const shell = (text) => `'${text.replaceAll("'", "'\\''")}'`;

/** The answer with the objects and labels that are shown. */
export function shownJson(answer, objects, minScore) {
  const told = { ...answer, objects };
  if (answer.labels) {
    told.labels = Object.fromEntries(Object.entries(answer.labels).map(
      ([task, labels]) => [task, labels.filter((label) => label.score >= minScore)]));
  }
  return told;
}

/** COCO result entries of the objects that are shown. */
export function cocoResults(objects) {
  return objects.map(({ id, category_id, score, bbox, segmentation, keypoints }) => ({
    id, image_id: 0, category_id, score, bbox,
    ...(segmentation && { segmentation }), ...(keypoints && { keypoints }),
  }));
}

/**
 * @param shown {file, minScore, classes: names or null for all, maps: boolean}
 */
export function curlLine({ file, minScore, classes, maps }) {
  const query = new URLSearchParams({ min_score: minScore });
  for (const name of classes || []) query.append("category", name);
  if (!maps) query.set("maps", "false");
  const key = hasToken() ? ' -H "Authorization: Bearer $MTVIT_SERVE_TOKEN"' : "";
  return `curl${key} --data-binary ${shell(`@${file}`)} \\\n  ${shell(`${new URL("predict", location)}?${query}`)}`;
}

export function pythonLines({ file, minScore, classes }, card) {
  const text = JSON.stringify;
  const lines = [
    "import mtvit_core", "",
    `model = ${card.python}`,
    `(found,) = model.predict([${text(file)}], min_score=${minScore})`,
  ];
  if (classes) lines.push(`found = found[[name in ${text(classes)} for name in found.names]]`);
  return lines.join("\n");
}

export function download(name, blob) {
  const link = document.createElement("a");
  link.href = URL.createObjectURL(blob);
  link.download = name;
  link.click();
  setTimeout(() => URL.revokeObjectURL(link.href), 1000);
}
