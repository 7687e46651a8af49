import type { Duplex } from 'node:stream'
import type { WebSocketConnection } from '../../types/connection.js'
import type { AsyncContext } from '../async-context.js'
import { EMPTY } from '../common.js'
import { MessageTooBigError, type InvalidMessageError, type WebSocketError } from '../errors.js'
import { CloseCode } from '../protocol/close-codes.js'
import type { FrameDecoder } from '../protocol/frame-decoder.js'
import type { FrameSink } from '../protocol/frame-sink.js'
import { catchRejection } from '../thenable.js'
import { AppCalls, toError } from './app-calls.js'
import { isClosed, mayDeliver, maySend, readyStateOf, transition, wasClean, type CloseAction, type CloseEvent, type CloseState } from './close-handshake.js'
import { CompressedMessages, type CompressedMessagesOwner } from './compressed-messages.js'
import { borrowDecoder, endDecoder, feed, returnDecoder } from './decoders.js'
import type { ConnectionHost, HostedSession, PongWatcher } from './host.js'
import type { JsonMessages } from './json-messages.js'
import { destroySocket, giveUp, reportFailure, rethrow } from './later.js'
import { Mailbox, type MailboxOwner } from './mailbox.js'
import { Outbox, type OutboxOwner } from './outbox.js'
import { checkClose, truncateReason } from './payload.js'
import { Extras, type ExtrasOwner } from './extras.js'
import { HELD_BY_APP, PauseReason } from './pause-reason.js'
import { pauseReads } from '../socket/pause-reads.js'
import { RateLimit } from './rate-limit.js'
import type { Agreement, ConnectionSettings } from './settings.js'
import { listenToSocket, readSocket, type SocketUser } from './socket-events.js'

/** The arguments of `close`, in the form of a Close frame (RFC 6455 §7.1.5). */
const NO_CLOSE_FRAME = { code: CloseCode.ABNORMAL_CLOSURE as number, reason: EMPTY as Buffer }

type Roles = HostedSession & FrameSink & MailboxOwner & OutboxOwner & CompressedMessagesOwner & SocketUser & ExtrasOwner

/**
 * The engine of a connection: it connects the socket, the decoder, the mailbox and the outbox, and ends the connection.
 * The object that a handler gets is a façade of it.
 */
export class Session extends AppCalls implements Roles {
  readonly socket: Duplex
  readonly host: ConnectionHost | null
  readonly mailbox: Mailbox
  readonly outbox: Outbox
  readonly settings: ConnectionSettings
  messagesReceived = 0
  bytesReceived = 0
  messagesSent = 0
  bytesSent = 0
  watcher: PongWatcher | null = null
  /** Where the session is in the lists of the server and of the route; -1 if it is not. */
  place = -1
  routePlace = -1
  /** Whether anything has come since the watcher looked. */
  hasHeard = false
  /** Bits of `PauseReason`. */
  pauseReasons = 0
  /** None while a new one would do, as between messages. */
  private lent: FrameDecoder | null = null
  private readonly rateLimit: RateLimit | null
  private readonly compressed: CompressedMessages | null
  private state: CloseState = 'open'
  private failure: WebSocketError | null = null
  end = NO_CLOSE_FRAME
  private closeTimer: NodeJS.Timeout | null = null
  private more: Extras | null = null

  constructor (
    connection: WebSocketConnection, context: AsyncContext, socket: Duplex, settings: ConnectionSettings, deflate: Agreement['deflate'], host: ConnectionHost | null
  ) {
    super(connection, context)
    this.socket = socket
    this.settings = settings
    this.host = host
    this.mailbox = new Mailbox(this)
    this.outbox = new Outbox(this, deflate)
    this.rateLimit = settings.rateLimit === null ? null : new RateLimit(settings.rateLimit)
    this.compressed = deflate === null ? null : new CompressedMessages(this, deflate.receiving)
    listenToSocket(socket, this)
  }

