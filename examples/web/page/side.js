// A row of logits: its fields, and the file that it may come from.

import * as read from './read.js';
import { Refused } from './xent.js';

export class Side {
  #format;
  #prefix;
  #group;
  /** The file whose row is in the field, if there is one. */
  #chosen;
  /** If several files are being read, the last one wins. */
  #turn = 0;

  /** The fields of this group, whose ids begin with the prefix. `format` writes an f32 with the fewest digits. */
  constructor(group, prefix, format) {
    this.#group = group;
    this.#prefix = prefix;
    this.#format = format;
  }

  #field(name) {
    return this.#group.querySelector(`#${this.#prefix}${name}`);
  }

  /** Runs a function whose errors are about a field of this side. */
  about(run) {
    try {
      return run();
    } catch (error) {
      if (error instanceof Refused) {
        error.field = this.#prefix + error.field;
      }
      throw error;
    }
  }

  has(element) {
    return this.#group.contains(element);
  }

  get areIntegers() {
    return this.#field('integers').checked;
  }

  /** The step of the integers, or undefined. */
  get scale() {
    return this.areIntegers ? Math.fround(Number(this.#field('scale').value)) : undefined;
  }

  /** The logits as f32. */
  logits() {
    const text = (name) => this.#field(name).value;
    return this.about(() => (this.areIntegers
      ? read.integers(text('logits'), text('scale'), text('zero-point'))
      : read.logits(text('logits'))));
  }

  /** Reacts to a field that was changed. Returns whether another row was chosen. */
  changed(element) {
    this.#field('quantisation').hidden = !this.areIntegers;
    if (element === this.#field('logits')) {
      this.forget();
    }
    return element === this.#field('row');
  }

  /** Forgets the file. */
  forget() {
    this.#chosen = undefined;
    this.#field('file-note').textContent = '';
    this.#field('row-line').hidden = true;
  }

  /** Puts a file's first row into the field. Returns whether it did: later files may have come first. */
  async open(file) {
    this.#turn += 1;
    const mine = this.#turn;
    const found = await read.file(file, this.areIntegers).catch((error) => error);
    if (mine !== this.#turn) {
      return false;
    }
    return this.about(() => {
      try {
        if (found instanceof Error) {
          throw found;
        }
        this.#chosen = { name: file.name, ...found };
        this.#field('integers').checked = found.areIntegers ?? this.areIntegers;
        this.#field('quantisation').hidden = !this.areIntegers;
        this.#take(0);
      } catch (error) {
        this.forget();
        throw error;
      }
      this.#field('row').value = 0;
      this.#field('row').max = found.rows - 1;
      this.#field('row-line').hidden = found.rows === 1;
      return true;
    });
  }

  /** Shows the row of the file that was typed. */
  choose() {
    this.about(() => this.#take(read.row(this.#field('row').value, this.#chosen.rows)));
  }

  /** Shows the row of the same number as the other side, if both files have as many. Returns whether they have. */
  follow(other) {
    const rows = this.#chosen?.rows;
    if (rows === undefined || rows !== other.#chosen?.rows) {
      return false;
    }
    this.#field('row').value = other.#field('row').value;
    this.choose();
    return true;
  }

  #take(index) {
    const { name, rows, row } = this.#chosen;
    const numbers = row(index);
    const text = (number) => (typeof number === 'string' ? number : this.#digits(number));
    this.#field('logits').value = numbers.map(text).join(', ');
    const count = numbers.length === 1 ? '1 logit' : `${numbers.length.toLocaleString('en')} logits`;
    this.#field('file-note').textContent = `${name}: ${count}${
      rows > 1 ? `, row ${index} of ${rows.toLocaleString('en')} (0 to ${rows - 1})` : ''}`;
  }

  /** A number of a file, as it would be typed: as f32 with the fewest digits, unless it is too large for f32. */
  #digits(number) {
    const value = Math.fround(number);
    const isTooLarge = Number.isFinite(number) && !Number.isFinite(value);
    return isTooLarge || this.areIntegers ? String(number) : this.#format(value);
  }
}

/** A copy of the fields, whose ids begin with a prefix. */
export function copyOf(group, prefix, legend) {
  const copy = group.cloneNode(true);
  const all = [copy, ...copy.querySelectorAll('*')];
  for (const element of all) {
    for (const name of ['id', 'for', 'aria-describedby']) {
      const ids = element.getAttribute(name)?.split(' ').map((id) => prefix + id);
      if (ids) {
        element.setAttribute(name, ids.join(' '));
      }
    }
  }
  copy.querySelector('legend').textContent = legend;
  copy.querySelector('textarea').value = '';
  return copy;
}
