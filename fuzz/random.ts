/** A seeded generator (sfc32): the same seed gives the same numbers on every machine. */
export class Random {
  private a: number
  private b: number
  private c: number
  private counter = 1

  constructor (seed: number) {
    this.a = seed >>> 0
    this.b = Math.imul(seed, 0x9e3779b9) >>> 0
    this.c = ~seed >>> 0
    for (let i = 0; i < 12; i++) this.next()
  }

  /** An unsigned integer of 32 bits. */
  next (): number {
    const sum = (this.a + this.b + this.counter++) | 0
    this.a = this.b ^ (this.b >>> 9)
    this.b = (this.c + (this.c << 3)) | 0
    this.c = ((this.c << 21) | (this.c >>> 11)) + sum | 0
    return sum >>> 0
  }

  /** 0 to `limit` - 1. */
  below (limit: number): number {
    return this.next() % limit
  }

  chance (probability: number): boolean {
    return this.next() < probability * 0x100000000
  }

  pick<T> (choices: readonly T[]): T {
    return choices[this.below(choices.length)]!
  }

  bytes (length: number): Buffer {
    const bytes = Buffer.allocUnsafe(length)
    for (let i = 0; i < length; i++) bytes[i] = this.next() >>> 24
    return bytes
  }
}

/** A number that depends on all bytes: what is done with an input depends on nothing else, so that it can be done again. */
export function hashOf (bytes: Uint8Array): number {
  let hash = 0x811c9dc5
  for (const byte of bytes) hash = Math.imul(hash ^ byte, 0x01000193)
  return hash >>> 0
}
