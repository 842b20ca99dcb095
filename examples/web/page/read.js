// Turns typed text and files into numbers.

import { Refused } from './xent.js';

const NUMBER = /^[+-]?(\d+\.?\d*|\.\d+)(e[+-]?\d+)?$/i;
const INFINITE = /^[+-]?(inf|infinity|∞)$/i;
/** Few enough digits for the module's integers. */
const CLASS = /^[+-]?\d{1,9}$/;

/** One comma between digits, which is the decimal point in many countries. */
const DECIMAL_COMMA = /^[+-]?\d+,\d+(e[+-]?\d+)?$/i;

/**
 * Finds a number that may have a decimal comma, as in `0,5` or `0,5; 1,25`. If a group of numbers has more than one
 * comma (`2,1,0`) or a point (`0.5,1`), commas are separators and nothing is ambiguous.
 */
function decimalComma(text) {
  const groups = text.replaceAll('−', '-').split(/[\s;[\]()]+/).filter((group) => /\d,[\d+-]/.test(group));
  return groups.every((group) => DECIMAL_COMMA.test(group)) ? groups[0] : undefined;
}

/** Says how to write it without ambiguity. */
function aboutComma(group) {
  const [whole, digits] = group.split(',');
  return `${quoted(group)} may be one number or two: write ${whole}.${digits} for one, ${whole}, ${digits} `
    + '(with a space) for two';
}

/** Words between commas, semicolons, spaces, lines or brackets. */
function words(text) {
  // Some programs write a minus sign that is not a hyphen.
  return text.replaceAll('−', '-').split(/[\s,;[\]()]+/).filter((word) => word !== '');
}

function quoted(word) {
  return `“${word.length > 20 ? `${word.slice(0, 20)}…` : word}”`;
}

/** The error in a typed number, if there is one. */
function flaw(word) {
  if (INFINITE.test(word)) {
    return undefined;
  }
  if (!NUMBER.test(word)) {
    return 'is not a number';
  }
  return Number.isFinite(Math.fround(Number(word))) ? undefined : 'is larger than any f32';
}

/** The first error in a list of numbers, with its place. */
function firstFlaw(found) {
  const at = found.findIndex((word) => flaw(word) !== undefined);
  return at === -1 ? undefined : `${quoted(found[at])} (class ${at}) ${flaw(found[at])}`;
}

/** The f32 nearest to a valid number. */
function single(word) {
  if (INFINITE.test(word)) {
    return word.startsWith('-') ? -Infinity : Infinity;
  }
  return Math.fround(Number(word));
}

/** The logits in the field. */
export function logits(text) {
  const group = decimalComma(text);
  if (group !== undefined) {
    throw new Refused('logits', `${aboutComma(group)}.`);
  }
  const found = words(text);
  if (found.length === 0) {
    throw new Refused('logits', 'There is no logit yet: type a number.');
  }
  const wrong = firstFlaw(found);
  if (wrong) {
    throw new Refused('logits', `${wrong}.`);
  }
  return Float32Array.from(found, single);
}

/** The integers of 8 or 16 bits, signed or not. */
const [LEAST, MOST] = [-32_768, 65_535];
/** The largest scale whose integers all stand for finite numbers, as in the library. */
const LARGEST_SCALE = 5e33;
/** A number of a file may have been written with a point. */
const INTEGER = /^[+-]?\d+(\.0*)?$/;

