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
 * words; errors in a row are reported when it is read.
 */
export async function file(chosen) {
  const said = (error) => {
    const reason = error instanceof TypeError ? 'it is not text' : error.message;
    return new Refused('file', `${chosen.name}: ${reason}.`);
  };
  const { rows, row } = await contents(chosen).catch((error) => {
    throw said(error);
  });
  return {
    rows,
    row(index) {
      try {
        return row(index);
      } catch (error) {
        throw said(error);
      }
    },
  };
}

async function contents(chosen) {
  if (chosen.size > LARGEST) {
    throw new Error('it is larger than 64 MiB');
  }
  const bytes = await chosen.arrayBuffer();
  if (chosen.name.toLowerCase().endsWith('.npy')) {
    return npy(bytes);
  }
  const text = new TextDecoder('utf-8', { fatal: true }).decode(bytes);
  return chosen.name.toLowerCase().endsWith('.json') ? json(text) : csv(text);
}

/** The place of an error, if the file has several rows. */
function inRow(index, rows) {
  return rows > 1 ? `row ${index}: ` : '';
}

/** A line is a row; lines of one number each are one row together. */
function csv(text) {
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
  const group = decimalComma(text);
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

/** What to do about numbers that are not f32 or f64. */
function aboutNumbers(descr) {
  if (descr === undefined) {
    return 'its number format is unknown; expected f32 or f64';
  }
  const kind = /^[<>|=]([iu])(\d)$/.exec(descr);
  if (kind && kind[2] === '1') {
    return `its numbers are ${descr}, 8-bit integers, as quantised logits are: save them as floats, `
      + "as in np.save('x.npy', (q.astype('f4') - zero_point) * scale)";
  }
  if (kind) {
    return `its numbers are ${descr}, integers; expected f32 or f64. Labels belong in the target field; `
      + "save quantised logits as (q.astype('f4') - zero_point) * scale";
  }
  return `its numbers are ${descr}; expected f32 or f64: save x.astype('f4')`;
}

/** NumPy's format, with f32 or f64 in either byte order and either memory order. */
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
  const size = { f4: 4, f8: 8 }[descr?.slice(1)];
  if (size === undefined) {
    throw new Error(aboutNumbers(descr));
  }
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
  const row = (index) => Array.from({ length: classes }, (_, at) => {
    const place = data + index * first + at * step;
    return size === 4 ? view.getFloat32(place, little) : view.getFloat64(place, little);
  });
  return { rows, row };
}

/** The number of a row of a file. */
export function row(text, rows) {
  const word = text.trim();
  if (!/^\d{1,15}$/.test(word) || Number(word) >= rows) {
    throw new Refused('row', `Expected the number of a row, from 0 to ${rows - 1}.`);
  }
  return Number(word);
}
