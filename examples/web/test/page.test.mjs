// Tests the page in a browser: node page.test.mjs ADDRESS FOLDER BROWSER, as `cargo xtask web
// --test` runs it. The folder holds the files to choose and `cases.json`; screenshots are written
// there.

import assert from 'node:assert/strict';
import { readFile } from 'node:fs/promises';
import path from 'node:path';
import { after, before, describe, test } from 'node:test';

import { DESK, PHONE, drawn, enter, field, launch, lines, open, quantise, read } from './browser.mjs';

const [address, folder, executable] = process.argv.slice(2);
const [cases, pairs] = await Promise.all(['cases.json', 'pairs.json']
  .map(async (name) => JSON.parse(await readFile(path.join(folder, name), 'utf8'))));
/** The most lines that the page shows. */
const SHOWN = 50;

let browser;
before(async () => {
  browser = await launch(executable);
});
after(() => browser?.close());

/** Runs a test with its own page, which must have no errors. */
function onPage(name, run, options) {
  test(name, { timeout: 900_000 }, async (t) => {
    const { context, page, wrong } = await open(browser, address, options);
    await run(page, t);
    assert.deepEqual(wrong, []);
    await context.close();
  });
}

const value = (text) => Number(text.replace('inf', 'Infinity'));

/** The target share of a class. */
function share(isTarget, count, { loss, smoothing }) {
  return (isTarget ? 1 - smoothing : 0) + smoothing / (loss === 'softmax' ? count : 2);
}

/** Compares numbers digit by digit, and bars to a pixel. */
function compare(seen, one) {
  const { loss, shown, targets } = one;
  assert.equal(seen.level, 'portable (simd128)');
  assert.equal(seen.loss, shown.loss);
  assert.equal(seen.logSumExp, loss === 'softmax' ? shown.log_sum_exp : null);
  const count = shown.logits.length;
  assert.equal(seen.rows.length, Math.min(count, SHOWN));
  const positives = new Set(targets.split(/[,\s]+/).filter(Boolean).map(Number));
  for (const row of seen.rows) {
    const { index } = row;
    assert.equal(row.logit, shown.logits[index], `logit ${index}`);
    assert.equal(row.probability.text, shown.probabilities[index], `probability ${index}`);
    assert.equal(row.gradient.text, shown.gradient[index], `gradient ${index}`);
    assert.equal(row.isTarget, positives.has(index), `target ${index}`);
    const near = (found, expected, what) => {
      assert.ok(Math.abs(found - expected) <= 1, `${what} ${index}: ${found}, expected ${expected}`);
    };
    const p = row.probability;
    assert.ok(p.track.width > 60 && p.bar.height > 5);
    near(p.bar.left, p.track.left, 'start of the bar');
    near(p.bar.width, value(p.text) * p.track.width, 'length of the bar');
    const mark = p.track.left + share(row.isTarget, count, one) * p.track.width;
    near(row.mark.left + row.mark.width / 2, mark, 'mark');
    const g = row.gradient;
    const [middle, length] = [g.track.left + g.track.width / 2, value(g.text) * g.track.width / 2];
    near(g.bar.width, Math.abs(length), 'length of the gradient');
    near(g.bar.left, middle + Math.min(length, 0), 'start of the gradient');
  }
  const order = seen.rows.map((row) => row.index);
  if (count <= SHOWN) {
    assert.deepEqual(order, shown.logits.map((_, index) => index));
  } else {
    const likelihood = (index) => (positives.has(index) ? 2 : value(shown.probabilities[index]));
    const least = Math.min(...order.map(likelihood));
    const left = shown.logits.map((_, index) => index).filter((index) => !order.includes(index));
    assert.ok(left.every((index) => likelihood(index) <= least), 'the likeliest are shown');
  }
}

onPage('numbers are those of the library, digit by digit', async (page, t) => {
  assert.ok(cases.length > 20);
  for (const one of cases) {
    await t.test(one.file ? `the file ${one.file}` : one.name, async () => {
      await enter(page, one.file ? { ...one, logits: '0, 0, 0, 0' } : one);
      if (one.file) {
        await field.file(page).setInputFiles(path.join(folder, one.file));
        const rows = /rows|columns/.test(one.file) ? ', row 0 of 2 (0 to 1)' : '';
        await page.getByText(`${one.file}: 6 logits${rows}`, { exact: true }).waitFor();
        assert.equal(await field.target(page).inputValue(), '', 'the target was that of other logits');
        await enter(page, { targets: one.targets });
      }
      compare(await read(page), one);
    });
  }
});