/** The numbers that the integers in the field stand for: each a product that is rounded once. */
export function integers(text, scaleText, zeroText) {
  const found = words(text);
  if (found.length === 0) {
    throw new Refused('logits', 'There is no logit yet: type an integer.');
  }
  const isWrong = (word) => !INTEGER.test(word) || Number(word) < LEAST || Number(word) > MOST;
  const at = found.findIndex(isWrong);
  if (at !== -1) {
    throw new Refused('logits', `${quoted(found[at])} (class ${at}) is not an integer of 8 or 16 bits.`);
  }
  const scale = Math.fround(NUMBER.test(scaleText.trim()) ? Number(scaleText) : NaN);
  if (!(scale > 0 && scale <= LARGEST_SCALE)) {
    throw new Refused('scale', scaleText.trim() === ''
      ? 'Give the scale of the output tensor, which the model has.'
      : 'Scale: expected a positive number of at most 5e33.');
  }
  const zero = zeroText.replaceAll('−', '-').trim();
  if (isWrong(zero)) {
    throw new Refused('zero-point', 'Zero point: expected an integer of 8 or 16 bits.');
  }
  return Float32Array.from(found, (word) => Math.fround(scale * (Number(word) - Number(zero))));
}

/** The target classes: one, or any number for the sigmoid loss. */
export function targets(loss, text) {
  const found = words(text);
  const wrong = found.find((word) => !CLASS.test(word));
  if (wrong !== undefined) {
    throw new Refused('target', `${quoted(wrong)} is not the number of a class.`);
  }
  if (loss === 'softmax' && found.length !== 1) {
    throw new Refused('target', found.length === 0
      ? 'There is no target yet: type the number of a class.'
      : 'The softmax loss has one target; the sigmoid loss may have several.');
  }
  return [...new Set(found.map(Number))];
}

/** The label smoothing; the module checks its range. */
export function smoothing(text) {
  const word = text.trim();
  if (!NUMBER.test(word)) {
    throw new Refused('smoothing', 'Label smoothing: expected a number from 0 to 1.');
  }
  return Number(word);
}

/** Larger files are not read. */
const LARGEST = 64 << 20;

/**
 * The number of rows in a file, and a function that reads one of them, counted from 0. Numbers may be f64, or still
 * words; errors in a row are reported when it is read. `areIntegers` is undefined if the file has no types; then
 * `hasIntegers` says what its numbers are.
 */
export async function file(chosen, hasIntegers = false) {
  const said = (error) => {
    const reason = error instanceof TypeError ? 'it is not text' : error.message;
    return new Refused('file', `${chosen.name}: ${reason}.`);
  };
  const { rows, row, areIntegers } = await contents(chosen, hasIntegers).catch((error) => {
    throw said(error);
  });
  return {
    rows,
    areIntegers,
    row(index) {
      try {
        return row(index);
      } catch (error) {
        throw said(error);
      }
    },
  };
}

async function contents(chosen, hasIntegers) {
  if (chosen.size > LARGEST) {
    throw new Error('it is larger than 64 MiB');
  }
  const bytes = await chosen.arrayBuffer();
  if (chosen.name.toLowerCase().endsWith('.npy')) {
    return npy(bytes);
  }
  const text = new TextDecoder('utf-8', { fatal: true }).decode(bytes);
  return chosen.name.toLowerCase().endsWith('.json') ? json(text) : csv(text, hasIntegers);
}

/** The place of an error, if the file has several rows. */
function inRow(index, rows) {
  return rows > 1 ? `row ${index}: ` : '';
}

/** A line is a row; lines of one number each are one row together. */
function csv(text, hasIntegers) {
  const lines = text.split(/\r?\n/).map(words).filter((line) => line.length > 0);
  if (lines.length === 0) {
    throw new Error('it contains no number');
  }
  const rows = lines.every((line) => line.length === 1) ? [lines.flat()] : lines;
  const row = (index) => {
    const wrong = firstFlaw(rows[index]);
    if (wrong) {
      throw new Error(`${inRow(index, rows.length)}${wrong}`);
    }
    return rows[index];
  };
  // The first line may hold names.
  row(0);
  // Integers have no decimal comma.
  const group = hasIntegers ? undefined : decimalComma(text);
  if (group !== undefined) {
    throw new Error(aboutComma(group));
  }
  return { rows: rows.length, row };
}

