// Tests how the page reads text and files, and its explanations for numbers that are not finite:
// node read.test.mjs

import assert from 'node:assert/strict';
import { describe, test } from 'node:test';

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

describe('integers are refused with what to do', () => {
  for (const [descr, data] of [['|i1', new Int8Array(2)], ['|u1', new Uint8Array(2)]]) {
    test(descr, async () => {
      await assert.rejects(read.file(npy(descr, 'C', '(2,)', data)), {
        message: `x.npy: its numbers are ${descr}, 8-bit integers, as quantised logits are: save them as floats, `
          + "as in np.save('x.npy', (q.astype('f4') - zero_point) * scale).",
      });
    });
  }
  test('<i8', async () => {
    await assert.rejects(read.file(npy('<i8', 'C', '(2,)', new BigInt64Array(2))), /integers; expected f32 or f64/);
  });
  test('<f2', async () => {
    await assert.rejects(read.file(npy('<f2', 'C', '(2,)', new Uint16Array(2))), /save x\.astype\('f4'\)/);
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
