import type { WebSocketConnection } from '../../types/connection.js'
import { perform, type How, type Performer } from './acts.js'
import type { ConversationLog, Outgoing } from './conversation-log.js'
import { runPhases } from './phases.js'
import type { Moment } from './plan.js'
import { later } from './wait.js'

/** The events that belong to a connection. All others belong to its EventEmitter. */
const EVENTS = ['message', 'json', 'close', 'error', 'ping', 'pong', 'drain']

/** The app's side of a conversation: does at each moment what its plan says, and notes what it sees. */
export class BadApp implements Performer {
  readonly log: ConversationLog
  readonly connection: WebSocketConnection
  readonly outgoing: Outgoing
  private readonly counts = new Map<Moment, number>()
  private onOver: () => void = () => {}
  /** Resolves when `close` was emitted. */
  readonly over = new Promise<void>(resolve => { this.onOver = resolve })

  constructor (log: ConversationLog, connection: WebSocketConnection) {
    this.log = log
    this.connection = connection
    this.outgoing = log.run.outgoingOf(connection)
    this.outgoing.conversation = log
    log.outgoing = this.outgoing
    log.connection = connection
  }

  /** The handler of the route. */
  handle (): unknown {
    const { log, connection } = this
    log.tell('app: its handler is called')
    this.watch()
    for (const event of ['ping', 'pong', 'drain', 'error'] as const) {
      if (log.plan.app.rules.some(rule => rule.on === event)) connection.on(event, () => this.fire(event))
    }
    const { closeListener } = log.plan.app
    if (closeListener === 'at once') this.listenForClose()
    else if (closeListener === 'late') later(30, () => this.listenForClose())
    for (const rule of log.plan.app.rules) {
      if (rule.on === 'turn') later(rule.nth, () => perform(this, rule.acts, { mayThrow: false }))
    }
    return this.start(log.plan.app.handler === 'async')
  }

  private start (isAsync: boolean): unknown {
    const { log } = this
    let opened: unknown
    try {
      opened = this.fire('open', { isLoop: isAsync, isHandler: true })
    } catch (error) {
      log.settle()
      log.appIsOver = true
      throw error
    }
    const phases = opened !== undefined && isAsync ? Promise.resolve(opened).then(async () => runPhases(this)) : runPhases(this)
    const done = (): void => {
      log.appIsOver = true
    }
    if (isAsync) {
      phases.finally(() => log.settle()).then(done, done)
      return phases
    }
    log.settle()
    if (typeof opened === 'object' && opened !== null && !(opened instanceof Promise)) log.neverSettles = true
    phases.then(done, error => {
      done()
      log.fault(`the model itself: ${String((error as Error).stack)}`)
    })
    return opened
  }

  private listenForClose (): void {
    this.connection.on('close', () => this.fire('close'))
  }

  /** @returns what a listener returns */
  fire (moment: Moment, how: Partial<How> = {}): unknown {
    const nth = this.counts.get(moment) ?? 0
    this.counts.set(moment, nth + 1)
    const acts = this.log.plan.app.rules.filter(rule => rule.on === moment && rule.nth === nth).flatMap(rule => rule.acts)
    return acts.length === 0 ? undefined : perform(this, acts, { mayThrow: true, ...how })
  }

  /** Sees each event when it is emitted, whoever hears it. */
  private watch (): void {
    const { log, connection } = this
    const emit = connection.emit as (event: string, ...args: unknown[]) => boolean
    const seen = (event: string, ...args: unknown[]): boolean => {
      if (EVENTS.includes(event)) this.onEvent(event, args)
      return emit.call(connection, event, ...args)
    }
    Object.defineProperty(connection, 'emit', { value: seen })
    connection.signal.addEventListener('abort', () => log.noteClosing())
  }

  private onEvent (event: string, args: unknown[]): void {
    const { log, connection } = this
    if (connection.readyState !== connection.OPEN) log.noteClosing()
    if (log.closeEvents.length > 0) log.fault(`${event} behind close`)
    if (log.isTerminated && event !== 'close' && event !== 'error') log.fault(`${event} after terminate()`)
    switch (event) {
      case 'close': {
        const [code, reason] = args as [number, Buffer]
        log.tell(`app: close ${code} ${reason.toString()}`)
        log.closeEvents.push({ code, reason: reason.toString() })
        log.noteOver()
        this.onOver()
        break
      }
      case 'error':
        log.tell(`app: error ${(args[0] as Error).message}`)
        log.errorEvents.push(args[0] as Error)
        break
      case 'ping': {
        const expected = log.pings[log.pingsHeard++]
        if (expected === undefined || !(args[0] as Buffer).equals(expected)) log.fault(`ping ${String(args[0])} instead of ${String(expected)}`)
        break
      }
      case 'pong':
        if (!/^(app|client) /.test(String(args[0]))) log.fault(`a pong that is for nobody: ${(args[0] as Buffer).toString('hex')}`)
        break
      case 'drain':
        if (!log.owesDrain) log.fault('drain, though send() returned true')
        log.owesDrain = false
        break
      default:
        // A view of a connection that is closed takes what is left, however full it is.
        if (connection.isPaused && connection.readyState !== connection.CLOSED) log.fault(`${event} while paused`)
    }
  }
}