  get readyState (): 1 | 2 | 3 { return readyStateOf(this.state) }
  get isClosed (): boolean { return isClosed(this.state) }
  get wasClean (): boolean { return wasClean(this.state) }
  get maySend (): boolean { return maySend(this.state) }
  get mayDeliver (): boolean { return mayDeliver(this.state) }
  get bufferedAmount (): number { return this.isClosed ? 0 : this.outbox.bufferedAmount }
  get isPaused (): boolean { return (this.pauseReasons & PauseReason.APP) !== 0 || this.mailbox.hasFullView }
  get takesStrings (): boolean { return this.mailbox.takesStrings && this.emitsPlainly && (this.more === null || this.more.subprotocol === null) }
  get json (): JsonMessages { return this.settings.json }
  /** Whether the peer does not take what is sent to it, for now or for ever. */
  get isStuck (): boolean { return (this.pauseReasons & PauseReason.QUEUE) !== 0 || this.outbox.isSaturated }
  /** Whether this side does not read. */
  get isHeldBack (): boolean { return this.lent !== null && this.lent.isPaused }
  get missing (): number { return this.lent === null ? 0 : this.lent.missing }
  private get decoder (): FrameDecoder { return this.lent ?? (this.lent = borrowDecoder(this, this.settings, this.compressed !== null, this.rateLimit)) }
  get extras (): Extras { return this.more ?? (this.more = new Extras(this)) }
  get isCloseAwaited (): boolean { return this.connection.listenerCount('close') > 0 || (this.more !== null && this.more.isCloseAwaited) }

  // --- the end

  close (code?: number, reason?: string | Uint8Array): void {
    if (!this.maySend) return
    this.change('close', code, checkClose(code, reason))
    // Messages may precede the peer's Close frame. Messages that wait for the handler keep waiting, and so does everything
    // after them, because the app would otherwise see a gap. `closeTimeout` bounds the wait.
    this.resume()
    // The client of `injectWS` has no handler that might still listen.
    if (this.settings.role === 'client' && !this.mailbox.isHeard) this.deliverNothingMore()
  }

  terminate (): void {
    // An app that does this asks for no more messages, also for none of those that wait when the peer was faster.
    this.lent = endDecoder(this.lent)
    this.mailbox.shut()
    if (this.isClosed) return process.nextTick(giveUp, this.mailbox)
    this.outbox.flush()
    this.change('terminate')
  }

  /** The closing handshake goes on. `code` and `reason` are for our Close frame, if it is time for that. */
  private change (event: CloseEvent, code?: number, reason: Uint8Array = EMPTY): void {
    const next = transition(this.state, event)
    if (next === null) return
    this.state = next.state
    if (this.more !== null && !this.maySend) this.more.onSendingOver()
    for (const action of next.actions) this.act(action, code, reason)
    if (!this.isClosed) this.startCloseTimer()
  }

  private act (action: CloseAction, code: number | undefined, reason: Uint8Array): void {
    switch (action) {
      case 'sendClose':
        this.outbox.sendClose(code, reason)
        break
      case 'endSocket':
        // RFC 6455 §7.1.1: the server closes TCP first, the client waits for it.
        if (this.settings.role === 'server') this.outbox.end()
        else this.outbox.flush()
        // Whatever still comes is ignored (RFC 6455 §5.5.1), but has to be read for the end to be seen.
        this.socket.resume()
        break
      case 'destroySocket':
        this.socket.destroy()
    }
  }

  /** The peer has `closeTimeout` to do its part. */
  private startCloseTimer (): void {
    this.closeTimer ??= setTimeout(destroySocket, this.settings.closeTimeout, this.socket)
  }

  private stopCloseTimer (): void {
    if (this.closeTimer !== null) clearTimeout(this.closeTimer)
    this.closeTimer = null
  }

  /** Fails the connection (RFC 6455 §7.1.7). */
  private fail (error: WebSocketError): void {
    this.startFailing(error)
    this.mailbox.fail(error)
  }

  private startFailing (error: WebSocketError): void {
    this.failure = error
    // While the peer is still understood, its Close frame is waited for: a proxy that has our FIN while it is sending
    // would break off both ways, and with them our Close frame.
    this.change(this.decoder.isEnded ? 'fail' : 'refuse', error.closeCode, truncateReason(error.message))
    if (!this.decoder.isEnded) this.updateReading()
  }

  reportFailure (error: WebSocketError): void {
    if (this.connection.listenerCount('error') > 0) this.emit('error', error)
    this.reportToHost(error)
  }

