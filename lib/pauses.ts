/** Options of pauses. */
export interface PauseOptions {
  /** Milliseconds of the first pause. */
  readonly first: number
  /** Milliseconds of the longest. */
  readonly most: number
  /** The part of each pause that is random, from 0 to 1: those who have failed together do not try again together. */
  readonly jitter: number
}

/** The pauses before something that failed is tried again: each is twice as long as the one before, up to a limit. */
export class Pauses {
  readonly #options: PauseOptions
  #failures = 0

  constructor (options: PauseOptions) {
    this.#options = options
  }

  get most (): number { return this.#options.most }

  /** @returns milliseconds */
  next (): number {
    const { first, most, jitter } = this.#options
    return Math.min(first * 2 ** this.#failures++, most) * (1 - jitter + jitter * Math.random())
  }

  /** It has succeeded. */
  reset (): void {
    this.#failures = 0
  }
}