const TYPED = cases.find((one) => one.name === 'three classes');

onPage('numbers follow each key', async (page) => {
  await field.logits(page).fill('');
  await field.logits(page).focus();
  const losses = [];
  for (const key of TYPED.logits) {
    await page.keyboard.type(key);
    losses.push((await read(page)).loss);
  }
  // "2", "2,", "2, ", "2, 1": ln(1 + 1/e) is 0.31326168752.
  assert.deepEqual(losses.slice(0, 3), ['0.0', '0.0', '0.0']);
  assert.equal(losses[3], '0.3132617');
  assert.equal(losses.at(-1), TYPED.shown.loss);
  assert.equal(new Set(losses).size, 4, losses.join());
  compare(await read(page), TYPED);
});

/** Drops a file at a place of the window. */
async function drop(page, file, { x, y }) {
  const client = await page.context().newCDPSession(page);
  const data = { items: [], files: [path.resolve(folder, file)], dragOperationsMask: 1 };
  for (const type of ['dragEnter', 'dragOver', 'drop']) {
    await client.send('Input.dispatchDragEvent', { type, x, y, data });
  }
}

onPage('a dropped file is taken', async (page) => {
  const one = cases.find(({ file }) => file === 'columns.npy');
  await enter(page, one);
  await field.logits(page).fill('0 0 0 0');
  await drop(page, one.file, { x: 400, y: 400 });
  await page.getByText('columns.npy: 6 logits, row 0 of 2 (0 to 1)').waitFor();
  await enter(page, { targets: one.targets });
  compare(await read(page), one);
});

onPage('what cannot be computed is refused with a reason, and no number is shown', async (page, t) => {
  const refusals = [
    ['no logits', { logits: ' ' }, 'There is no logit yet: type a number.'],
    ['a word', { logits: '1, two, 3' }, '“two” (class 1) is not a number.'],
    ['NaN', { logits: '1, nan' }, '“nan” (class 1) is not a number.'],
    ['a decimal comma', { logits: '0,5' },
      '“0,5” may be one number or two: write 0.5 for one, 0, 5 (with a space) for two.'],
    ['half a number', { logits: '1, -' }, '“-” (class 1) is not a number.'],
    ['too large', { logits: '1e39' }, '“1e39” (class 0) is larger than any f32.'],
    ['too many', { logits: '0 '.repeat(65_537) },
      'There are 65,537 logits, and this page has room for 65,536.'],
    ['a label past the end', { targets: '3' }, 'There is no class 3: the last is 2.'],
    ['a label below zero', { targets: '-1' }, 'There is no class -1: the last is 2.'],
    ['half a class', { targets: '0.5' }, '“0.5” is not the number of a class.'],
    ['two labels', { targets: '0, 1' },
      'The softmax loss has one target; the sigmoid loss may have several.'],
    ['a positive past the end', { loss: 'sigmoid', targets: '0, 3' },
      'There is no class 3: the last is 2.'],
    ['more positives than classes', { loss: 'sigmoid', targets: '0 1 2 3' },
      'There are more targets than classes.'],
    ['smoothing above one', { smoothing: '1.5' }, 'Label smoothing: expected a number from 0 to 1.'],
    ['no smoothing', { smoothing: '' }, 'Label smoothing: expected a number from 0 to 1.'],
  ];
  for (const [name, input, message] of refusals) {
    await t.test(name, async () => {
      await enter(page, TYPED);
      await enter(page, input);
      const of = 'logits' in input ? 'logits' : 'targets' in input ? 'target' : 'smoothing';
      const control = field[of](page);
      assert.equal(await control.getAttribute('aria-invalid'), 'true');
      const described = (await control.getAttribute('aria-describedby')).split(' ');
      const said = page.locator(`#${described.at(-1)}`);
      assert.equal(await said.innerText(), message);
      assert.ok(await said.isVisible());
      const seen = await read(page);
      assert.deepEqual([seen.loss, seen.rows], ['–', []]);
      await enter(page, TYPED);
      assert.ok(!(await said.isVisible()));
      compare(await read(page), TYPED);
    });
  }
});

