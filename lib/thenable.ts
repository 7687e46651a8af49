/**
 * Promises of users' functions: native ones, those of another realm, and whatever else has a `then`. `instanceof Promise`
 * recognizes the first kind alone, and takes a thenable for an answer; the linter forbids it.
 */

/** Whether a value settles later. Its `then` is not read: it may be a getter, which `toPromise` reads once. */
export function isThenable (value: unknown): value is PromiseLike<unknown> {
  if ((typeof value !== 'object' && typeof value !== 'function') || value === null) return false
  try {
    return 'then' in value
  } catch {
    // A Proxy that throws: `toPromise` rejects with that.
    return true
  }
}

/** A promise that settles once, whatever the thenable calls, and rejects with what its `then` throws. */
export function toPromise<T> (thenable: PromiseLike<T>): Promise<T> {
  return new Promise(resolve => resolve(thenable))
}

/** Continues with a value: at once if it is there, or when it has settled. */
export function whenSettled<T, R> (value: T | PromiseLike<T>, next: (value: T) => R | Promise<R>): R | Promise<R> {
  return isThenable(value) ? toPromise(value as PromiseLike<T>).then(next) : next(value)
}

/** Reports the rejection of what a user's function returned, if it is a thenable. */
export function catchRejection (returned: unknown, report: (error: unknown) => void): void {
  if (isThenable(returned)) toPromise(returned).catch(report)
}
