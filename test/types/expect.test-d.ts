import { expectAssignable, expectNotAssignable, expectNotType, expectType } from './expect.js'

// Each assertion can fail: the compiler rejects the calls under `@ts-expect-error`, and this file if it does not.

declare const any: any
declare const unknown: unknown
declare const never: never
declare const text: string
declare const literal: 'a'
declare const optional: { a?: string }
declare const readonly: { readonly a: string }
declare const union: string | number

expectType<string>()(text)
expectType<'a'>()(literal)
expectType<any>()(any)
expectType<never>()(never)
expectType<unknown>()(unknown)
expectType<{ a?: string }>()(optional)
expectType<number | string>()(union)
expectType<Promise<string>>()(Promise.resolve(text))
// @ts-expect-error narrower
expectType<string>()(literal)
// @ts-expect-error wider
expectType<'a'>()(text)
// @ts-expect-error any is no string
expectType<string>()(any)
// @ts-expect-error a string is not any
expectType<any>()(text)
// @ts-expect-error nor is never
expectType<any>()(never)
// @ts-expect-error never is assignable to string, and still another type
expectType<string>()(never)
// @ts-expect-error any is not never
expectType<never>()(any)
// @ts-expect-error any is not unknown
expectType<unknown>()(any)
// @ts-expect-error an optional member
expectType<{ a: string | undefined }>()(optional)
// @ts-expect-error a readonly member
expectType<{ a: string }>()(readonly)
// @ts-expect-error one of a union
expectType<string>()(union)
// @ts-expect-error a Promise of something else
expectType<Promise<number>>()(Promise.resolve(text))

expectNotType<string>()(literal)
expectNotType<string>()(any)
// @ts-expect-error the same
expectNotType<string>()(text)

expectAssignable<string>(literal)
expectAssignable<{ a: string }>(readonly)
// @ts-expect-error wider
expectAssignable<'a'>(text)
// @ts-expect-error not all of a union
expectAssignable<string>(union)
// @ts-expect-error a member too many in a literal
expectAssignable<{ a: string }>({ a: 'a', b: 'b' })

expectNotAssignable<'a'>()(text)
expectNotAssignable<{ a: 'x' | 'y' }>()({ a: 'z' })
// @ts-expect-error it is
expectNotAssignable<string>()(text)
// @ts-expect-error it is
expectNotAssignable<string>()('b')
// @ts-expect-error a literal keeps its type
expectNotAssignable<{ a: 'x' | 'y' }>()({ a: 'x' })
// @ts-expect-error any is assignable to everything
expectNotAssignable<string>()(any)