onPage('a file that cannot be read is refused with a reason, and what was typed stays', async (page, t) => {
  const header = (text) => {
    const length = Buffer.alloc(2);
    length.writeUInt16LE(text.length);
    return Buffer.concat([Buffer.from('\x93NUMPY\x01\x00', 'latin1'), length, Buffer.from(text)]);
  };
  const array = (descr, shape) => header(`{'descr': '${descr}', 'fortran_order': False, 'shape': ${shape}, }\n`);
  const files = [
    ['words.npy', Buffer.from('1, 2, 3, 4, 5, 6'), 'it is not a NumPy file'],
    ['integers.npy', array('<i8', '(2,)'), 'its numbers are <i8; expected f32, f64, or integers of 8 or 16 bits of a '
      + 'quantised model. Labels belong in the target field'],
    ['cube.npy', array('<f4', '(1, 1, 1)'), 'it has 3 axes; expected a row, or rows of classes'],
    ['cut.npy', array('<f4', '(2,)'), 'it ends before its last number'],
    ['none.npy', array('<f4', '(0,)'), 'it contains no number'],
    ['words.csv', Buffer.from('class,logit\n0,1\n'), 'row 0: “class” (class 0) is not a number'],
    ['empty.csv', Buffer.from('\n'), 'it contains no number'],
    ['bytes.csv', Buffer.from([0xff, 0xfe, 0xfd]), 'it is not text'],
    ['broken.json', Buffer.from('[1, 2'), 'it is not JSON'],
    ['object.json', Buffer.from('{"a": 1}'), 'expected an array of numbers, or an array of such rows'],
    ['null.json', Buffer.from('[1, null]'), 'element 1 is null, not a number'],
  ];
  for (const [name, buffer, reason] of files) {
    await t.test(name, async () => {
      await enter(page, TYPED);
      await field.file(page).setInputFiles({ name, mimeType: 'application/octet-stream', buffer });
      await page.getByText(`${name}: ${reason}.`, { exact: true }).waitFor();
      compare(await read(page), TYPED);
      await field.logits(page).press('End');
      await field.logits(page).press('Space');
      assert.ok(!(await page.getByText(`${name}:`).isVisible()), 'it goes with the next key');
    });
  }
});

onPage('every row of a file can be chosen, and its target is its own', async (page) => {
  const rows = Array.from({ length: 360 }, (_, row) => [row / 8, 0, 1]);
  const buffer = Buffer.from(JSON.stringify(rows));
  await enter(page, TYPED);
  assert.ok(!(await field.row(page).isVisible()));
  await field.file(page).setInputFiles({ name: 'rows.json', mimeType: 'application/json', buffer });
  await page.getByText('rows.json: 3 logits, row 0 of 360 (0 to 359)', { exact: true }).waitFor();
  const without = await read(page);
  assert.equal(without.loss, '–');
  assert.deepEqual(without.rows.map((row) => row.gradient.text), ['–', '–', '–']);
  assert.equal(without.rows[1].probability.text, without.rows[0].probability.text);
  await page.getByText('There is no target yet: type the number of a class, or press one.').waitFor();
  await page.getByRole('button', { name: 'Class 2 as target' }).click();
  assert.notEqual((await read(page)).loss, '–');
  await field.row(page).fill('359');
  await page.getByText('rows.json: 3 logits, row 359 of 360 (0 to 359)', { exact: true }).waitFor();
  assert.equal(await field.logits(page).inputValue(), '44.875, 0.0, 1.0');
  assert.equal(await field.target(page).inputValue(), '');
  assert.equal((await read(page)).loss, '–');
  await field.row(page).fill('360');
  await page.getByText('Expected the number of a row, from 0 to 359.').waitFor();
  assert.deepEqual((await read(page)).rows, []);
  await enter(page, TYPED);
  assert.ok(!(await field.row(page).isVisible()), 'typed logits are no row of a file');
  compare(await read(page), TYPED);
});

