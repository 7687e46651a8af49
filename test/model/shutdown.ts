import type { RunLog } from './run-log.js'

/** Milliseconds beyond its bound: only what hangs takes that long. */
const SLACK = 8000

/** Closes all connections. */
export function closeServer (run: RunLog): void {
  begin(run, 'websocketServer.close()', async () => run.app.websocketServer.close())
}

/** Closes the app; also a second time. */
export function closeApp (run: RunLog): void {
  begin(run, 'app.close()', async () => run.app.close())
}

function begin (run: RunLog, what: string, close: () => Promise<unknown>): void {
  run.tell('elsewhere', what)
  run.isClosing = true
  for (const conversation of run.conversations) conversation.noteClosing()
  const startedAt = performance.now()
  const closed = close().then(() => {
    const took = performance.now() - startedAt
    run.tell('elsewhere', `${what} has resolved`)
    if (took > run.plan.closeTimeout + SLACK) run.fault('elsewhere', `${what} took ${took.toFixed(0)} ms`)
  }, (error: unknown) => run.fault('elsewhere', `${what} rejected with ${String(error)}`))
  run.closings.push(closed)
}
