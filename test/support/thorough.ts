/** Whether there is time for more than the suite has, as in `.ci/run`: `THOROUGH=1`. */
export const IS_THOROUGH = process.env.THOROUGH !== undefined

/** So many in the suite, and so many more where there is time. */
export function many<T> (inSuite: T, thorough: T): T {
  return IS_THOROUGH ? thorough : inSuite
}

/** For a test that needs not be run each time. */
export const ONLY_THOROUGH = { skip: !IS_THOROUGH && 'only with THOROUGH set' }
