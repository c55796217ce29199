// Masks: COCO's compressed run lengths, as far as a picture needs them.

/** Run lengths of background and mask in turn, column by column. */
export function runLengths(counts) {
  const runs = [];
  let at = 0;
  while (at < counts.length) {
    let value = 0, shift = 0, code;
    do {
      code = counts.charCodeAt(at++) - 48;
      value += (code & 31) * 2 ** shift;
      shift += 5;
    } while (code & 32);
    if (code & 16) value -= 2 ** shift;
    runs.push(runs.length > 2 ? value + runs[runs.length - 2] : value);
  }
  return runs;
}

/** Every stretch of mask pixels within one column: tell(column, first row, row after the last). */
function stretches(runs, height, tell) {
  let start = 0;
  runs.forEach((length, i) => {
    const end = start + length;
    if (i % 2) {
      for (let at = start; at < end;) {
        const column = Math.floor(at / height), bottom = Math.min(end, (column + 1) * height);
        tell(column, at - column * height, bottom - column * height);
        at = bottom;
      }
    }
    start = end;
  });
}

/**
 * A mask as a tinted picture with an outline, cut to its own extent.
 * @param {{size: number[], counts: string}} rle
 * @param {string} colour as #rrggbb
 * @param {number} step only every so many rows and columns are looked at
 * @returns {{canvas: OffscreenCanvas, x: number, y: number, width: number, height: number} | null}
 */
export function maskPicture(rle, colour, step) {
  const [height] = rle.size, runs = runLengths(rle.counts);
  let left = Infinity, right = -1, top = Infinity, bottom = -1;
  stretches(runs, height, (column, first, last) => {
    left = Math.min(left, column); right = Math.max(right, column);
    top = Math.min(top, first); bottom = Math.max(bottom, last - 1);
  });
  if (right < 0) return null;
  left -= left % step; top -= top % step;
  const columns = Math.floor((right - left) / step) + 1, rows = Math.floor((bottom - top) / step) + 1;
  const inside = new Uint8Array(columns * rows);
  stretches(runs, height, (column, first, last) => {
    if ((column - left) % step) return;
    const i = (column - left) / step;
    for (let j = Math.ceil((first - top) / step); j * step + top < last; j++) inside[j * columns + i] = 1;
  });
  const canvas = new OffscreenCanvas(columns, rows), context = canvas.getContext("2d");
  context.putImageData(tinted(inside, columns, rows, colour), 0, 0);
  return { canvas, x: left, y: top, width: columns * step, height: rows * step };
}

function tinted(inside, columns, rows, colour) {
  const image = new ImageData(columns, rows);
  const rgb = [1, 3, 5].map((at) => parseInt(colour.slice(at, at + 2), 16));
  const is = (i, j) => i >= 0 && j >= 0 && i < columns && j < rows && inside[j * columns + i];
  for (let j = 0; j < rows; j++) {
    for (let i = 0; i < columns; i++) {
      if (!inside[j * columns + i]) continue;
      const edge = !(is(i - 1, j) && is(i + 1, j) && is(i, j - 1) && is(i, j + 1));
      image.data.set([...rgb, edge ? 235 : 95], 4 * (j * columns + i));
    }
  }
  return image;
}
