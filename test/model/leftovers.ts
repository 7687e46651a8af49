import { setTimeout as sleep } from 'node:timers/promises'
import type { RunLog } from './run-log.js'

/** Milliseconds: nothing takes that long to go but what stays. */
const PATIENCE = 3000

/** Resources of the wait itself and of the process's standard streams. */
const OWN = new Set(['Immediate', 'TTYWrap', 'PipeWrap'])

/** Counts the resources that keep the event loop alive, by kind. */
export function resourcesNow (): Map<string, number> {
  const counts = new Map<string, number>()
  for (const resource of process.getActiveResourcesInfo()) {
    if (!OWN.has(resource)) counts.set(resource, (counts.get(resource) ?? 0) + 1)
  }
  return counts
}

/** When the app has closed, nothing of it is left. */
export async function checkLeftovers (run: RunLog, before: ReadonlyMap<string, number>): Promise<void> {
  const { open, pending, queued } = run.app.websocketServer.stats
  if (open !== 0 || pending !== 0 || queued !== 0) run.fault('server', `${open} connections are open, ${pending} handshakes pending, ${queued} bytes queued`)
  if (run.app.websocketServer.clients.size > 0) run.fault('server', `${run.app.websocketServer.clients.size} clients`)
  const left = (): string[] => [...resourcesNow()].filter(([resource, count]) => count > (before.get(resource) ?? 0)).map(([resource, count]) => `${count} × ${resource}`)
  const until = performance.now() + PATIENCE
  while (left().length > 0 && performance.now() < until) await sleep(5)
  if (left().length > 0) run.fault('process', `left: ${left().join(', ')}`)
}
