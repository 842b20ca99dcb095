// From the fields to the numbers, whenever a field changes.

import * as read from './read.js';
import * as view from './view.js';
import { Refused, Xent } from './xent.js';

const form = document.getElementById('form');
const { logits: logitsField, target: targetField, smoothing: smoothingField } = form.elements;
const slider = document.getElementById('smoothing-slider');
const note = document.getElementById('file-note');

const HINTS = {
  softmax: ['Target class', 'One number, counted from 0; or press a class.'],
  sigmoid: ['Target classes', 'Any number of them, counted from 0, or none; or press classes.'],
};

/** Runs something, and shows what was wrong with the input. */
function attempt(show, run) {
  try {
    run();
  } catch (error) {
    if (!(error instanceof Refused)) {
      throw error;
    }
    show(error);
  }
}

function update(xent) {
  const loss = form.elements.loss.value;
  const [label, hint] = HINTS[loss];
  document.getElementById('target-label').textContent = label;
  document.getElementById('target-hint').textContent = hint;
  document.getElementById('log-sum-exp-row').hidden = loss !== 'softmax';
  attempt(view.refuse, () => {
    const logits = read.logits(logitsField.value);
    const targets = new Set(read.targets(loss, targetField.value));
    const smoothing = read.smoothing(smoothingField.value);
    const computed = xent.compute(loss, logits, [...targets], smoothing);
    const spread = loss === 'softmax' ? logits.length : 2;
    view.show({
      ...computed,
      logits,
      format: (value) => xent.format(value),
      isTarget: (index) => targets.has(index),
      target: (index) => (targets.has(index) ? 1 - smoothing : 0) + smoothing / spread,
    });
  });
}

/** The class that was pressed is the target, or one more or less of them. */
function press(index) {
  if (form.elements.loss.value === 'softmax') {
    targetField.value = index;
    return;
  }
  const targets = new Set(read.targets('sigmoid', targetField.value));
  if (!targets.delete(index)) {
    targets.add(index);
  }
  targetField.value = [...targets].sort((a, b) => a - b).join(', ');
}

/** A file's numbers become what is typed. Of several at a time the last is taken. */
let turn = 0;
async function open(xent, file) {
  turn += 1;
  const mine = turn;
  let complaint;
  try {
    const { numbers, rows } = await read.file(file);
    if (mine !== turn) {
      return;
    }
    const text = (number) => (typeof number === 'string' ? number : digits(xent, number));
    logitsField.value = numbers.map(text).join(', ');
    const count = numbers.length === 1 ? '1 logit' : `${numbers.length.toLocaleString('en')} logits`;
    note.textContent = `${file.name}: ${count}${rows > 1 ? `, the first of ${rows} rows` : ''}`;
  } catch (error) {
    if (!(error instanceof Refused)) {
      throw error;
    }
    note.textContent = '';
    complaint = error;
  }
  update(xent);
  if (complaint) {
    view.complain(complaint.field, complaint.message);
  }
}

/** A number of a file, as it would be typed: f32 by its fewest digits, unless there is none so large. */
function digits(xent, number) {
  const value = Math.fround(number);
  return Number.isFinite(number) && !Number.isFinite(value) ? String(number) : xent.format(value);
}

function listen(xent) {
  form.addEventListener('input', ({ target }) => {
    if (target.type === 'file') {
      return;
    }
    if (target === slider) {
      smoothingField.value = slider.value;
    } else if (target === smoothingField) {
      slider.value = smoothingField.value;
    } else if (target === logitsField) {
      note.textContent = '';
    }
    update(xent);
  });
  form.addEventListener('submit', (event) => event.preventDefault());
  form.elements.file.addEventListener('change', ({ target }) => {
    const [file] = target.files;
    if (file) {
      open(xent, file);
    }
    // The same file may be chosen again, after it has changed.
    target.value = '';
  });
  document.getElementById('classes').addEventListener('click', ({ target }) => {
    const button = target.closest('button');
    if (button) {
      press(Number(button.value));
      update(xent);
    }
  });
  const body = document.body;
  document.addEventListener('dragover', (event) => {
    event.preventDefault();
    body.classList.add('dragging');
  });
  document.addEventListener('dragleave', ({ relatedTarget }) => {
    if (relatedTarget === null) {
      body.classList.remove('dragging');
    }
  });
  document.addEventListener('drop', (event) => {
    event.preventDefault();
    body.classList.remove('dragging');
    const [file] = event.dataTransfer.files;
    if (file) {
      open(xent, file);
    }
  });
}

try {
  const xent = await Xent.load('xent.wasm');
  document.getElementById('level').textContent = xent.level();
  listen(xent);
  update(xent);
} catch (error) {
  document.getElementById('fatal').textContent =
    `The module could not be started; it needs WebAssembly with simd128. ${error}`;
  throw error;
}
