// Tests the pages of `xent compare --report` in a browser: node report.test.mjs FOLDER BROWSER, as
// `cargo xtask web --test` runs it. The folder holds the pages and `reports.json`, what they are about; each number is
// computed here, by its formula. Screenshots are written there.

import assert from 'node:assert/strict';
import { readFile } from 'node:fs/promises';
import path from 'node:path';
import { after, before, describe, test } from 'node:test';
import { pathToFileURL } from 'node:url';

import { DESK, PHONE, launch } from './browser.mjs';

const [folder, executable] = process.argv.slice(2);
const reports = JSON.parse(await readFile(path.join(folder, 'reports.json'), 'utf8'));
const BINS = 15;
/** Differences from here on share a bar. */
const MOST = 16;
const WORST = 10;

let browser;
before(async () => {
  browser = await launch(executable);
});
after(() => browser?.close());

const sum = (numbers) => numbers.reduce((all, x) => all + x, 0);
const mean = (numbers) => sum(numbers) / numbers.length;
const most = (numbers) => numbers.reduce((a, b) => Math.max(a, b));
const largest = (row) => row.indexOf(most(row));
const rowsOf = (numbers, classes) => Array.from(
  { length: numbers.length / classes },
  (_, row) => numbers.slice(row * classes, (row + 1) * classes),
);

function logarithms(row) {
  const all = Math.log(sum(row.map((x) => Math.exp(x - most(row))))) + most(row);
  return row.map((x) => x - all);
}

/** Everything that the page says, from the numbers that it is about. */
function expected(report) {
  const { loss, classes, candidate: integers, scale, zero_point: zeroPoint, labels } = report;
  const isOfLogits = loss === 'softmax';
  const reference = report.reference.map(Math.fround);
  const candidate = integers.map((q) => Math.fround(scale * (q - zeroPoint)));
  const sides = [reference, candidate].map((numbers) => {
    const rows = rowsOf(numbers, classes);
    const probabilities = rows.map((row) => (isOfLogits ? logarithms(row).map(Math.exp) : row));
    const losses = rows.map((row, at) => (isOfLogits
      ? -logarithms(row)[labels[at]]
      : -Math.log(Math.max(row[labels[at]], 1e-20))));
    const predicted = rows.map(largest);
    const right = predicted.map((of, at) => (of === labels[at] ? 1 : 0));
    const confidence = probabilities.map(most);
    const bins = Array.from({ length: BINS }, (_, bin) => confidence.map((_, at) => at)
      .filter((at) => confidence[at] > bin / BINS && confidence[at] <= (bin + 1) / BINS));
    const points = bins.map((bin) => bin.length > 0
      && [bin.length, mean(bin.map((at) => confidence[at])), mean(bin.map((at) => right[at]))]);
    const apart = points.map((point) => (point ? point[0] * Math.abs(point[1] - point[2]) : 0));
    return {
      rows, predicted, points, loss: mean(losses), accuracy: mean(right), calibration: sum(apart) / rows.length,
    };
  });
  const differences = reference.map((x, at) => Math.abs(candidate[at] - x));
  const steps = reference.map((x, at) => integers[at] - zeroPoint - x / scale);
  const [a, b] = sides;
  const kl = a.rows.map((row, at) => {
    const [p, q] = [logarithms(row), logarithms(b.rows[at])];
    return sum(p.map((x, c) => Math.exp(x) * (x - q[c])));
  });
  const apart = rowsOf(differences, classes).map(most);
  const order = (by) => by.map((_, at) => at).sort((i, j) => by[j] - by[i]).slice(0, WORST);
  return {
    sides,
    both: {
      loss: sides.map((side) => side.loss),
      accuracy: sides.map((side) => side.accuracy),
      'expected calibration error': sides.map((side) => side.calibration),
    },
    differences: {
      'rows with the same prediction, share': mean(a.predicted.map((of, at) => (of === b.predicted[at] ? 1 : 0))),
      'largest, LSB': most(steps.map(Math.abs)),
      'largest, absolute': most(differences),
      'largest, relative': most(differences.map((x, at) => x / Math.abs(reference[at]))),
      'mean, LSB': mean(steps.map(Math.abs)),
      'mean, absolute': mean(differences),
      'SQNR, dB': 10 * Math.log10(sum(reference.map((x) => x * x)) / sum(differences.map((x) => x * x))),
      ...(isOfLogits ? { 'KL divergence, mean, nats': mean(kl), 'KL divergence, largest, nats': most(kl) } : {}),
      'elements outside the tolerance': steps.filter((x) => Math.abs(x) > report.max_lsb).length,
    },
    steps: steps.map(Math.round),
    worst: order(isOfLogits ? kl : apart),
    changed: a.predicted.filter((of, at) => of !== b.predicted[at]).length,
  };
}

