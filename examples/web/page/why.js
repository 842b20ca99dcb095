// Explains why a number is not finite.

const count = (logits, value) => logits.reduce((sum, logit) => sum + (logit === value ? 1 : 0), 0);

/** The reason for the probabilities; empty if all are finite. */
export function probabilities(loss, logits) {
  if (loss !== 'softmax') {
    return '';
  }
  if (logits.every((logit) => logit === -Infinity)) {
    return 'NaN, because no class has a finite logit: all classes are absent (-inf).';
  }
  if (count(logits, Infinity) > 1) {
    return 'NaN, because several classes have the logit inf, so their probabilities are undefined.';
  }
  return '';
}

/** The same including the loss. `targets` is the set of target classes. */
export function loss(name, logits, targets, smoothing) {
  const undefinedRow = probabilities(name, logits);
  if (undefinedRow !== '') {
    return undefinedRow;
  }
  const at = logits.findIndex((logit, index) => {
    // A class costs infinitely much if its probability is 0 and its target share is not.
    const costs = targets.has(index) || smoothing > 0;
    if (name === 'softmax') {
      const isAbsent = logit === -Infinity || (logit !== Infinity && count(logits, Infinity) === 1);
      return isAbsent && costs;
    }
    const share = (targets.has(index) ? 1 - smoothing : 0) + smoothing / 2;
    return (logit === -Infinity && share > 0) || (logit === Infinity && share < 1);
  });
  if (at === -1) {
    return '';
  }
  return name === 'softmax'
    ? `inf, because the target includes class ${at}, whose probability is 0.`
    : `inf, because class ${at} has the logit ${logits[at] > 0 ? 'inf' : '-inf'}, but its target differs.`;
}
