import nodeTest, { type TestContext, type TestOptions } from 'node:test'

// Loaded before the published test files. Node's runner would wait for ever where an assertion has failed in a listener whose
// errors the plugin catches, and would not see it fail where nothing waits for it: here the first assertion that
// fails ends its test.

/** Against hanging. */
const TIMEOUT = 60_000

/** For the tests that are known to wait for what never comes. */
const TIMEOUT_OF_HANGING = 1_500

const hanging: readonly string[] = JSON.parse(process.env.HANGING_TESTS ?? '[]')

type Body = (context: TestContext, done: (error?: unknown) => void) => unknown
type Assertions = Record<string, (...args: unknown[]) => unknown>

const { test } = nodeTest

nodeTest.test = function (name: string, ...rest: [TestOptions, Body] | [Body]): Promise<void> {
  const body = rest.at(-1) as Body
  const options = rest.length === 2 ? rest[0] : {}
  // Whoever requires the file says which it is.
  const file = process.env.TEST_FILE!
  const timeout = hanging.includes(name) ? TIMEOUT_OF_HANGING : TIMEOUT
  return test(`${file}: ${name}`, { timeout, ...options }, context => untilFirstFailure(body, context))
} as typeof nodeTest.test

async function untilFirstFailure (body: Body, context: TestContext): Promise<void> {
  const assertions: unknown[] = []
  await new Promise<void>((resolve, reject) => {
    const done = (error?: unknown): void => {
      if (error === undefined || error === null) resolve()
      else reject(error)
    }
    const noting = noteFailures(context, reject, assertions)
    if (body.length === 2) body(noting, done)
    else Promise.resolve(body(noting, done)).then(() => resolve(), reject)
  })
  await Promise.all(assertions)
}

/** The context with assertions that tell of their failure, whoever catches it; `results` are what they have returned. */
function noteFailures (context: TestContext, onFailure: (error: unknown) => void, results: unknown[]): TestContext {
  const note = (assertion: (...args: unknown[]) => unknown) => (...args: unknown[]): unknown => {
    try {
      const result = assertion(...args)
      results.push(result)
      return result
    } catch (error) {
      onFailure(error)
      throw error
    }
  }
  return new Proxy(context, {
    get (target, name) {
      const value: unknown = Reflect.get(target, name, target)
      // Not before the test asks for it: by then it has said how many there will be.
      if (name === 'assert') return new Proxy(value as Assertions, { get: (assertions, method: string) => note(assertions[method]!) })
      return typeof value === 'function' ? value.bind(target) : value
    }
  })
}
