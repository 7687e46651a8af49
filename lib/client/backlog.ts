import { ClientError } from './errors.js'

/** Counts messages that wait, within limits. */
export class Limits {
  readonly #messages: number
  readonly #bytes: number
  #count = 0
  #size = 0

  constructor ({ messages = 1_000, bytes = 1_048_576 }: { messages?: number | undefined, bytes?: number | undefined } = {}) {
    this.#messages = messages
    this.#bytes = bytes
  }

  /** @returns a function that gives the place back @throws {ClientError} `outbox` if there is none */
  take (text: string): () => void {
    const size = new TextEncoder().encode(text).length
    if (this.#count >= this.#messages || this.#size + size > this.#bytes) {
      throw new ClientError('outbox', `${this.#count} messages of ${this.#size} bytes wait to be sent already`)
    }
    this.#count++
    this.#size += size
    return () => {
      this.#count--
      this.#size -= size
    }
  }
}
