// The part of their runner that Fastify's own type tests use, as types alone: the call of an assertion that does not
// hold does not compile.

type Same<A, B> = (<T>() => T extends A ? 1 : 2) extends (<T>() => T extends B ? 1 : 2) ? true : false

interface Matchers<T> {
  toBe<U> (...fails: Same<T, U> extends true ? [] : [differs: never]): void
  toBeAssignableTo<U> (...fails: T extends U ? [] : [notAssignable: never]): void
  toBeAssignableFrom<U> (...fails: U extends T ? [] : [notAssignable: never]): void
  toHaveProperty (key: keyof T): void
}

interface NegatedMatchers<T> {
  toBe<U> (...fails: Same<T, U> extends true ? [same: never] : []): void
  toBeAssignableTo<U> (...fails: T extends U ? [assignable: never] : []): void
  toBeAssignableFrom<U> (...fails: U extends T ? [assignable: never] : []): void
  toHaveProperty (key: PropertyKey): void
  /** Cannot be said of overloads in types. */
  toBeCallableWith (...args: unknown[]): void
}

interface Expectation<T> {
  type: Matchers<T> & { not: NegatedMatchers<T> }
}

export function expect<T> (value: T): Expectation<T>
export function expect<T> (): Expectation<T>
export function test (name: string, body: () => unknown): void
export function describe (name: string, body: () => unknown): void
