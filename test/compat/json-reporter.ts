import type { TestEvent } from 'node:test/reporters'

/** How one test has ended. */
export interface TestResult {
  name: string
  passed: boolean
  /** What was wrong; empty if nothing was. */
  error: string
}

/** A reporter of Node's test runner: a line of JSON for each test. */
export default async function * report (events: AsyncIterable<TestEvent>): AsyncGenerator<string> {
  for await (const { type, data } of events) {
    if ((type !== 'test:pass' && type !== 'test:fail') || data.nesting !== 0) continue
    const result: TestResult = { name: data.name, passed: type === 'test:pass', error: type === 'test:pass' ? '' : describe(data.details.error) }
    yield `${JSON.stringify(result)}\n`
  }
}

function describe (error: Error): string {
  return error.cause instanceof Error ? error.cause.message : error.message
}
