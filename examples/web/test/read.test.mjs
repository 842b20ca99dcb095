// Tests how the page reads text and files, and its explanations for numbers that are not finite:
// node read.test.mjs

import assert from 'node:assert/strict';
import { describe, test } from 'node:test';

import * as between from '../page/divergence.js';
import * as read from '../page/read.js';
import * as why from '../page/why.js';

const file = (name, content) => new File([content], name);

/** A .npy file. */
function npy(descr, order, shape, data) {
  const header = `{'descr': '${descr}', 'fortran_order': ${order === 'F' ? 'True' : 'False'}, 'shape': ${shape}, }\n`;
  const length = new Uint8Array(new Uint16Array([header.length]).buffer);
  return file('x.npy', new Blob([new Uint8Array([0x93]), 'NUMPY', new Uint8Array([1, 0]), length, header, data]));
}

describe('every row of a file can be chosen', () => {
  const all = [[1, 2, 3], [4, 5, 6]];
  const kinds = {
    'npy, f32': npy('<f4', 'C', '(2, 3)', new Float32Array(all.flat())),
    'npy, f64, column after column': npy('<f8', 'F', '(2, 3)', new Float64Array([1, 4, 2, 5, 3, 6])),
    csv: file('x.csv', '1,2,3\n4,5,6\n'),
    json: file('x.json', JSON.stringify(all)),
  };
  for (const [name, one] of Object.entries(kinds)) {
    test(name, async () => {
      const { rows, row } = await read.file(one);
      assert.equal(rows, 2);
      assert.deepEqual([0, 1].map((index) => row(index).map(Number)), all);
    });
  }

  test('a row that is wrong is named when it is chosen', async () => {
    const { row } = await read.file(file('x.csv', '1,2,3\n4,x,6\n'));
    assert.throws(() => row(1), { message: 'x.csv: row 1: “x” (class 1) is not a number.' });
  });

  test('a number that is no row is refused', () => {
    assert.equal(read.row(' 359 ', 360), 359);
    for (const text of ['360', '-1', '1.5', '', 'two']) {
      assert.throws(() => read.row(text, 360), { message: 'Expected the number of a row, from 0 to 359.' });
    }
  });
});

describe('a decimal comma is never split', () => {
  for (const text of ['0,5', '0,5 1,25', '0,5; 1,25', '-0,5\n1,5', '2, 1,5', '1,5e3']) {
    test(`refused: ${JSON.stringify(text)}`, async () => {
      assert.throws(() => read.logits(text), /may be one number or two: write .*\..* for one/);
      await assert.rejects(read.file(file('x.csv', text)), /may be one number or two/);
    });
  }
  const lists = {
    '2,1,0': [2, 1, 0],
    '2, 1': [2, 1],
    '0.5,1.5': [0.5, 1.5],
    '1,-2': [1, -2],
    '0.5 1.5': [0.5, 1.5],
    '2,': [2],
    '−1; 2': [-1, 2],
  };
  for (const [text, numbers] of Object.entries(lists)) {
    test(`taken: ${JSON.stringify(text)}`, () => {
      assert.deepEqual([...read.logits(text)], numbers);
    });
  }
});

describe('integers of 8 and 16 bits are those of a quantised model', () => {
  const kinds = {
    '|i1': [new Int8Array([-128, 127, 0, 5]), [-128, 127, 0, 5]],
    '|u1': [new Uint8Array([128, 255, 0, 5]), [128, 255, 0, 5]],
    '<i2': [new Int16Array([-32768, 32767, 0, 5]), [-32768, 32767, 0, 5]],
    '<u2': [new Uint16Array([65535, 256, 0, 5]), [65535, 256, 0, 5]],
    '>i2': [new Uint8Array([0x80, 0, 0x7f, 0xff, 0, 0, 0, 5]), [-32768, 32767, 0, 5]],
  };
  for (const [descr, [data, expected]] of Object.entries(kinds)) {
    test(descr, async () => {
      const { rows, row, areIntegers } = await read.file(npy(descr, 'C', '(2, 2)', data));
      assert.deepEqual([rows, areIntegers, [row(0), row(1)].flat()], [2, true, expected]);
    });
  }

  test('floats are not', async () => {
    assert.equal((await read.file(npy('<f4', 'C', '(2,)', new Float32Array(2)))).areIntegers, false);
    assert.equal((await read.file(file('x.csv', '1,2,3\n4,5,6\n'))).areIntegers, undefined);
  });

  test('integers have no decimal comma', async () => {
    const { row } = await read.file(file('x.csv', '5,250\n17,3\n'), true);
    assert.deepEqual(row(1), ['17', '3']);
    assert.deepEqual([...read.integers('5,250', '0.5', '0')], [2.5, 125]);
  });

  test('each is a product that is rounded once', () => {
    const [scale, zero] = [0.1, -3];
    const numbers = read.integers('-128 127, 0 5', String(scale), String(zero));
    const single = Math.fround(scale);
    assert.deepEqual([...numbers], [-125, 130, 3, 8].map((steps) => Math.fround(single * steps)));
    assert.deepEqual([...read.integers('−1 2.0', '1', '−1')], [0, 3]);
  });

  const refusals = [
    [[' ', '1', '0'], 'There is no logit yet: type an integer.'],
    [['1 2.5', '1', '0'], '“2.5” (class 1) is not an integer of 8 or 16 bits.'],
    [['1 65536', '1', '0'], '“65536” (class 1) is not an integer of 8 or 16 bits.'],
    [['-32769', '1', '0'], '“-32769” (class 0) is not an integer of 8 or 16 bits.'],
    [['1', '', '0'], 'Give the scale of the output tensor, which the model has.'],
    [['1', '0', '0'], 'Scale: expected a positive number of at most 5e33.'],
    [['1', '-0.5', '0'], 'Scale: expected a positive number of at most 5e33.'],
    [['1', '1e-60', '0'], 'Scale: expected a positive number of at most 5e33.'],
    [['1', '1e34', '0'], 'Scale: expected a positive number of at most 5e33.'],
    [['1', 'x', '0'], 'Scale: expected a positive number of at most 5e33.'],
    [['1', '1', ''], 'Zero point: expected an integer of 8 or 16 bits.'],
    [['1', '1', '0.5'], 'Zero point: expected an integer of 8 or 16 bits.'],
    [['1', '1', '70000'], 'Zero point: expected an integer of 8 or 16 bits.'],
  ];
  for (const [input, message] of refusals) {
    test(`refused: ${JSON.stringify(input)}`, () => {
      assert.throws(() => read.integers(...input), { message });
    });
  }
});