/** Compares what is said about two rows with what this program found. */
function compareBoth(seen, { first, second, difference, lsb, divergence, largest: [a, b] }) {
  compare(seen, first);
  compare(seen.second, second);
  // Four digits are shown.
  const near = (text, expected, what) => {
    const found = value(text);
    const off = Math.abs(found - expected);
    assert.ok(off <= 6e-4 * expected || off < 1e-12, `${what}: ${text}, expected ${expected}`);
  };
  const [, ofDifference, ofSteps] = /^(\S+)(?: \((\S+) LSB\))?$/.exec(seen.difference);
  near(ofDifference, difference, 'largest difference');
  if (lsb === null) {
    assert.equal(ofSteps, undefined, 'floats have no steps');
  } else {
    near(ofSteps, lsb, 'largest difference in LSB');
  }
  if (first.loss === 'softmax') {
    near(seen.divergence, divergence, 'divergence');
  } else {
    assert.equal(seen.divergence, null);
  }
  assert.equal(seen.largest, a === b ? `${a} in both` : `${a}, then ${b}`);
}

onPage('two rows, of floats or integers, are compared', async (page, t) => {
  assert.ok((await read(page)).second.loss === null, 'there is no second row yet');
  await field.compare(page).check();
  for (const [at, pair] of pairs.entries()) {
    await t.test(`pair ${at}, ${pair.first.loss}`, async () => {
      await enter(page, pair.first);
      await enter(page, pair.second, 'Second row');
      compareBoth(await read(page), pair);
    });
  }
  await field.compare(page).uncheck();
  const seen = await read(page);
  compare(seen, pairs.at(-1).first);
  assert.deepEqual([seen.second.loss, seen.difference, seen.second.rows[0].logit], [null, null, null]);
});

onPage('rows of two files are shown together, whichever is chosen', async (page, t) => {
  await field.compare(page).check();
  await field.file(page).setInputFiles(path.join(folder, 'desk.npy'));
  await page.getByText('desk.npy: 10 logits, row 0 of 3 (0 to 2)', { exact: true }).waitFor();
  const place = await field.logits(page, 'Second row').boundingBox();
  await drop(page, 'device.npy', { x: place.x + place.width / 2, y: place.y + place.height / 2 });
  await page.getByText('device.npy: 10 logits, row 0 of 3 (0 to 2)', { exact: true }).waitFor();
  assert.ok(await field.integers(page, 'Second row').isChecked(), 'the file says that they are integers');
  // Where a file is chosen, it is taken, too.
  await field.file(page, 'Second row').setInputFiles(path.join(folder, 'device.npy'));
  assert.ok(!(await field.integers(page).isChecked()));
  await page.getByText('Give the scale of the output tensor, which the model has.').waitFor();
  assert.deepEqual((await read(page)).rows, [], 'integers without a scale are no logits');
  const files = pairs.filter(({ row }) => row !== null);
  assert.equal(files.length, 3);
  await quantise(page, files[0].second.quantisation, 'Second row');
  for (const pair of files) {
    for (const of of ['First row', 'Second row']) {
      await t.test(`row ${pair.row}, chosen in the ${of}`, async () => {
        await field.row(page, of).fill(String((pair.row + 1) % 3));
        await field.row(page, of).fill(String(pair.row));
        assert.equal(await field.target(page).inputValue(), '', 'the target was that of another row');
        await enter(page, { targets: pair.first.targets });
        compareBoth(await read(page), pair);
      });
    }
  }
  await field.row(page, 'Second row').fill('3');
  await page.getByText('Expected the number of a row, from 0 to 2.').waitFor();
  assert.equal(await field.row(page, 'Second row').getAttribute('aria-invalid'), 'true');
});

