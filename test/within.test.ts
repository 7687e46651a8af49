import { mock } from 'node:test'
import t from 'tap'
import { within } from '../lib/within.js'

t.beforeEach(() => mock.timers.enable({ apis: ['setTimeout'] }))
t.afterEach(() => mock.timers.reset())

const never = new Promise<void>(() => {})

t.test('it ends as the promise does', async t => {
  await t.resolves(within(1_000, Promise.resolve()))
  await t.rejects(within(1_000, Promise.reject(new Error('failed')), () => new Error('late')), { message: 'failed' })
})

t.test('after the time it resolves, or rejects with the error that is made then', async t => {
  let made = 0
  const resolved = within(1_000, never)
  const rejected = within(1_000, never, () => new Error(`late ${++made}`))
  mock.timers.tick(999)
  t.equal(made, 0)
  mock.timers.tick(1)
  await t.resolves(resolved)
  await t.rejects(rejected, { message: 'late 1' })
})

t.test('a promise that rejects after the time is no unhandled rejection', async t => {
  const unhandled: unknown[] = []
  const onUnhandled = (reason: unknown): void => { unhandled.push(reason) }
  process.on('unhandledRejection', onUnhandled)
  t.teardown(() => process.off('unhandledRejection', onUnhandled))
  let fail!: (reason: Error) => void
  const late = within(1_000, new Promise((_resolve, reject) => { fail = reject }))
  mock.timers.tick(1_000)
  await late
  fail(new Error('too late'))
  await new Promise(resolve => setImmediate(resolve))
  t.strictSame(unhandled, [])
})
