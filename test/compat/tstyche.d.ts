// What the published tests of the types use of their runner, as types alone: where an assertion does not hold, its call
// does not compile.

type Same<A, B> = (<T>() => T extends A ? 1 : 2) extends (<T>() => T extends B ? 1 : 2) ? true : false

interface Matchers<T> {
  toBe<U> (...fails: Same<T, U> extends true ? [] : [differs: never]): void
  /** With a value whose type it has to be. */
  toBe<U> (value: U, ...fails: Same<T, U> extends true ? [] : [differs: never]): void
}

export function expect<T> (value: T): { type: Matchers<T> }