onPage('a second row that does not fit is refused with a reason next to it', async (page, t) => {
  await enter(page, TYPED);
  await field.compare(page).check();
  const of = 'Second row';
  const refusals = [
    ['nothing', { logits: '' }, 'logits', 'There is no logit yet: type a number.'],
    ['two of three', { logits: '1, 2.0' }, 'logits', 'Expected as many logits as in the first row, 3; found 2.'],
    ['half a step', { logits: '1 2 0.5', quantisation: [0.5, 0] }, 'logits',
      '“0.5” (class 2) is not an integer of 8 or 16 bits.'],
    ['no scale', { logits: '1 2 3', quantisation: ['', 0] }, 'scale',
      'Give the scale of the output tensor, which the model has.'],
    ['no zero point', { logits: '1 2 3', quantisation: [0.5, 'x'] }, 'zero-point',
      'Zero point: expected an integer of 8 or 16 bits.'],
  ];
  for (const [name, input, wrong, message] of refusals) {
    await t.test(name, async () => {
      await enter(page, { quantisation: null, ...input }, of);
      const control = field[wrong](page, of);
      assert.equal(await control.getAttribute('aria-invalid'), 'true');
      const described = (await control.getAttribute('aria-describedby')).split(' ');
      const said = page.locator(`#${described.at(-1)}`);
      assert.equal(await said.innerText(), message);
      assert.ok(await said.isVisible());
      assert.equal(await page.locator('[aria-invalid]').count(), 1, 'nothing else is wrong');
      const seen = await read(page);
      assert.deepEqual([seen.loss, seen.second.loss, seen.divergence, seen.rows], ['–', '–', '–', []]);
    });
  }
  await enter(page, { logits: TYPED.logits, quantisation: null }, of);
  const seen = await read(page);
  assert.deepEqual([seen.difference, seen.divergence], ['0', '0']);
  compare(seen, TYPED);
  compare(seen.second, TYPED);
});

onPage('a loss that is not finite has a reason', async (page) => {
  await enter(page, { logits: '-inf, -inf', targets: '0' });
  assert.equal((await read(page)).loss, 'NaN');
  await page.getByText('NaN, because no class has a finite logit').waitFor();
  await enter(page, { logits: '-inf, 1' });
  assert.equal((await read(page)).loss, 'inf');
  await page.getByText('inf, because the target includes class 0').waitFor();
  await enter(page, TYPED);
  assert.ok(!(await page.locator('#why').isVisible()));
});

onPage('65,536 logits are computed', async (page) => {
  await enter(page, { logits: '0 '.repeat(65_536), targets: '65535' });
  const seen = await read(page);
  // 16 ln 2.
  assert.equal(seen.loss, '11.090355');
  assert.equal(seen.rows[0].index, 65_535);
  assert.equal(seen.rows[1].probability.text, '1.5258789e-5');
});

onPage('everything can be done by keys', async (page) => {
  const names = new Set();
  const reach = async (isThere) => {
    for (let count = 0; count < 30; count += 1) {
      await page.keyboard.press('Tab');
      const active = await page.evaluate(() => document.activeElement.id || document.activeElement.value);
      names.add(active);
      if (isThere(active)) {
        return;
      }
    }
    assert.fail(`not reached: ${[...names]}`);
  };
  await reach((name) => name === 'softmax');
  await reach((name) => name === 'logits');
  await page.keyboard.press('Control+A');
  await page.keyboard.type(TYPED.logits);
  await reach((name) => name === 'file');
  await reach((name) => name === 'target');
  await reach((name) => name === 'smoothing-slider');
  await page.keyboard.press('ArrowRight');
  assert.equal(await field.smoothing(page).inputValue(), '0.01');
  await page.keyboard.press('Home');
  assert.equal(await field.smoothing(page).inputValue(), '0');
  await reach((name) => name === 'smoothing');
  await reach((name) => name === '2');
  await page.keyboard.press('Enter');
  assert.equal(await field.target(page).inputValue(), '2');
  assert.deepEqual((await read(page)).rows.map((row) => row.isTarget), [false, false, true]);
  await field.loss(page, 'Softmax').focus();
  await page.keyboard.press('ArrowRight');
  assert.ok(await field.loss(page, 'Sigmoid').isChecked());
  await page.getByRole('button', { name: 'Class 0 as target' }).press('Space');
  assert.equal(await field.target(page).inputValue(), '0, 2');
});

/**
 * The expected pixels across the middle of a track, from its left: the colour of the bar or of the track. None next to
 * an edge or a line, where a pixel may belong to either side.
 */
function across({ track }, [start, end], bar, background, others) {
  const edges = [track.left, track.left + track.width, start, end, ...others];
  const pixels = [];
  for (let x = Math.floor(track.left); x < track.left + track.width; x += 1) {
    const centre = x + 0.5;
    const isClear = edges.every((edge) => Math.abs(centre - edge) >= 1.5);
    pixels.push(isClear ? (centre > start && centre < end ? bar : background) : null);
  }
  return pixels;
}

