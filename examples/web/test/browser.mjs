// The page as people use it: finding things by their names, acting on them and looking at them.

import { chromium } from 'playwright-core';

/** The size of a notebook's window. */
export const DESK = { width: 1280, height: 900 };
export const PHONE = { width: 360, height: 740 };

const ARGUMENTS = [
  '--disable-gpu', '--disable-quic', '--no-first-run', '--disable-background-networking',
  '--disable-component-update', '--disable-sync',
];

/** Time limit in milliseconds for starting a browser and for waiting in it: a busy machine is slow. */
const PATIENCE = 180_000;

export async function launch(executablePath) {
  return chromium.launch({ executablePath, args: ARGUMENTS, timeout: PATIENCE });
}

/** Goes to the address, and tries again if there is no answer, which a busy machine may lose. */
async function visit(page, address, attempts = 3) {
  try {
    await page.goto(address, { timeout: PATIENCE / attempts });
  } catch (error) {
    if (error.name !== 'TimeoutError' || attempts === 1) {
      throw error;
    }
    await visit(page, address, attempts - 1);
  }
}

/** A page, and the errors and outside requests in it. */
export async function open(browser, address, options = {}) {
  const context = await browser.newContext({ viewport: DESK, ...options });
  context.setDefaultTimeout(PATIENCE);
  const page = await context.newPage();
  const wrong = [];
  page.on('pageerror', (error) => wrong.push(`${error}`));
  page.on('console', (message) => {
    if (['error', 'warning'].includes(message.type())) {
      wrong.push(message.text());
    }
  });
  page.on('request', (request) => {
    if (!/^data:/.test(request.url()) && !request.url().startsWith(address)) {
      wrong.push(`asked for ${request.url()}`);
    }
  });
  await visit(page, address);
  await page.getByText('portable').waitFor();
  return { context, page, wrong };
}

/** The fields of a row. */
const row = (page, name = 'First row') => page.getByRole('group', { name });

/** Fields by their names, as for a screen reader; those of a row are the first row's unless it is named. */
export const field = {
  loss: (page, name) => page.getByRole('radio', { name }),
  logits: (page, of) => row(page, of).getByLabel('Logits', { exact: true }),
  target: (page) => page.getByLabel(/^Target class(es)?$/),
  smoothing: (page) => page.getByLabel('Label smoothing', { exact: true }),
  slider: (page) => page.getByRole('slider', { name: 'Label smoothing' }),
  file: (page, of) => row(page, of).getByLabel('Choose a file'),
  row: (page, of) => row(page, of).getByLabel('Row of the file'),
  integers: (page, of) => row(page, of).getByLabel('Integers of a quantised model'),
  scale: (page, of) => row(page, of).getByLabel('Scale'),
  'zero-point': (page, of) => row(page, of).getByLabel('Zero point'),
  compare: (page) => page.getByLabel('Compare with a second row'),
};

/** Says what the integers of a row stand for, or that its logits are floats. */
export async function quantise(page, quantisation, of) {
  await field.integers(page, of).setChecked(Boolean(quantisation));
  if (quantisation) {
    const [scale, zeroPoint] = quantisation;
    await field.scale(page, of).fill(String(scale));
    await field['zero-point'](page, of).fill(String(zeroPoint));
  }
}

export async function enter(page, { loss, logits, targets, smoothing, quantisation }, of) {
  if (loss !== undefined) {
    await field.loss(page, loss === 'softmax' ? 'Softmax' : 'Sigmoid').check();
  }
  if (quantisation !== undefined) {
    await quantise(page, quantisation, of);
  }
  if (logits !== undefined) {
    await field.logits(page, of).fill(logits);
  }
  for (const [name, text] of [['target', targets], ['smoothing', smoothing]]) {
    if (text !== undefined) {
      await field[name](page).fill(text);
    }
  }
}

/** The visible state: numbers as drawn, bars in pixels of the whole page; null for missing parts. */
export async function read(page) {
  return page.evaluate(() => {
    const isSeen = (element) => element.checkVisibility({ opacityProperty: true, visibilityProperty: true })
      && element.getClientRects().length > 0;
    const text = (element) => (element && isSeen(element) ? element.innerText.trim() : null);
    const box = (element) => {
      const { left, top, width, height } = element.getBoundingClientRect();
      return { left: left + scrollX, top: top + scrollY, width, height };
    };
    const named = (name) => {
      const term = [...document.querySelectorAll('dt')].find((dt) => dt.innerText === name);
      return term ? text(term.parentElement.querySelector('dd')) : null;
    };
    const lines = [...document.querySelectorAll('tbody tr')].filter(isSeen);
    const rowsOf = (side) => lines.map((line) => {
      const [head, probability, gradient] = line.cells;
      const button = head.querySelector('button');
      const bars = (part) => ({
        text: text(part.querySelector('.number')),
        track: box(part.querySelector('.track')),
        bar: box(part.querySelector('.bar')),
      });
      return {
        index: Number(text(button)),
        isTarget: button.getAttribute('aria-pressed') === 'true',
        logit: text(head.querySelectorAll('.logit')[side]),
        probability: bars(probability.children[side]),
        mark: box(probability.children[side].querySelector('.mark')),
        gradient: bars(gradient.children[side]),
      };
    });
    const level = named('Computed with');
    return {
      loss: named('Loss'),
      logSumExp: named('Log-sum-exp'),
      level,
      rows: rowsOf(0),
      second: {
        loss: named('Loss of the second row'),
        logSumExp: named('Its log-sum-exp'),
        level,
        rows: rowsOf(1),
      },
      difference: named('Largest difference'),
      divergence: named('KL divergence, nats'),
      largest: named('Largest class'),
    };
  });
}

/** Returns once the input is drawn: the fonts are loaded, and the second frame has begun. */
export async function drawn(page) {
  await page.evaluate(async () => {
    await document.fonts.ready;
    await new Promise((done) => requestAnimationFrame(() => requestAnimationFrame(done)));
  });
}

/** The colours of a screenshot along horizontal lines, each given by its start and length in pixels. */
export async function lines(page, png, of) {
  return page.evaluate(async ([base64, all]) => {
    const bytes = Uint8Array.from(atob(base64), (c) => c.charCodeAt(0));
    const bitmap = await createImageBitmap(new Blob([bytes], { type: 'image/png' }));
    const drawing = new OffscreenCanvas(bitmap.width, bitmap.height)
      .getContext('2d', { willReadFrequently: true });
    drawing.drawImage(bitmap, 0, 0);
    return all.map(([x, y, count]) => {
      const { data } = drawing.getImageData(x, y, count, 1);
      return Array.from({ length: count }, (_, at) => [...data.slice(4 * at, 4 * at + 3)].join());
    });
  }, [png.toString('base64'), of]);
}
