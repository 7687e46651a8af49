import type { BroadcastOptions, WebSocketConnection } from '../../types/connection.js'
import type { Performer } from './acts.js'
import { contentOf } from './contents.js'
import type { Broadcast } from './plan.js'
import type { RunLog } from './run-log.js'

/** Shorter payloads are overwritten at once. */
const REFERENCE_FROM = 16 * 1024

/** Sends a message to many, and notes in advance who has to get it. @param app whose act it is, if it is of a connection */
export function broadcast (run: RunLog, act: Broadcast, app: Performer | null): void {
  const name = app?.log.name ?? 'elsewhere'
  const bytes = contentOf(act.id * 100, act.size, act.isBinary)
  const own = act.scope === 'route' ? app?.connection.route ?? null : null
  const scope = own ?? run.app.websocketServer
  const isOdd = (connection: WebSocketConnection): boolean => (run.outgoingOf(connection).conversation?.plan.id ?? 0) % 2 === 1
  const except = act.except === 'itself' && app !== null ? app.connection : act.except === 'some' ? [...scope.clients].filter(isOdd) : undefined
  const options: BroadcastOptions<WebSocketConnection> = { binary: act.isBinary, compress: act.compress }
  if (except !== undefined) options.except = except
  if (act.filter === 'some') options.filter = connection => !isOdd(connection)
  const failing = new Error('thrown by a filter')
  if (act.filter === 'throws') options.filter = () => { throw failing }

  const receivers: WebSocketConnection[] = []
  let isFiltered = false
  for (const connection of scope.clients) {
    if (Array.isArray(except) ? except.includes(connection) : except === connection) continue
    if (act.filter === 'throws') isFiltered = true
    if (act.filter === 'some' && isOdd(connection)) continue
    if (connection.readyState === connection.OPEN && !run.outgoingOf(connection).isFragmenting) receivers.push(connection)
  }
  run.tell(name, `broadcasts ${bytes.length} bytes to ${isFiltered ? 'nobody, its filter throws' : receivers.map(receiver => run.outgoingOf(receiver).conversation?.plan.id ?? 'somebody new').join(', ')}`)
  if (!isFiltered) for (const connection of receivers) run.outgoingOf(connection).events.push({ type: 'message', bytes, isBinary: act.isBinary })

  const data = Buffer.from(bytes)
  try {
    const count = scope.broadcast(data, options)
    if (isFiltered) run.fault(name, 'broadcast() returned, though the filter threw')
    else if (count !== receivers.length) run.fault(name, `broadcast() returned ${count} instead of ${receivers.length}`)
  } catch (error) {
    if (error !== failing || !isFiltered) run.fault(name, `broadcast() threw ${String(error)}`)
  }
  if (data.length < REFERENCE_FROM) data.fill(0xee)
}
