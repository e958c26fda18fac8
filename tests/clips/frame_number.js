// World: a page under test. Reads the number that a test clip's frame carries; tests/src/frame_number.rs says how it is written.

const COLUMNS = 40, CELLS = 24, MARK = 0b1011, CHECK_SALT = 0b1010, LEAST_CONTRAST = 80;

/**
 * @param {Uint8ClampedArray} data  Pixels, four bytes each, as in ImageData.
 * @param {number} width
 * @param {number} height
 * @returns {number|null}  The number, or null if the picture carries none.
 */
export function readFrameNumber(data, width, height) {
  const bounds = (cell) => {
    const first = Math.floor((cell * 4 + 1) * width / (COLUMNS * 4));
    return [first, Math.max(Math.floor((cell * 4 + 3) * width / (COLUMNS * 4)), first + 1)];
  };
  const [top, bottom] = bounds(1);
  const cells = [];
  for (let index = 0; index < CELLS; index++) {
    const [left, right] = bounds(index + 1);
    if (right > width || bottom > height) return null;
    let sum = 0;
    for (let y = top; y < bottom; y++) {
      for (let x = left; x < right; x++) {
        const at = (y * width + x) * 4;
        sum += (data[at] * 77 + data[at + 1] * 150 + data[at + 2] * 29) >> 8;
      }
    }
    cells.push(sum / ((right - left) * (bottom - top)));
  }
  const darkest = Math.min(...cells), brightest = Math.max(...cells);
  if (!(brightest - darkest >= LEAST_CONTRAST)) return null;
  const code = cells.reduce((bits, value) => bits << 1 | Number(value > (darkest + brightest) / 2), 0);
  const number = code >> 4 & 0xffff;
  const check = (number >> 12 ^ number >> 8 ^ number >> 4 ^ number ^ CHECK_SALT) & 0xf;
  return code === (MARK << 20 | number << 4 | check) ? number : null;
}