describe('it is drawn as it should be', () => {
  const looks = [
    ['light', { colorScheme: 'light' }],
    ['dark', { colorScheme: 'dark' }],
    ['phone-light', { colorScheme: 'light', viewport: PHONE }],
    ['phone-dark', { colorScheme: 'dark', viewport: PHONE }],
  ];
  const row = { loss: 'softmax', logits: '2.25, 1, 0.1, -7.3456783, 2', targets: '1', smoothing: '0.1' };
  const second = { logits: '18 9 -1 -62 16', quantisation: [0.125, 1] };
  const all = looks.flatMap(([name, options]) => [[name, options, false], [`${name}-compared`, options, true]]);
  for (const [name, options, isCompared] of all) {
    onPage(name, async (page) => {
      await enter(page, row);
      if (isCompared) {
        await field.compare(page).check();
        await enter(page, second, 'Second row');
      }
      const { width } = options.viewport ?? DESK;
      const wide = await page.evaluate(() => document.documentElement.scrollWidth);
      assert.ok(wide <= width, `nothing is cut at the side: ${wide} of ${width}`);
      await drawn(page);
      const seen = await read(page);
      const file = path.join(folder, `${name}.png`);
      const png = await page.screenshot({ path: file, fullPage: true, animations: 'disabled', scale: 'css' });
      assert.deepEqual(await read(page), seen, 'nothing has moved meanwhile');
      const painted = await page.evaluate(() => {
        const of = (selector) => {
          const colour = getComputedStyle(document.querySelector(selector)).backgroundColor;
          return colour.match(/\d+/g).slice(0, 3).join();
        };
        return {
          bar: of('tbody .bar'),
          second: of('tbody .side-1 .bar'),
          mark: of('tbody .mark'),
          up: of('.positive'),
          down: of('.negative'),
          track: of('.track'),
        };
      });
      assert.equal(new Set(Object.values(painted)).size, 6, 'six colours');
      const wanted = [];
      const want = (what, { track }, pixels) => {
        const clear = pixels.filter((colour) => colour !== null).length;
        assert.ok(clear > 0.8 * track.width, `${what}: ${clear} pixels of ${track.width} are compared`);
        wanted.push({ what, x: Math.floor(track.left), y: Math.floor(track.top + track.height / 2), pixels });
      };
      const rows = [[seen.rows, painted.bar], ...(isCompared ? [[seen.second.rows, painted.second]] : [])];
      for (const [{ index, isTarget, probability: p, gradient: g }, bar] of rows.flatMap(([some, colour]) => some.map((one) => [one, colour]))) {
        const end = p.track.left + value(p.text) * p.track.width;
        const mark = p.track.left + share(isTarget, seen.rows.length, row) * p.track.width;
        const pixels = across(p, [p.track.left, end], bar, painted.track, [mark - 1, mark, mark + 1]);
        // Wherever two pixels are rounded to, one of them contains the middle.
        pixels[Math.floor(mark) - Math.floor(p.track.left)] = painted.mark;
        want(`probability ${index}`, p, pixels);
        const middle = g.track.left + g.track.width / 2;
        const length = value(g.text) * g.track.width / 2;
        const ends = [middle + Math.min(length, 0), middle + Math.max(length, 0)];
        want(`gradient ${index}`, g, across(g, ends, length < 0 ? painted.down : painted.up, painted.track, [middle]));
      }
      const found = await lines(page, png, wanted.map(({ x, y, pixels }) => [x, y, pixels.length]));
      for (const [at, { what, x, y, pixels }] of wanted.entries()) {
        for (const [right, colour] of pixels.entries()) {
          if (colour !== null) {
            assert.equal(found[at][right], colour, `${what} at ${x + right}, ${y}`);
          }
        }
      }
      // Every number is complete, and visible when scrolled to.
      const cut = await page.evaluate(() => [...document.querySelectorAll('.number, .logit, dd')]
        .filter((element) => element.scrollWidth > element.clientWidth + 1)
        .map((element) => element.innerText));
      assert.deepEqual(cut, []);
      for (const number of await page.locator('.number:visible, .logit:visible, dd:visible').all()) {
        await number.scrollIntoViewIfNeeded();
        const isOnTop = await number.evaluate((element) => {
          const { left, top, width: w, height: h } = element.getBoundingClientRect();
          return element.contains(document.elementFromPoint(left + w / 2, top + h / 2));
        });
        assert.ok(isOnTop, await number.innerText());
      }
    }, options);
  }
});