/** A page, and what it asked for or complained about. */
async function open(name, options) {
  const address = pathToFileURL(path.join(folder, `${name}-report.html`)).href;
  const context = await browser.newContext({ viewport: DESK, ...options });
  const page = await context.newPage();
  const wrong = [];
  page.on('console', (message) => wrong.push(message.text()));
  page.on('request', (request) => request.url() === address || wrong.push(`asked for ${request.url()}`));
  await page.goto(address);
  for (const closed of await page.locator('summary').all()) {
    await closed.click();
  }
  return { context, page, wrong };
}

/** The tables as they are seen, by their captions: rows of texts, with all digits of numbers that are rounded. */
async function tables(page) {
  return page.evaluate(() => Object.fromEntries([...document.querySelectorAll('table')].map((table) => {
    const rows = [...table.tBodies[0].rows].map((row) => [...row.cells].map((cell) => {
      const number = cell.querySelector('data');
      return { text: cell.innerText.trim(), value: number ? number.value : cell.innerText.trim() };
    }));
    return [table.caption.innerText, rows];
  })));
}

function near(cell, x, what, within = 1e-9) {
  const found = Number(cell.value);
  assert.ok(Math.abs(found - x) <= within * Math.abs(x) + 1e-15, `${what}: ${cell.value}, expected ${x}`);
  // What is read is the same number, rounded.
  assert.ok(Math.abs(Number(cell.text) - x) <= 1e-3 * Math.abs(x) + 1e-15, `${what}: ${cell.text}, expected ${x}`);
}