  /** Drops what waits, and from now on takes nothing but the peer's Close frame. */
  private deliverNothingMore (): void {
    this.decoder.skipToClose()
    this.mailbox.shut()
    this.updateReading()
  }

  onSlowReader (error: WebSocketError): void {
    // The peer's Close frame is still understood, and nothing else is asked for.
    this.decoder.skipToClose()
    this.startFailing(error)
    // Not within the caller's `send` or `broadcast`.
    process.nextTick(reportFailure, this.mailbox, error)
  }

  onUnsendable (error: Error): void {
    this.change('unsendable', CloseCode.INTERNAL_ERROR)
    this.reportThrown(error)
  }

  // --- what the decoder finds

  onMessage (data: Buffer, isBinary: boolean): void {
    this.messagesReceived++
    this.bytesReceived += data.length
    if (this.more === null || !this.more.takeMessage(data, isBinary)) this.mailbox.receive(data, isBinary)
  }

  onText (text: string, bytes: number): void {
    this.messagesReceived++
    this.bytesReceived += bytes
    this.mailbox.receiveText(text)
  }

  onCompressedMessage (data: Buffer, isBinary: boolean): void { this.compressed!.receive(data, isBinary) }

  onInflatedLater (deliver: () => void): void {
    this.pauseReasons &= ~PauseReason.INFLATING
    if (this.decoder.isEnded) return
    this.outbox.hold()
    // The connection may have failed meanwhile, as that of a peer that does not read: then nothing is delivered any more.
    if (!this.decoder.isFailed) deliver()
    this.outbox.release()
    this.updateReading()
  }

  onInflateError (error: WebSocketError): void {
    if (error instanceof MessageTooBigError) this.decoder.skipToClose()
    else this.decoder.end()
    this.fail(error)
  }

  onPing (data: Buffer): void {
    if (this.maySend) this.outbox.answer(data)
    this.emit('ping', data)
  }

  onPong (data: Buffer): void {
    if (this.watcher === null || !this.watcher.onPong(data)) this.emit('pong', data)
  }

  onClose (code: number, reason: Buffer): void {
    this.end = { code, reason }
    // RFC 6455 §5.5.1 asks for the status code back. The reason goes with it, as with `ws`: it is what the `close` event
    // of a browser shows.
    this.change('closeReceived', code === CloseCode.NO_STATUS_RECEIVED ? undefined : code, reason)
  }

  onError (error: WebSocketError): void { this.fail(error) }

  onInvalidMessage (error: InvalidMessageError, data: Buffer): void {
    const { onInvalidMessage } = this.settings
    if (onInvalidMessage === null) {
      this.deliverNothingMore()
      if (this.maySend) this.fail(error)
    } else if (this.maySend) {
      catchRejection(onInvalidMessage(error, this.connection, data), thrown => this.reportThrown(thrown))
    }
  }

  // --- reading

  /** @param early what was read from the socket before there was a connection */
  begin (early: Buffer): void {
    if (early.length > 0) this.decode(early)
    if (this.isClosed) return
    readSocket(this.socket)
    this.updateReading()
    // `end` may have been emitted before there was a connection to hear it.
    if (this.socket.readableEnded) this.onEnd()
  }

  pause (): void { this.setPaused(PauseReason.APP, true) }

  /** Undoes `pause`, from the next tick on. */
  resume (): void {
    if ((this.pauseReasons & PauseReason.APP) === 0) return
    this.pauseReasons &= ~PauseReason.APP
    process.nextTick(resumed, this)
  }

  /** @internal */
  _resumed (): void {
    this.mailbox.deliver()
    this.updateReading()
  }

  setPaused (reason: number, isPaused: boolean): void {
    const reasons = isPaused ? this.pauseReasons | reason : this.pauseReasons & ~reason
    if (reasons === this.pauseReasons || (isPaused && this.isClosed)) return
    this.pauseReasons = reasons
    this.updateReading()
  }

