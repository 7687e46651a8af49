/** The values that one `for await` loop has not taken yet. */
export class Queue<T> implements AsyncIterableIterator<T> {
  #items: T[] = []
  #waiting: Array<{ resolve: (result: IteratorResult<T>) => void, reject: (error: Error) => void }> = []
  #end: { error: Error | null } | null = null
  readonly #onReturn: (queue: Queue<T>) => void

  /** @param onReturn the loop is over */
  constructor (onReturn: (queue: Queue<T>) => void) {
    this.#onReturn = onReturn
  }

  push (value: T): void {
    const waiting = this.#waiting.shift()
    if (waiting === undefined) this.#items.push(value)
    else waiting.resolve({ value, done: false })
  }

  /** The loop ends behind what it has not taken yet, or throws the error there. */
  end (error: Error | null): void {
    this.#end ??= { error }
    for (const { resolve, reject } of this.#waiting.splice(0)) error === null ? resolve({ value: undefined, done: true }) : reject(error)
  }

  next (): Promise<IteratorResult<T>> {
    if (this.#items.length > 0) return Promise.resolve({ value: this.#items.shift()!, done: false })
    if (this.#end === null) return new Promise((resolve, reject) => { this.#waiting.push({ resolve, reject }) })
    const { error } = this.#end
    this.#end = { error: null }
    return error === null ? Promise.resolve({ value: undefined, done: true }) : Promise.reject(error)
  }

  return (): Promise<IteratorResult<T>> {
    this.#items = []
    this.end(null)
    this.#onReturn(this)
    return Promise.resolve({ value: undefined, done: true })
  }

  [Symbol.asyncIterator] (): this {
    return this
  }
}