for (const report of reports) {
  describe(`the report on ${report.name}`, () => {
    const says = expected(report);
    let opened;
    let found;
    before(async () => {
      opened = await open(report.name);
      found = await tables(opened.page);
    });
    after(() => opened.context.close());

    test('the verdict is that of the tolerances', async () => {
      const isTooFar = says.differences['largest, LSB'] > report.max_lsb;
      const hasChanged = says.changed > report.max_changed;
      const missed = [...(isTooFar ? ['--max-lsb'] : []), ...(hasChanged ? ['--max-changed'] : [])];
      const verdict = missed.length === 0 ? 'Within the tolerance' : `Outside the tolerance: ${missed.join(', ')}`;
      assert.equal(await opened.page.locator('h1').innerText(), verdict);
      assert.equal(missed.length === 0, report.is_within);
    });

    test('its figures are those of the formulas', () => {
      for (const [name, sides] of Object.entries(says.both)) {
        const cells = found['Both sides'].find(([head]) => head.text === name);
        assert.ok(cells, name);
        // The losses are computed in f32.
        sides.forEach((x, side) => near(cells[side + 1], x, name, name === 'loss' ? 1e-6 : 1e-9));
      }
      for (const [name, x] of Object.entries(says.differences)) {
        const cells = found.Differences.find(([head]) => head.text === name);
        assert.ok(cells, name);
        near(cells[1], x, name);
      }
    });

    test('the histogram has a bar for each error, as high as its logarithm', async () => {
      const rows = found['Elements by error'];
      const counts = rows.map(([label, count]) => {
        const steps = Number(label.text.replace(/[≤≥ ]/g, ''));
        const isIn = (x) => Math.max(-MOST, Math.min(MOST, x)) === steps;
        assert.equal(Number(count.text), says.steps.filter(isIn).length, label.text);
        return Number(count.text);
      });
      assert.equal(sum(counts), says.steps.length);
      const bars = await opened.page.getByRole('img', { name: 'Histogram of the errors' }).evaluate((picture) => {
        // Of the colour of the candidate; the labels and axes have none.
        const filled = [...picture.querySelectorAll('rect')].filter((bar) => bar.getAttribute('fill') === '#E0791F');
        return filled.map((bar) => bar.getBoundingClientRect()).map(({ left, height, bottom }) => ({ left, height, bottom }));
      });
      const filled = counts.filter((count) => count > 0);
      assert.equal(bars.length, filled.length);
      bars.sort((one, other) => one.left - other.left);
      // A pixel of the picture is more or less than one of the screen.
      const base = Math.log10(0.5);
      const unit = mean(bars.map(({ height }, at) => height / (Math.log10(filled[at]) - base)));
      bars.forEach(({ height, bottom }, at) => {
        const wanted = unit * (Math.log10(filled[at]) - base);
        assert.ok(Math.abs(height - wanted) < 2.5, `bar ${at}: ${height} pixels, expected ${wanted}`);
        assert.ok(Math.abs(bottom - bars[0].bottom) < 1.5, 'all begin at the axis');
      });
    });

    test('the reliability diagram has a point for each bin', async () => {
      const rows = found['Rows by their largest probability'];
      const filled = says.sides[0].points.map((_, bin) => says.sides.map((side) => side.points[bin]))
        .filter((points) => points.some(Boolean));
      assert.equal(rows.length, filled.length);
      rows.forEach((cells, at) => filled[at].forEach((point, side) => {
        const [count, confidence, right] = cells.slice(1 + 3 * side, 4 + 3 * side);
        assert.equal(Number(count.text), point ? point[0] : 0);
        if (point) {
          near(confidence, point[1], 'confidence');
          near(right, point[2], 'right');
        }
      }));
      const points = await opened.page.getByRole('img', { name: 'Reliability diagram' }).evaluate((picture) => {
        const of = (colour) => [...picture.querySelectorAll('circle')]
          .filter((point) => point.getAttribute('fill') === colour)
          .map((point) => [Number(point.getAttribute('cx')), Number(point.getAttribute('cy'))]);
        return ['#2F7EC4', '#E0791F'].map(of);
      });
      points.forEach((seen, side) => {
        const wanted = says.sides[side].points.filter(Boolean);
        assert.equal(seen.length, wanted.length);
        seen.forEach(([x, y], at) => {
          // The axes go from 0 to 1, over as many pixels each: the place of the first point tells where they begin.
          const [[x0, y0], [, p0, r0]] = [seen[0], wanted[0]];
          const [, p, r] = wanted[at];
          assert.equal(Math.sign(Math.round(x - x0)), Math.sign(Math.round(1e4 * (p - p0))), 'to the right');
          const perUnit = (x - x0) / (p - p0);
          if (at > 0 && Math.abs(r - r0) > 0.1) {
            assert.ok((y0 - y) / (r - r0) > 0, 'upwards');
          }
          assert.ok(at === 0 || (perUnit > 200 && perUnit < 400), `${perUnit} pixels from 0 to 1`);
        });
      });
    });

    test('predictions are counted in a matrix', async () => {
      const [a, b] = says.sides;
      const counted = says.changed === 0
        ? `All ${a.rows.length} rows are predicted the same.`
        : `${says.changed} of ${a.rows.length} rows ${says.changed === 1 ? 'is' : 'are'} predicted differently.`;
      assert.ok(await opened.page.getByText(counted, { exact: true }).isVisible());
      const matrix = Object.entries(found).find(([caption]) => caption.startsWith('Rows by predicted class'));
      assert.equal(matrix !== undefined, says.changed > 0, 'a matrix of changes, if there are any');
      matrix?.[1].forEach((cells, from) => cells.slice(1).forEach((cell, to) => {
        const count = a.predicted.filter((of, at) => of === from && b.predicted[at] === to).length;
        assert.equal(Number(cell.text), count, `${from} became ${to}`);
      }));
    });

    test('the worst rows are the worst, with their numbers', () => {
      const shown = Object.keys(found).filter((caption) => /^Row \d+$/.test(caption));
      assert.deepEqual(shown.map((caption) => Number(caption.slice(4))), says.worst);
      for (const row of says.worst) {
        found[`Row ${row}`].forEach((cells, at) => {
          assert.equal(Number(cells[0].text), at);
          says.sides.forEach((side, nth) => near(cells[1 + nth], side.rows[row][at], `row ${row}, class ${at}`));
        });
      }
    });

    test('it asks for nothing', () => assert.deepEqual(opened.wrong, []));

    for (const [name, viewport] of [['desk', DESK], ['phone', PHONE]]) {
      for (const colorScheme of ['light', 'dark']) {
        test(`nothing is cut off: ${name}, ${colorScheme}`, async () => {
          const { context, page } = await open(report.name, { viewport, colorScheme });
          const wide = await page.evaluate(() => document.documentElement.scrollWidth);
          assert.ok(wide <= viewport.width, `${wide} pixels of ${viewport.width}`);
          const outside = await page.evaluate(() => [...document.querySelectorAll('svg')].flatMap((svg) => {
            const all = svg.getBoundingClientRect();
            const isOutside = ({ left, right, top, bottom }) => left < all.left - 1 || right > all.right + 1
              || top < all.top - 1 || bottom > all.bottom + 1;
            return [...svg.querySelectorAll('text, rect, circle')]
              .filter((part) => part.tagName !== 'text' || part.textContent.trim() !== '')
              .filter((part) => isOutside(part.getBoundingClientRect())).map((part) => part.outerHTML);
          }));
          assert.deepEqual(outside, []);
          const file = path.join(folder, `report-${report.name}-${name}-${colorScheme}.png`);
          await page.screenshot({ path: file, fullPage: true });
          await context.close();
        });
      }
    }
  });
}
