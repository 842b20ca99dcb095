// Computes and shows the numbers whenever a field changes.

import * as between from './divergence.js';
import * as read from './read.js';
import { copyOf, Side } from './side.js';
import * as view from './view.js';
import * as why from './why.js';
import { Refused, Xent } from './xent.js';

const form = document.getElementById('form');
const { target: targetField, smoothing: smoothingField, compare: compareField } = form.elements;
const slider = document.getElementById('smoothing-slider');

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

/** The two rows; the second is in the page only while they are compared. */
let first;
let second;
let secondGroup;

function update(xent) {
  const loss = form.elements.loss.value;
  const [label, hint] = HINTS[loss];
  document.getElementById('target-label').textContent = label;
  document.getElementById('target-hint').textContent = hint;
  view.arrange(loss, compareField.checked);
  attempt(view.refuse, () => {
    const rows = (compareField.checked ? [first, second] : [first]).map((side) => [side, side.logits()]);
    const [[, logits], [, other] = []] = rows;
    if (other !== undefined && other.length !== logits.length) {
      const [found, expected] = [other, logits].map((row) => row.length.toLocaleString('en'));
      second.about(() => {
        throw new Refused('logits', `Expected as many logits as in the first row, ${expected}; found ${found}.`);
      });
    }
    const smoothing = read.smoothing(smoothingField.value);
    // Without a target there are only probabilities, whose classes can be clicked.
    const isOpen = loss === 'softmax' && targetField.value.trim() === '';
    const targets = new Set(isOpen ? [] : read.targets(loss, targetField.value));
    const spread = loss === 'softmax' ? logits.length : 2;
    const shown = rows.map(([side, x]) => ({
      ...side.about(() => xent.compute(loss, x, isOpen ? [0] : [...targets], smoothing)),
      ...(isOpen ? { loss: undefined, gradient: undefined } : {}),
      logits: x,
      why: isOpen ? why.probabilities(loss, x) : why.loss(loss, x, targets, smoothing),
    }));
    view.show(shown, {
      format: (value) => xent.format(value),
      isTarget: (index) => targets.has(index),
      target: (index) => (isOpen ? 0 : (targets.has(index) ? 1 - smoothing : 0) + smoothing / spread),
    });
    if (other !== undefined) {
      view.compare({
        difference: between.difference(logits, other),
        divergence: between.divergence(logits, other),
        largest: [logits, other].map(between.largest),
        scale: second.scale,
      });
    }
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

/** Takes a file's first row. The target belonged to another row. */
async function open(xent, side, file) {
  let complaint;
  try {
    if (!await side.open(file)) {
      return;
    }
    if (side === first) {
      targetField.value = '';
    }
  } catch (error) {
    if (!(error instanceof Refused)) {
      throw error;
    }
    complaint = error;
  }
  update(xent);
  if (complaint) {
    view.complain(complaint.field, complaint.message);
  }
}

/** Shows another row of the file, and of the other one, if it has as many. */
function choose(xent, side) {
  // Numbers that belong to another row than the one named would mislead.
  attempt(view.refuse, () => {
    side.choose();
    const other = side === first ? second : first;
    const isFollowed = compareField.checked && other.follow(side);
    if (side === first || isFollowed) {
      targetField.value = '';
    }
    update(xent);
  });
}

/** The side that an element belongs to. */
function sideOf(element) {
  return [first, second].find((side) => side.has(element));
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
    } else if (target === compareField) {
      document.getElementById('second').replaceChildren(...(target.checked ? [secondGroup] : []));
    }
    const side = sideOf(target);
    if (side?.changed(target)) {
      choose(xent, side);
    } else {
      update(xent);
    }
  });
  form.addEventListener('submit', (event) => event.preventDefault());
  form.addEventListener('change', ({ target }) => {
    if (target.type !== 'file') {
      return;
    }
    const [file] = target.files;
    if (file) {
      open(xent, sideOf(target), file);
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
      open(xent, sideOf(event.target) ?? first, file);
    }
  });
}

try {
  const xent = await Xent.load('xent.wasm');
  document.getElementById('level').textContent = xent.level();
  const group = document.getElementById('side');
  secondGroup = copyOf(group, 'second-', 'Second row');
  first = new Side(group, '', (value) => xent.format(value));
  second = new Side(secondGroup, 'second-', (value) => xent.format(value));
  listen(xent);
  update(xent);
} catch (error) {
  document.getElementById('fatal').textContent =
    `The module could not be started; it needs WebAssembly with simd128. ${error}`;
  throw error;
}
