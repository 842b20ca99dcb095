// How far two rows of logits are from each other, in f64.

/** The logarithms of the softmax. */
function logarithms(logits) {
  const most = logits.reduce((a, b) => Math.max(a, b));
  const sum = logits.reduce((all, x) => all + Math.exp(x - most), 0);
  return Array.from(logits, (x) => x - most - Math.log(sum));
}

/** The divergence of the second row's softmax from the first's, in nats; a class of probability 0 adds nothing. */
export function divergence(first, second) {
  const [p, q] = [logarithms(first), logarithms(second)];
  return p.reduce((sum, x, at) => (x === -Infinity ? sum : sum + Math.exp(x) * (x - q[at])), 0);
}

/** The largest distance of two logits. Equal ones have none, even if they are infinite. */
export function difference(first, second) {
  return first.reduce((most, x, at) => Math.max(most, x === second[at] ? 0 : Math.abs(x - second[at])), 0);
}

/** The class of the largest logit, the first of equals. */
export function largest(logits) {
  return logits.reduce((best, x, at) => (x > logits[best] ? at : best), 0);
}