function json(text) {
  let value;
  try {
    value = JSON.parse(text);
  } catch {
    throw new Error('it is not JSON');
  }
  const rows = Array.isArray(value) && Array.isArray(value[0]) ? value : [value];
  const row = (index) => {
    const numbers = rows[index];
    if (!Array.isArray(numbers) || numbers.length === 0) {
      throw new Error(`${inRow(index, rows.length)}expected an array of numbers, or an array of such rows`);
    }
    const wrong = numbers.findIndex((number) => typeof number !== 'number');
    if (wrong !== -1) {
      throw new Error(
        `${inRow(index, rows.length)}element ${wrong} is ${JSON.stringify(numbers[wrong])}, not a number`,
      );
    }
    return numbers;
  };
  row(0);
  return { rows: rows.length, row };
}

/** What to do about numbers of other types. */
function aboutNumbers(descr) {
  const expected = 'expected f32, f64, or integers of 8 or 16 bits of a quantised model';
  if (descr === undefined) {
    return `its number format is unknown; ${expected}`;
  }
  const isInteger = /^[<>|=][iu]\d$/.test(descr);
  return `its numbers are ${descr}; ${expected}${isInteger ? '. Labels belong in the target field' : ": save x.astype('f4')"}`;
}

/** How a number of a type is read from a view. */
const TYPES = {
  f4: [4, (view, place, little) => view.getFloat32(place, little)],
  f8: [8, (view, place, little) => view.getFloat64(place, little)],
  i1: [1, (view, place) => view.getInt8(place)],
  u1: [1, (view, place) => view.getUint8(place)],
  i2: [2, (view, place, little) => view.getInt16(place, little)],
  u2: [2, (view, place, little) => view.getUint16(place, little)],
};

/** NumPy's format, with floats or short integers in either byte order and either memory order. */
function npy(buffer) {
  const view = new DataView(buffer);
  const bytes = new Uint8Array(buffer);
  const magic = [0x93, ...'NUMPY'].map((c) => (typeof c === 'string' ? c.charCodeAt(0) : c));
  if (bytes.length < 12 || magic.some((byte, at) => bytes[at] !== byte)) {
    throw new Error('it is not a NumPy file');
  }
  const [start, length] = bytes[6] === 1
    ? [10, view.getUint16(8, true)]
    : [12, view.getUint32(8, true)];
  const header = new TextDecoder('latin1').decode(bytes.subarray(start, start + length));
  const descr = /'descr':\s*'([^']*)'/.exec(header)?.[1];
  const fortran = /'fortran_order':\s*(True|False)/.exec(header)?.[1] === 'True';
  const shape = /'shape':\s*\(([\d\s,]*)\)/.exec(header)?.[1].match(/\d+/g)?.map(Number) ?? [];
  const type = descr?.slice(1);
  if (!Object.hasOwn(TYPES, type)) {
    throw new Error(aboutNumbers(descr));
  }
  const [size, number] = TYPES[type];
  if (shape.length > 2) {
    throw new Error(`it has ${shape.length} axes; expected a row, or rows of classes`);
  }
  const [rows, classes] = shape.length === 2 ? shape : [1, shape[0] ?? 1];
  const data = start + length;
  if (rows * classes === 0) {
    throw new Error('it contains no number');
  }
  if (data + rows * classes * size > bytes.length) {
    throw new Error('it ends before its last number');
  }
  const little = descr[0] !== '>';
  const [first, step] = fortran ? [size, rows * size] : [classes * size, size];
  const row = (index) => Array.from({ length: classes }, (_, at) => number(view, data + index * first + at * step, little));
  return { rows, row, areIntegers: !type.startsWith('f') };
}

/** The number of a row of a file. */
export function row(text, rows) {
  const word = text.trim();
  if (!/^\d{1,15}$/.test(word) || Number(word) >= rows) {
    throw new Refused('row', `Expected the number of a row, from 0 to ${rows - 1}.`);
  }
  return Number(word);
}
