// What the page shows.

/** The most classes with a line each; of more, the likeliest are shown. */
const SHOWN = 50;
const NONE = '–';

const element = (id) => document.getElementById(id);
/** The bar of a NaN has no length. */
const percent = (share) => `${Number.isNaN(share) ? 0 : 100 * share}%`;

/** What has a place in the page for this loss, and for a second row. */
export function arrange(loss, isCompared) {
  document.body.classList.toggle('compared', isCompared);
  for (const part of document.querySelectorAll('.second')) {
    part.hidden = !isCompared;
  }
  const isSoftmax = loss === 'softmax';
  element('log-sum-exp-row').hidden = !isSoftmax;
  for (const id of ['second-log-sum-exp-row', 'divergence-row']) {
    element(id).hidden = !(isSoftmax && isCompared);
  }
}

/**
 * Shows the numbers of a row, or of two. `target` has the target share of each class; without it there are no loss and
 * gradient. `why` explains numbers that are not finite.
 */
export function show(rows, { format, target, isTarget }) {
  clearErrors();
  for (const [at, { loss, logSumExp }] of rows.entries()) {
    const prefix = at === 0 ? '' : 'second-';
    element(`${prefix}loss`).textContent = loss === undefined ? NONE : format(loss);
    element(`${prefix}log-sum-exp`).textContent = format(logSumExp);
  }
  const reasons = rows.map(({ why }, at) => (why !== '' && at === 1 ? `Second row: ${why}` : why));
  element('why').textContent = reasons.filter((reason) => reason !== '').join(' ');
  const [{ logits }] = rows;
  const classes = chosen(rows.map(({ probabilities }) => probabilities), isTarget);
  element('shown').textContent = classes.length === logits.length
    ? `${logits.length} ${logits.length === 1 ? 'class' : 'classes'}. Press one to make it a target.`
    : `The targets and the likeliest of ${logits.length.toLocaleString('en')} classes.`;
  const body = element('classes').tBodies[0];
  while (body.rows.length > classes.length) {
    body.deleteRow(-1);
  }
  for (const [at, index] of classes.entries()) {
    const line = body.rows[at] ?? body.appendChild(emptyRow());
    const button = line.querySelector('button');
    button.value = index;
    button.textContent = index;
    button.setAttribute('aria-label', `Class ${index} as target`);
    button.setAttribute('aria-pressed', isTarget(index));
    for (const [side, row] of rows.entries()) {
      showClass(line.querySelectorAll(`.side-${side}`), row, index, { format, target });
    }
    for (const part of line.querySelectorAll('.side-1')) {
      part.hidden = rows.length === 1;
    }
  }
  element('classes').hidden = false;
}

/** Shows a class of one of the rows, in the three places that it has. */
function showClass([logit, p, g], { logits, probabilities, gradient }, index, { format, target }) {
  logit.textContent = format(logits[index]);
  p.querySelector('.number').textContent = format(probabilities[index]);
  p.querySelector('.bar').style.width = percent(probabilities[index]);
  p.querySelector('.mark').style.left = percent(target(index));
  const slopeOf = gradient === undefined ? 0 : gradient[index];
  g.querySelector('.number').textContent = gradient === undefined ? NONE : format(slopeOf);
  const slope = g.querySelector('.bar');
  slope.className = slopeOf < 0 ? 'bar negative' : 'bar positive';
  slope.style.width = percent(Math.abs(slopeOf) / 2);
  slope.style.left = percent((1 + Math.min(slopeOf, 0)) / 2);
}

/** How far the rows are from each other. The step of the second row's integers is undefined if it has floats. */
export function compare({ difference, divergence, largest: [a, b], scale }) {
  const short = (x) => (x === Infinity ? 'inf' : String(Number(x.toPrecision(4))));
  const steps = scale === undefined ? '' : ` (${short(difference / scale)} LSB)`;
  element('difference').textContent = `${short(difference)}${steps}`;
  element('divergence').textContent = short(divergence);
  element('predicted').textContent = a === b ? `${a} in both` : `${a}, then ${b}`;
}

/** Shows no numbers, and an error next to the wrong field. */
export function refuse({ field, message }) {
  clearErrors();
  for (const id of ['loss', 'log-sum-exp', 'second-loss', 'second-log-sum-exp', 'difference', 'divergence', 'predicted']) {
    element(id).textContent = NONE;
  }
  element('why').textContent = '';
  element('classes').hidden = true;
  complain(field, message);
}

/** Shows only this error, next to the field. */
export function complain(field, message) {
  element(`${field}-error`).textContent = message;
  element(field).setAttribute('aria-invalid', 'true');
}

function clearErrors() {
  for (const said of document.querySelectorAll('form .error')) {
    said.textContent = '';
  }
  for (const field of document.querySelectorAll('[aria-invalid]')) {
    field.removeAttribute('aria-invalid');
  }
}

/** The classes that have a line: all, or the targets and the likeliest. */
function chosen(probabilities, isTarget) {
  const all = Array.from(probabilities[0].keys());
  if (all.length <= SHOWN) {
    return all;
  }
  const rank = (index) => (isTarget(index) ? 2 : Math.max(...probabilities.map((of) => of[index])));
  return all.sort((a, b) => rank(b) - rank(a)).slice(0, SHOWN);
}

function emptyRow() {
  const row = document.createElement('tr');
  const sides = (part) => [0, 1].map((side) => part(`side-${side}`)).join('');
  row.innerHTML = `
    <th scope="row"><div><button type="button"></button><span class="logits">${
  sides((side) => `<span class="logit ${side}"></span>`)}</span></div></th>
    <td>${sides((side) => `<div class="${side}"><span class="number"></span>
      <div class="track"><i class="bar"></i><i class="mark"></i></div></div>`)}</td>
    <td>${sides((side) => `<div class="${side}"><span class="number"></span>
      <div class="track centred"><i class="bar"></i></div></div>`)}</td>`;
  return row;
}
