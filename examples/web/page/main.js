// Computes and shows the numbers whenever a field changes.

import * as read from './read.js';
import * as view from './view.js';
import * as why from './why.js';
import { Refused, Xent } from './xent.js';

const form = document.getElementById('form');
const { logits: logitsField, target: targetField, smoothing: smoothingField, row: rowField } = form.elements;
const rowLine = document.getElementById('row-line');
const slider = document.getElementById('smoothing-slider');
const note = document.getElementById('file-note');

const HINTS = {
  softmax: ['Target class', 'One number, counted from 0; or press a class.'],
  sigmoid: ['Target classes', 'Any number of them, counted from 0, or none; or press classes.'],
};

/** Runs a function, and shows errors in the input. */
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
    const smoothing = read.smoothing(smoothingField.value);
    // Without a target there are only probabilities, whose classes can be clicked.
    const isOpen = loss === 'softmax' && targetField.value.trim() === '';
    const targets = new Set(isOpen ? [] : read.targets(loss, targetField.value));
    const computed = xent.compute(loss, logits, isOpen ? [0] : [...targets], smoothing);
    const spread = loss === 'softmax' ? logits.length : 2;
    view.show({
      ...computed,
      ...(isOpen ? { loss: undefined, gradient: undefined } : {}),
      why: isOpen ? why.probabilities(loss, logits) : why.loss(loss, logits, targets, smoothing),
      logits,
      format: (value) => xent.format(value),
      isTarget: (index) => targets.has(index),
      target: (index) => (isOpen ? 0 : (targets.has(index) ? 1 - smoothing : 0) + smoothing / spread),
    });
    if (isOpen) {
      view.complain('target', 'There is no target yet: type the number of a class, or press one.');
    }
  });
}

/** Makes the clicked class the target, or adds it to the targets, or removes it. */
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

/** The file whose row is in the logits field, if there is one. */
let chosen;

/** Puts a row of the file into the field, and removes the target, which belonged to another row. */
function take(xent, index) {
  const { name, rows, row } = chosen;
  const numbers = row(index);
  const text = (number) => (typeof number === 'string' ? number : digits(xent, number));
  logitsField.value = numbers.map(text).join(', ');
  targetField.value = '';
  const count = numbers.length === 1 ? '1 logit' : `${numbers.length.toLocaleString('en')} logits`;
  note.textContent = `${name}: ${count}${rows > 1 ? `, row ${index} of ${rows.toLocaleString('en')} (0 to ${rows - 1})` : ''}`;
}

/** Forgets the file. */
function forget() {
  chosen = undefined;
  note.textContent = '';
  rowLine.hidden = true;
}

/** Puts a file's first row into the field. If several files are being read, the last one wins. */
let turn = 0;
async function open(xent, file) {
  turn += 1;
  const mine = turn;
  let complaint;
  try {
    const found = await read.file(file);
    if (mine !== turn) {
      return;
    }
    const before = chosen;
    chosen = { name: file.name, ...found };
    try {
      take(xent, 0);
    } catch (error) {
      chosen = before;
      throw error;
    }
    rowField.value = 0;
    rowField.max = found.rows - 1;
    rowLine.hidden = found.rows === 1;
  } catch (error) {
    if (!(error instanceof Refused)) {
      throw error;
    }
    forget();
    complaint = error;
  }
  update(xent);
  if (complaint) {
    view.complain(complaint.field, complaint.message);
  }
}

/** Shows another row of the file. */
function choose(xent) {
  try {
    take(xent, read.row(rowField.value, chosen.rows));
    update(xent);
  } catch (error) {
    if (!(error instanceof Refused)) {
      throw error;
    }
    // Numbers that belong to another row than the one named would mislead.
    view.refuse(error);
  }
}

/** A number of a file, as it would be typed: as f32 with the fewest digits, unless it is too large for f32. */
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
      forget();
    } else if (target === rowField) {
      choose(xent);
      return;
    }
    update(xent);
  });
  form.addEventListener('submit', (event) => event.preventDefault());
  form.elements.file.addEventListener('change', ({ target }) => {
    const [file] = target.files;
    if (file) {
      open(xent, file);
    }
    // The same file may be chosen again after it has changed.
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
