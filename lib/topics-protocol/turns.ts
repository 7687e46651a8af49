import { isThenable } from '../thenable.js'

/** Runs tasks with the same key one after the other, and others at the same time. */
export class Turns {
  private readonly last = new Map<string, Promise<unknown>>()

  /** @param task runs now if no task with its key is running. It neither throws nor rejects */
  run (key: string, task: () => unknown): void {
    const before = this.last.get(key)
    const result = before === undefined ? task() : before.then(task)
    if (!isThenable(result)) return
    const turn: Promise<unknown> = Promise.resolve(result).then(() => {
      if (this.last.get(key) === turn) this.last.delete(key)
    })
    this.last.set(key, turn)
  }
}
