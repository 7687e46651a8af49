// The part of Node's Buffer that cases.mjs uses.
/** `Buffer.from` is that of Uint8Array, but takes an ArrayBuffer too. */
export class Buffer extends Uint8Array {
  static isBuffer (value) {
    return value instanceof Buffer
  }

  static from (value, map) {
    return value instanceof ArrayBuffer ? new Buffer(value) : super.from(value, map)
  }

  static alloc (length) {
    return new Buffer(length)
  }

  equals (other) {
    return this.length === other.length && this.every((byte, i) => byte === other[i])
  }
}
