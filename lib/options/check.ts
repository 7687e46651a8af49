import { describe, OptionError } from '../errors.js'

/** Checks the value of an option and returns the value to use. `name` begins the message of the error. */
export type Check<T> = (value: unknown, name: string) => T

/** One check for each option of an object. */
export type Checks<T extends object> = { readonly [K in keyof T]-?: Check<NonNullable<T[K]>> }

/** The longest delay of `setTimeout`, in milliseconds: a longer one fires at once. */
const MAX_TIMEOUT = 2 ** 31 - 1

/** @throws {OptionError} in the one form that all of them have */
export function refuse (name: string, expected: string, value: unknown): never {
  throw new OptionError(`${name} must be ${expected}, not ${describe(value)}`)
}

/** @param expected completes "must be …" */
export function check<T> (expected: string, isValid: (value: unknown) => boolean): Check<T> {
  return (value, name) => isValid(value) ? value as T : refuse(name, expected, value)
}

/** Checks an object of options, for which the literals may stand as well. */
export function nested<T extends object, Literal = never> (checks: Checks<T>, expected: string, ...literals: Literal[]): Check<T | Literal> {
  return (value, name) => {
    if (literals.includes(value as Literal)) return value as Literal
    if (!isObject(value)) return refuse(name, expected, value)
    return checkOptions(checks, value, `${name}: `)
  }
}

/**
 * Checks each option of an object; `undefined` stands for the default.
 *
 * @param context begins the name of each option in an error
 * @param ignored options that Fastify itself reads from the same object
 */
export function checkOptions<T extends object> (checks: Checks<T>, options: object, context: string, ignored: readonly string[] = []): T {
  const checked: Record<string, unknown> = {}
  for (const [name, value] of Object.entries(options)) {
    if (value === undefined || ignored.includes(name)) continue
    if (!Object.hasOwn(checks, name)) {
      throw new OptionError(`${context}unknown option '${name}'; there are ${Object.keys(checks).join(', ')}`)
    }
    checked[name] = checks[name as keyof T](value, `${context}option '${name}'`)
  }
  return checked as T
}

export function isObject (value: unknown): value is object {
  return typeof value === 'object' && value !== null && !Array.isArray(value)
}

export function isIntegerFrom (min: number, max = Number.MAX_SAFE_INTEGER): (value: unknown) => value is number {
  return (value): value is number => typeof value === 'number' && Number.isSafeInteger(value) && value >= min && value <= max
}

function orInfinity (isValid: (value: unknown) => boolean): (value: unknown) => boolean {
  return value => value === Infinity || isValid(value)
}

export const isTimeout = isIntegerFrom(1, MAX_TIMEOUT)
export const TIMEOUT = `a number of milliseconds, an integer from 1 to ${MAX_TIMEOUT}`

export const checkTimeout = check<number>(TIMEOUT, isTimeout)
export const checkBytes = check<number>('a number of bytes, an integer from 0 to 2^53 - 1, or Infinity', orInfinity(isIntegerFrom(0)))
export const checkCount = (what: string): Check<number> =>
  check(`a number of ${what}, an integer from 1 to 2^53 - 1, or Infinity`, orInfinity(isIntegerFrom(1)))
export const checkInteger = (min: number, max = Number.MAX_SAFE_INTEGER): Check<number> => check(`an integer from ${min} to ${max}`, isIntegerFrom(min, max))
export const checkBoolean = check<boolean>('true or false', value => typeof value === 'boolean')
export const checkText = check<string>('a string that is not empty', value => typeof value === 'string' && value !== '')
export const checkUri = check<string>('an absolute URI', value => typeof value === 'string' && URL.canParse(value))

export function checkFunction<T extends (...args: never[]) => unknown> (value: unknown, name: string): T {
  return typeof value === 'function' ? value as T : refuse(name, 'a function', value)
}

export function checkObject<T extends object> (value: unknown, name: string): T {
  return isObject(value) ? value as T : refuse(name, 'an object', value)
}

export function checkArray<T> (value: unknown, name: string): T[] {
  return Array.isArray(value) ? value as T[] : refuse(name, 'an array', value)
}
