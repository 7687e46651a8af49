type Listener = (...args: never[]) => unknown

/** Calls listeners. One that throws does not keep the others, nor the client, from going on. */
export class Emitter<Events extends { [event: string]: unknown[] }> {
  #listeners = new Map<keyof Events, Set<Listener>>()

  /** @returns a function that removes the listener */
  on<Event extends keyof Events> (event: Event, listener: (...args: Events[Event]) => unknown): () => void {
    let listeners = this.#listeners.get(event)
    if (listeners === undefined) this.#listeners.set(event, listeners = new Set())
    listeners.add(listener as Listener)
    return () => { listeners.delete(listener as Listener) }
  }

  emit<Event extends keyof Events> (event: Event, ...args: Events[Event]): void {
    for (const listener of this.#listeners.get(event) ?? []) {
      try {
        listener(...args as unknown as never[])
      } catch (error) {
        // As an event of the platform does it: the page's handler of errors hears of it.
        queueMicrotask(() => { throw error })
      }
    }
  }

  clear (): void {
    this.#listeners.clear()
  }
}
