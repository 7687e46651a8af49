import { setImmediate as nextTurn, setTimeout as sleep } from 'node:timers/promises'
import type { Turns } from './plan.js'

/** Now and then a turn in which the loop has time to poll. */
const SLEEPS_EVERY = 8

export async function wait (turns: Turns): Promise<void> {
  for (let i = 1; i <= turns; i++) await (i % SLEEPS_EVERY === 0 ? sleep(1) : nextTurn())
}

/** Does something later, whatever is done until then. */
export function later (turns: Turns, act: () => unknown): void {
  wait(turns).then(act).catch((error: unknown) => process.nextTick(() => { throw error }))
}
