// The assertions of the type tests. They exist for the compiler alone: no file with one of them is ever run.
//
// `npm run typecheck` checks them. An assertion that does not hold makes its own call an error: the call then lacks an
// argument, whose name says what is wrong. What must not compile at all stands under `@ts-expect-error` instead.

/** Whether two types are identical: `any` is identical to `any` only, and a modifier that differs counts. */
export type Equal<A, B> = (<T>() => T extends A ? 1 : 2) extends (<T>() => T extends B ? 1 : 2) ? true : false

/** `expectType<T>()(value)`: the type of `value` is T, no narrower and no wider. */
export declare function expectType<Expected> (): <Actual>(
  value: Actual, ...wrong: Equal<Actual, Expected> extends true ? [] : [typeDiffers: Expected]
) => void

/** `expectNotType<T>()(value)`: the type of `value` is not exactly T. */
export declare function expectNotType<Unexpected> (): <Actual>(
  value: Actual, ...wrong: Equal<Actual, Unexpected> extends true ? [typeIsTheSame: never] : []
) => void

/** `expectAssignable<T>(value)`: `value` may stand where T is wanted. */
export declare function expectAssignable<Target> (value: Target): void

/** `expectNotAssignable<T>()(value)`: `value` may not stand where T is wanted. */
export declare function expectNotAssignable<Target> (): <const Actual>(
  value: Actual, ...wrong: [Actual] extends [Target] ? [isAssignable: never] : []
) => void
