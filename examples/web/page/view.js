// What the page shows.

/** The most classes with a line each; of more, the likeliest are shown. */
const SHOWN = 50;
const FIELDS = ['logits', 'file', 'row', 'target', 'smoothing'];
const NONE = '–';

const element = (id) => document.getElementById(id);
/** The bar of a NaN has no length. */
const percent = (share) => `${Number.isNaN(share) ? 0 : 100 * share}%`;

/**
 * Shows the numbers of a row. `target` has the target share of each class; without it there are no loss and gradient.
 * `why` explains numbers that are not finite.
 */
export function show({ logits, loss, logSumExp, probabilities, gradient, format, target, isTarget, why }) {
  clearErrors();
  element('loss').value = loss === undefined ? NONE : format(loss);
  element('why').textContent = why;
  element('log-sum-exp').textContent = format(logSumExp);
  const classes = chosen(probabilities, isTarget);
  element('shown').textContent = classes.length === logits.length
    ? `${logits.length} ${logits.length === 1 ? 'class' : 'classes'}. Press one to make it a target.`
    : `The targets and the likeliest of ${logits.length.toLocaleString('en')} classes.`;
  const body = element('classes').tBodies[0];
  while (body.rows.length > classes.length) {
    body.deleteRow(-1);
  }
  for (const [at, index] of classes.entries()) {
    const row = body.rows[at] ?? body.appendChild(emptyRow());
    const [button, logit] = row.querySelectorAll('button, .logit');
    button.value = index;
    button.textContent = index;
    button.setAttribute('aria-label', `Class ${index} as target`);
    button.setAttribute('aria-pressed', isTarget(index));
    logit.textContent = format(logits[index]);
    const [p, g] = row.querySelectorAll('.number');
    p.textContent = format(probabilities[index]);
    const slopeOf = gradient === undefined ? 0 : gradient[index];
    g.textContent = gradient === undefined ? NONE : format(slopeOf);
    const [probability, mark, slope] = row.querySelectorAll('.bar, .mark');
    probability.style.width = percent(probabilities[index]);
    mark.style.left = percent(target(index));
    slope.className = slopeOf < 0 ? 'bar negative' : 'bar positive';
    slope.style.width = percent(Math.abs(slopeOf) / 2);
    slope.style.left = percent((1 + Math.min(slopeOf, 0)) / 2);
  }
  element('classes').hidden = false;
}

/** Shows no numbers, and an error next to the wrong field. */
export function refuse({ field, message }) {
  clearErrors();
  element('loss').value = NONE;
  element('why').textContent = '';
  element('log-sum-exp').textContent = NONE;
  element('classes').hidden = true;
  complain(field, message);
}

/** Shows only this error, next to the field. */
export function complain(field, message) {
  element(`${field}-error`).textContent = message;
  element(field).setAttribute('aria-invalid', 'true');
}

function clearErrors() {
  for (const field of FIELDS) {
    element(`${field}-error`).textContent = '';
    element(field).removeAttribute('aria-invalid');
  }
}

/** The classes that have a line: all, or the targets and the likeliest. */
function chosen(probabilities, isTarget) {
  const all = Array.from(probabilities.keys());
  if (all.length <= SHOWN) {
    return all;
  }
  const rank = (index) => (isTarget(index) ? 2 : probabilities[index]);
  return all.sort((a, b) => rank(b) - rank(a)).slice(0, SHOWN);
}

function emptyRow() {
  const row = document.createElement('tr');
  row.innerHTML = `
    <th scope="row"><div><button type="button"></button><span class="logit"></span></div></th>
    <td><span class="number"></span><div class="track"><i class="bar"></i><i class="mark"></i></div></td>
    <td><span class="number"></span><div class="track centred"><i class="bar"></i></div></td>`;
  return row;
}
