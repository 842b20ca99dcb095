// Wraps the module: its numbers and memory become arrays, text and exceptions.

/** An invalid input: its field, and the reason. */
export class Refused extends Error {
  constructor(field, message) {
    super(message);
    this.field = field;
  }
}

/** The fields that the error codes of the module refer to. */
const FIELDS = [undefined, 'logits', 'target', 'smoothing'];

export class Xent {
  #exports;
  #logits;
  #targets;

  static async load(url) {
    const { instance } = await WebAssembly.instantiateStreaming(fetch(url));
    return new Xent(instance.exports);
  }

  constructor(exports) {
    this.#exports = exports;
    this.capacity = exports.xent_capacity();
    // The memory never grows, so these views stay valid.
    const { buffer } = exports.memory;
    this.#logits = new Float32Array(buffer, exports.xent_logits(), this.capacity);
    this.#targets = new Int32Array(buffer, exports.xent_targets(), this.capacity);
  }

  /** `loss` is "softmax", with one target, or "sigmoid", with any number of them. */
  compute(loss, logits, targets, smoothing) {
    const { memory, ...xent } = this.#exports;
    if (logits.length > this.capacity) {
      const [found, room] = [logits.length, this.capacity].map((n) => n.toLocaleString('en'));
      throw new Refused('logits', `There are ${found} logits, and this page has room for ${room}.`);
    }
    if (targets.length > logits.length) {
      throw new Refused('target', 'There are more targets than classes.');
    }
    const count = logits.length;
    this.#logits.set(logits);
    this.#targets.set(targets);
    const outcome = loss === 'softmax'
      ? xent.xent_softmax(count, smoothing)
      : xent.xent_sigmoid(count, targets.length, smoothing);
    if (outcome !== 0) {
      const text = this.#text();
      throw new Refused(FIELDS[outcome], `${text[0].toUpperCase()}${text.slice(1)}.`);
    }
    return {
      loss: xent.xent_loss(),
      logSumExp: xent.xent_log_sum_exp(count),
      // Copies, since the next row is computed in the same buffers.
      probabilities: new Float32Array(memory.buffer, xent.xent_probabilities(), count).slice(),
      gradient: new Float32Array(memory.buffer, xent.xent_gradient(), count).slice(),
    };
  }

  /** The fewest digits that identify this f32. */
  format(value) {
    this.#exports.xent_format(value);
    return this.#text();
  }

  level() {
    this.#exports.xent_level();
    return this.#text();
  }

  #text() {
    const { memory, xent_text, xent_text_length } = this.#exports;
    return new TextDecoder().decode(new Uint8Array(memory.buffer, xent_text(), xent_text_length()));
  }
}