describe('numbers of other types are refused with what to do', () => {
  for (const descr of ['<i8', '<i4']) {
    test(descr, async () => {
      const data = new Uint8Array(16);
      await assert.rejects(read.file(npy(descr, 'C', '(2,)', data)), {
        message: `x.npy: its numbers are ${descr}; expected f32, f64, or integers of 8 or 16 bits of a quantised model. `
          + 'Labels belong in the target field.',
      });
    });
  }
  test('<f2', async () => {
    await assert.rejects(read.file(npy('<f2', 'C', '(2,)', new Uint16Array(2))), /save x\.astype\('f4'\)/);
  });
});

describe('how far two rows are from each other', () => {
  const row = (...numbers) => Float32Array.from(numbers);
  test('equal rows are not apart, even if they are infinite', () => {
    const one = row(-Infinity, 1, 2);
    assert.deepEqual([between.difference(one, one), between.divergence(one, one)], [0, 0]);
  });
  test('a class that only the second lacks is infinitely far', () => {
    const [a, b] = [row(0, 1, 2), row(-Infinity, 1, 2)];
    assert.deepEqual([between.difference(a, b), between.divergence(a, b)], [Infinity, Infinity]);
    assert.ok(Math.abs(between.divergence(b, a) - Math.log1p(1 / (Math.E + Math.E ** 2))) < 1e-12);
  });
  test('large logits do not overflow', () => {
    const apart = between.divergence(row(1000, 0), row(1000, 1000));
    assert.ok(Math.abs(apart - Math.LN2) < 1e-12, `${apart}`);
  });
  test('a sum of little is not above zero', () => {
    assert.ok(between.divergence(row(0.5, 1e-3), row(0.5, 2e-3)) > 0);
  });
  test('the first of equals is the largest', () => {
    assert.equal(between.largest(row(1, 3, 3)), 1);
  });
});

describe('what is not finite has a reason', () => {
  const [inf, of] = [Infinity, (...targets) => new Set(targets)];
  const cases = [
    ['softmax', [-inf, -inf], of(0), 0, /^NaN, because no class has a finite logit/],
    ['softmax', [inf, 1, inf], of(0), 0, /^NaN, because several classes have the logit inf/],
    ['softmax', [-inf, 1], of(0), 0, /^inf, because the target includes class 0/],
    ['softmax', [-inf, 1], of(1), 0.1, /^inf, because the target includes class 0/],
    ['softmax', [inf, 1], of(1), 0, /^inf, because the target includes class 1/],
    ['softmax', [-inf, 1], of(1), 0, /^$/],
    ['softmax', [inf, 1], of(0), 0, /^$/],
    ['sigmoid', [-inf, 1], of(0), 0, /^inf, because class 0 has the logit -inf/],
    ['sigmoid', [-inf, -inf], of(), 0, /^$/],
    ['sigmoid', [1, inf], of(), 0, /^inf, because class 1 has the logit inf/],
  ];
  for (const [loss, logits, targets, smoothing, expected] of cases) {
    test(`${loss} of ${logits}, target ${[...targets]}, smoothing ${smoothing}`, () => {
      assert.match(why.loss(loss, Float32Array.from(logits), targets, smoothing), expected);
    });
  }
});