  /** Reads, or holds the peer back through TCP, as the reasons to stop have come or gone. */
  private updateReading (): void {
    if (this.isClosed) return
    // After a failure nothing more is delivered, and the end has to be seen.
    if (this.pauseReasons !== 0 && !this.decoder.isFailed) {
      this.decoder.pause()
      pauseReads(this.socket)
      this.rateLimit?.stop((this.pauseReasons & HELD_BY_APP) !== 0)
      if (this.socket.readableEnded) this.limitEnd()
      return
    }
    this.rateLimit?.resume()
    this.decode(null)
    if (this.isHeldBack) return
    if (this.socket.readableEnded) this.finishEnd()
    // The socket emits what it has buffered in the context in which it is resumed.
    else if (this.socket.isPaused()) this.run(this.socket, this.socket.resume)
  }

  onRead (bytes: Buffer | number): void {
    this.hasHeard = true
    this.decode(bytes)
  }

  /** @param bytes a chunk, or how many there are in the kernel's; `null`: what the decoder kept when it was paused */
  private decode (bytes: Buffer | number | null): void {
    this.enter(this.socket, this.decodeEntered, bytes)
    this.outbox.chokeIfOverLimit()
  }

  private decodeEntered (bytes: Buffer | number | null): void {
    // All frames sent meanwhile leave in one write.
    this.outbox.hold()
    if (this.rateLimit !== null && bytes !== null) this.rateLimit.noteRead(typeof bytes === 'number' ? bytes : bytes.length)
    const { decoder } = this
    try {
      feed(decoder, bytes)
    } finally {
      this.outbox.release()
    }
    if (this.lent === decoder && decoder.isBetweenMessages) this.lent = returnDecoder(decoder, this.settings)
  }

  // --- what the socket reports

  onSocketDrain (): void {
    // The frames gathered while the socket was full can go now.
    this.outbox.flush()
    this.outbox.drain()
  }

  /** The peer sends no more. Without a Close frame that is an abnormal closure (RFC 6455 §7.1.5). */
  onEnd (): void {
    // A paused socket emits `end` all the same, and what the decoder has kept came before that.
    if ((this.pauseReasons & PauseReason.INFLATING) === 0 && !this.decoder.hasRest) this.finishEnd()
    else this.limitEnd()
  }

  /**
   * The peer has ended, and what came before is not delivered yet. It is kept for as long as the app likes that has paused,
   * or whose loop is busy; but not for a peer that does not read, nor for a handler that may never listen.
   */
  private limitEnd (): void {
    if (!this.maySend) return
    const isAbandoned = this.settings.role === 'server' && !this.mailbox.isHeard
    if (isAbandoned || (this.pauseReasons & PauseReason.QUEUE) !== 0) this.startCloseTimer()
    else this.stopCloseTimer()
  }

  private finishEnd (): void {
    if (this.isClosed) return
    this.change('endReceived')
    if (this.settings.role === 'client') this.socket.end()
  }

  onSocketClose (): void {
    if (this.isClosed) return
    this.change('socketClosed')
    this.stopCloseTimer()
    this.lent = endDecoder(this.lent)
    this.compressed?.close()
    this.outbox.discard()
    this.more?.onSocketClosed()
    if (this.host !== null) this.run(this.host, this.host.onEnd, this, this.end.code)
    // Messages come before `close`. If nobody asks for them in time, they are dropped.
    if (this.mailbox.socketClosed()) this.closeTimer = setTimeout(giveUp, this.settings.closeTimeout, this.mailbox).unref()
  }

  // --- what the app is called for

  onDrained (): void {
    this.more?.onDrained()
    this.emit('drain')
  }

  emitClose (): void {
    this.stopCloseTimer()
    this.emit('close', this.end.code, this.end.reason)
    this.more?.onClosed()
  }

  reportThrown (thrown: unknown): void {
    // A loop or a listener that throws the connection's own failure reports nothing new.
    if ((thrown === this.failure && thrown !== null) || this.more?.isOwn(thrown) === true) return
    if (this.host !== null) this.reportToHost(toError(thrown))
    // The client of `injectWS` belongs to a test, which has to notice.
    else process.nextTick(rethrow, thrown)
  }

  private reportToHost (error: Error): void { if (this.host !== null) this.run(this.host, this.host.onError, this, error) }
}

function resumed (session: Session): void { session._resumed() }
