// One picture with what was found in it, drawn in layers.
import { maskPicture } from "./rle.js";

/** Keypoints below it are left out, as in the pictures of `mtvit predict`. */
const SURE_KEYPOINT = 0.3;
const LEFT = "#ff8c1a", RIGHT = "#28d6ff", MIDDLE = "#f0f0e8";

export class Scene {
  constructor(canvas) {
    this.canvas = canvas;
    this.masks = new Map();
    this.maps = {};
    this.view = null;
  }

  /** Take a picture (an ImageBitmap, or null where the browser cannot read it) and its answer. */
  async show(bitmap, answer, card) {
    this.bitmap?.close();
    this.bitmap = bitmap;
    this.answer = answer;
    this.schemas = new Map(card.categories.map((c) => [c.id, c.keypoints]));
    this.masks.clear();
    this.step = Math.max(1, Math.ceil(Math.max(answer.width, answer.height) / 1600));
    const found = Object.entries(answer.maps || {}).filter(([, map]) => map.png);
    this.maps = Object.fromEntries(await Promise.all(found.map(async ([name, map]) => {
      const bytes = Uint8Array.from(atob(map.png), (c) => c.charCodeAt(0));
      return [name, await createImageBitmap(new Blob([bytes], { type: "image/png" }))];
    })));
  }

  /**
   * Draw what a view asks for.
   * @param view {objects, layers: Set, colourOf(object), opacity, chosen: object or null}
   */
  draw(view) {
    this.view = view;
    const { width, height } = this.answer, room = this.canvas.parentElement;
    const fit = Math.min(room.clientWidth / width, Math.max(240, innerHeight * 0.74) / height);
    const dense = Math.min(devicePixelRatio || 1, 2);
    this.canvas.style.width = `${Math.round(width * fit)}px`;
    this.canvas.style.height = `${Math.round(height * fit)}px`;
    this.canvas.width = Math.max(1, Math.round(width * fit * dense));
    this.canvas.height = Math.max(1, Math.round(height * fit * dense));
    const context = this.canvas.getContext("2d");
    this.scale = this.canvas.width / width;
    this.unit = Math.max(1, dense * Math.min(2, (width * fit) / 500));
    this.paint(context, view);
  }

  paint(context, { objects, layers, colourOf, opacity, chosen }) {
    const { width, height } = context.canvas;
    context.fillStyle = "#2a2a30";
    context.fillRect(0, 0, width, height);
    if (this.bitmap) context.drawImage(this.bitmap, 0, 0, width, height);
    context.globalAlpha = opacity;
    for (const [name, map] of Object.entries(this.maps)) {
      if (layers.has(`map:${name}`)) context.drawImage(map, 0, 0, width, height);
    }
    const area = (o) => o.bbox[2] * o.bbox[3];
    const ordered = [...objects].sort((a, b) => area(b) - area(a)); // small ones stay in sight
    const each = (layer, draw) => {
      if (!layers.has(layer)) return;
      for (const object of ordered) {
        context.globalAlpha = chosen && chosen !== object ? 0.18 : 1;
        draw(object, colourOf(object));
      }
    };
    each("masks", (o, colour) => this.mask(context, o, colour));
    each("boxes", (o, colour) => this.box(context, o, colour));
    each("skeletons", (o) => this.skeleton(context, o));
    each("names", (o, colour) => this.tag(context, o, colour));
    context.globalAlpha = 1;
  }

  mask(context, object, colour) {
    if (!object.segmentation) return;
    const key = `${object.id} ${colour}`;
    if (!this.masks.has(key)) this.masks.set(key, maskPicture(object.segmentation, colour, this.step));
    const found = this.masks.get(key), s = this.scale;
    if (found) {
      context.imageSmoothingEnabled = s * this.step < 3;
      context.drawImage(found.canvas, found.x * s, found.y * s, found.width * s, found.height * s);
      context.imageSmoothingEnabled = true;
    }
  }

  box(context, object, colour) {
    const [x, y, width, height] = object.bbox.map((value) => value * this.scale);
    context.lineJoin = "round";
    for (const [style, line] of [["rgba(0,0,0,.5)", 3.4], [colour, 2]]) {
      context.strokeStyle = style;
      context.lineWidth = line * this.unit;
      context.strokeRect(x, y, width, height);
    }
  }

  skeleton(context, object) {
    const schema = this.schemas.get(object.category_id), values = object.keypoints;
    if (!schema || !values) return;
    const size = Math.max(object.bbox[2], object.bbox[3]) * this.scale;
    const bone = Math.min(Math.max(0.012 * size, 1.2 * this.unit), 3.4 * this.unit);
    const sides = schema.names.map(() => MIDDLE);
    for (const [left, right] of schema.flip_pairs) { sides[left] = LEFT; sides[right] = RIGHT; }
    const place = (i) => [values[3 * i] * this.scale, values[3 * i + 1] * this.scale];
    const sure = (i) => values[3 * i + 2] >= SURE_KEYPOINT;
    context.lineCap = "round";
    for (const [start, end] of schema.skeleton) {
      if (!sure(start) || !sure(end)) continue;
      const colour = sides[start] === sides[end] || sides[end] === MIDDLE ? sides[start] : MIDDLE;
      for (const [style, line] of [["rgba(0,0,0,.5)", bone + 1.4 * this.unit], [colour, bone]]) {
        context.beginPath();
        context.moveTo(...place(start));
        context.lineTo(...place(end));
        context.strokeStyle = style;
        context.lineWidth = line;
        context.stroke();
      }
    }
    schema.names.forEach((_, i) => {
      if (!sure(i)) return;
      for (const [style, radius] of [["rgba(0,0,0,.75)", bone + 0.7 * this.unit], [sides[i], bone]]) {
        context.beginPath();
        context.arc(...place(i), radius, 0, 2 * Math.PI);
        context.fillStyle = style;
        context.fill();
      }
    });
  }

  tag(context, object, colour) {
    const text = `${object.category} ${object.score.toFixed(2)}`, size = 11 * this.unit, pad = 4 * this.unit;
    context.font = `600 ${size}px system-ui, sans-serif`;
    context.textBaseline = "middle";
    const width = context.measureText(text).width + 2 * pad, height = size + 1.3 * pad;
    const [x, y] = object.bbox.map((value) => value * this.scale);
    const left = Math.max(0, Math.min(x, context.canvas.width - width));
    const top = y >= height ? y - height : y;
    context.fillStyle = colour;
    context.beginPath();
    context.roundRect(left, top, width, height, 3 * this.unit);
    context.fill();
    context.fillStyle = isLight(colour) ? "#000" : "#fff";
    context.fillText(text, left + pad, top + height / 2 + 0.5);
  }

  /** The smallest shown object under a place of the page, or null. */
  at(clientX, clientY) {
    const edge = this.canvas.getBoundingClientRect(), factor = this.answer.width / edge.width;
    const x = (clientX - edge.left) * factor, y = (clientY - edge.top) * factor;
    const area = (o) => o.bbox[2] * o.bbox[3];
    return this.view.objects
      .filter(({ bbox: [left, top, width, height] }) =>
        x >= left && y >= top && x <= left + width && y <= top + height)
      .sort((a, b) => area(a) - area(b))[0] || null;
  }
}

function isLight(colour) {
  const [red, green, blue] = [1, 3, 5].map((at) => (parseInt(colour.slice(at, at + 2), 16) / 255) ** 2.2);
  return 0.2126 * red + 0.7152 * green + 0.0722 * blue > 0.18;
}
