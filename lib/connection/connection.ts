import { EventEmitter } from 'node:events'
import { Socket } from 'node:net'
import type { Duplex, DuplexOptions } from 'node:stream'
import type {
  BinaryType, SendCallback, SendJsonOptions, SendOptions, WebSocketConnection, WebSocketConnectionEvents, WebSocketData, WebSocketEventListener,
  WebSocketEventMap, WebSocketRouteConnections
} from '../../types/connection.js'
import { captureContext, NO_CONTEXT, runInContext, type AsyncContext } from '../async-context.js'
import { EMPTY } from '../common.js'
import { MessageInflater, type InflaterSettings } from '../compression/message-inflater.js'
import type { RateLimitSettings } from '../options/settings.js'
import { CloseCode } from '../protocol/close-codes.js'
import { createError, MessageTooBigError, type InvalidMessageError, type WebSocketError } from '../errors.js'
import { FrameDecoder } from '../protocol/frame-decoder.js'
import { encodeClosePayload } from '../protocol/close-payload.js'
import { frameHeaderLength } from '../protocol/frame-encoder.js'
import type { FrameSink } from '../protocol/frame-sink.js'
import { Opcode } from '../protocol/opcodes.js'
import { isValidUtf8 } from '../protocol/utf8.js'
import { catchRejection } from '../thenable.js'
import { connectionMemory } from './connection-memory.js'
import { DeflatingWriter, type DeflatingSettings } from './deflating-writer.js'
import { toDomListener, type DomEventType, type DomListener } from './dom-events.js'
import { FrameWriter, type FrameWriterOwner } from './frame-writer.js'
import { isHeartbeatPong, type HeartbeatPing } from './heartbeat-ping.js'
import { holdMessage, MAX_HELD, type HeldMessage } from './held-message.js'
import type { JsonMessages, Validation } from './json-messages.js'
import { lendReads } from './lent-reads.js'
import { MessageIterator } from './message-iterator.js'
import { createMessageStream } from './message-stream.js'
import { pauseReads } from './pause-reads.js'
import { RateLimit } from './rate-limit.js'
import type { SharedMessage } from './shared-message.js'
import { OrderedWriter } from './ordered-writer.js'
import { checkClose, toBytesOrBlob, toControlPayload, truncateReason, type BlobLike } from './payload.js'
import { writeProgressOf, type WriteProgress } from './write-progress.js'

const CONNECTING = 0
const OPEN = 1
const CLOSING = 2
const CLOSED = 3

/**
 * Bytes in our own queue to a peer from which on nothing more is read from it, so that it cannot make the queue grow.
 * Less where `maxBufferedAmount` is small: who only gets answers is held back before it would be ended.
 */
const READ_STOPS_ABOVE = 1024 * 1024

/** Bytes of a compressed message from which on it is inflated on another thread. */
const INFLATE_ASYNC_FROM = 16 * 1024

/** A message that is longer than this, in bytes, is not inflated on this thread to its end. */
const INFLATE_SYNC_LIMIT = 256 * 1024

const BINARY_TYPES: readonly BinaryType[] = ['nodebuffer', 'arraybuffer', 'fragments', 'blob']

/** Who is told what happens to a connection. */
export interface ConnectionHost {
  readonly route: WebSocketRouteConnections | null
  /** Something that a listener or a send callback threw, or a rule that the peer broke. */
  onError (connection: Connection, error: Error): void
  /** The socket is closed. Once. */
  onEnd (connection: Connection, code: number): void
}

export interface ConnectionSettings {
  /** The server's side requires masks and sends none; the client's is the other way round (RFC 6455 §5.1). */
  readonly role: 'server' | 'client'
  /** Bytes. */
  readonly maxPayload: number
  /** Bytes that may wait for a peer that does not read. */
  readonly maxBufferedAmount: number
  readonly rateLimit: RateLimitSettings | null
  /** Milliseconds. */
  readonly closeTimeout: number
  readonly json: JsonMessages
  /** Decides about a message that is not what `json` listeners get; `null`: the connection is closed. */
  readonly onInvalidMessage: ((error: InvalidMessageError, connection: WebSocketConnection, data: Buffer) => unknown) | null
}

export interface Agreement {
  readonly protocol: string
  readonly extensions: string
  readonly url: string
  /** What permessage-deflate was agreed to be, each way; `null` if it was not. */
  readonly deflate: { readonly sending: DeflatingSettings, readonly receiving: InflaterSettings } | null
}

type DomHandler<K extends DomEventType> = ((event: WebSocketEventMap[K]) => unknown) | null

/** Messages and bytes of their payloads, each way. */
export interface ConnectionCounts {
  messagesReceived: number
  bytesReceived: number
  messagesSent: number
  bytesSent: number
}

/** The connection whose chunk is being decoded, in its own context. */
let decoding: Connection | null = null

const kConnection = Symbol('fastify-ws-routes.connection')

/** A socket that belongs to a connection: its listeners are shared functions that find the connection here. */
interface ConnectionSocket extends Duplex {
  [kConnection]: Connection
}

/**
 * The object that a handler gets. The documentation of its public members is in `types/connection.ts`;
 * members with an underscore belong to this package.
 */
export class Connection extends EventEmitter<WebSocketConnectionEvents> implements WebSocketConnection, FrameSink, FrameWriterOwner {
  declare readonly CONNECTING: 0
  declare readonly OPEN: 1
  declare readonly CLOSING: 2
  declare readonly CLOSED: 3

  readonly protocol: string
  readonly extensions: string
  readonly url: string

  /** @internal */
  readonly _socket: Duplex
  /** @internal */
  readonly _counts: ConnectionCounts = { messagesReceived: 0, bytesReceived: 0, messagesSent: 0, bytesSent: 0 }

  private readonly _settings: ConnectionSettings
  private readonly _context: AsyncContext
  private readonly _host: ConnectionHost | null
  private readonly _decoder: FrameDecoder
  private _writer: FrameWriter
  private readonly _deflate: Agreement['deflate']
  private readonly _rateLimit: RateLimit | null
  private readonly _maxBufferedAmount: number
  private readonly _readStopsAbove: number
  private _inflater: MessageInflater | null = null

  private _readyState: 0 | 1 | 2 | 3 = OPEN
  private _binaryType: BinaryType = 'nodebuffer'
  /** @internal The bytes of the message that is being emitted in another form, for the views that need them. */
  _converted: Buffer | null = null

  // Delivery: whether messages wait for somebody who hears them, and those that do.
  private _waitsForListener = true
  private _isDelivering = false
  /** Whether there was ever a `json` listener: others shall not pay for it. */
  private _mayHearJson = false
  private _held: HeldMessage[] | null = null
  private _heldBytes = 0

  // Why nothing is read: the user said so, views have more than they should keep, or our queue to the peer is too long.
  private _isPausedByUser = false
  private _fullViews = 0
  private _isChoked = false
  private _isInflating = false
  private _hasPeerEnded = false

  private _isFragmenting = false
  private _needsDrain = false
  private _pendingPong: Buffer | null = null

  // The heartbeat: whether anything came since it was looked at, and the Ping that waits for its Pong.
  /** @internal */
  _hasHeard = false
  private _awaitedPing: HeartbeatPing | null = null
  private _latency: number | undefined = undefined
  private _isKeptAlive = false

  private _failure: WebSocketError | null = null
  /** Whether the failure is still to be reported, behind messages that wait. */
  private _isFailureWaiting = false
  private _closeFrameSent = false
  private _closeFrameReceived = false
  private _closeCode: number = CloseCode.ABNORMAL_CLOSURE
  private _closeReason: Buffer = EMPTY
  private _closeTimer: NodeJS.Timeout | null = null
  private _closeEmitted = false
  private _abortController: AbortController | null = null

  constructor (socket: Duplex, settings: ConnectionSettings, agreement: Agreement, host: ConnectionHost | null) {
    // A rejection of an async listener goes where what it throws goes.
    super({ captureRejections: true })
    this._socket = socket
    this._settings = settings
    this._context = captureContext()
    this._host = host
    this.protocol = agreement.protocol
    this.extensions = agreement.extensions
    this.url = agreement.url
    const { deflate } = agreement
    const isClient = settings.role === 'client'
    this._deflate = deflate
    this._rateLimit = settings.rateLimit === null ? null : new RateLimit(settings.rateLimit)
    this._decoder = new FrameDecoder(this, settings, deflate !== null, this._rateLimit, connectionMemory)
    this._writer = deflate === null ? new FrameWriter(socket, isClient, this) : new DeflatingWriter(socket, isClient, this, deflate.sending)

    // Below its high-water mark a socket is not full, and never tells that it has become empty.
    this._maxBufferedAmount = Math.max(settings.maxBufferedAmount, socket.writableHighWaterMark)
    this._readStopsAbove = Math.max(Math.min(READ_STOPS_ABOVE, settings.maxBufferedAmount / 2), socket.writableHighWaterMark)

    const own = socket as ConnectionSocket
    own[kConnection] = this
    // Node ends a TLS socket when its peer has, and drops what the app has not asked for yet.
    own.allowHalfOpen = true
    own.on('error', onSocketError)
    own.on('close', onSocketClose)
    own.on('end', onSocketEnd)
    own.on('drain', onSocketDrain)
  }

  get readyState (): 0 | 1 | 2 | 3 { return this._readyState }
  get bufferedAmount (): number { return this._readyState === CLOSED ? 0 : this._writer.bufferedAmount }
  get isPaused (): boolean { return this._isPausedByUser || this._fullViews > 0 }
  get latency (): number | undefined { return this._latency }
  get route (): WebSocketRouteConnections | null { return this._host === null ? null : this._host.route }

  get binaryType (): BinaryType { return this._binaryType }
  set binaryType (type: BinaryType) {
    // Browsers ignore what they do not know (and so does `ws`).
    if (BINARY_TYPES.includes(type)) this._binaryType = type
  }

  get signal (): AbortSignal {
    if (this._abortController === null) {
      this._abortController = new AbortController()
      if (this._readyState === CLOSED) this._abortController.abort()
    }
    return this._abortController.signal
  }

  // --- sending

  send (data: WebSocketData | Blob, options?: SendOptions | SendCallback, callback?: SendCallback): boolean {
    if (typeof options === 'function') {
      callback = options
      options = undefined
    }
    const isText = typeof data === 'string'
    const payload = isText ? null : toBytesOrBlob(data)
    if (this._readyState !== OPEN) return this._refuseToSend(callback)

    const fin = options?.fin !== false
    const isBinary = options?.binary ?? !isText
    const opcode = this._isFragmenting ? Opcode.CONTINUATION : isBinary ? Opcode.BINARY : Opcode.TEXT
    const compress = options?.compress !== false
    this._isFragmenting = !fin
    if (fin) this._counts.messagesSent++
    let length: number
    if (payload === null) {
      length = this._writer.writeText(opcode, data as string, fin, callback, compress)
    } else if (Buffer.isBuffer(payload)) {
      length = payload.length
      this._writer.writeBytes(opcode, payload, fin, callback, compress)
    } else {
      length = payload.size
      this._writeBlob(opcode, payload, fin, callback, compress)
    }
    this._counts.bytesSent += length
    return this._mayGoOn(length)
  }

  sendJson (message: unknown, options?: SendJsonOptions | SendCallback, callback?: SendCallback): boolean {
    if (this._readyState !== OPEN) return this._refuseToSend(typeof options === 'function' ? options : callback)
    return this.send(this._json.write(message), options as SendOptions | undefined, callback)
  }

  /** @internal How the messages of the route are read and written. */
  get _json (): JsonMessages {
    return this._settings.json
  }

  /** @internal Queues a message that is made once for many. */
  _sendShared (message: SharedMessage): boolean {
    // A fragmented message cannot be interrupted by another (RFC 6455 §5.4).
    if (this._readyState !== OPEN || this._isFragmenting) return false
    this._counts.messagesSent++
    this._counts.bytesSent += message.payload.length
    this._writer.writeShared(message)
    if (this._writer.isSaturated) this._limitQueue(message.payload.length)
    return true
  }

  ping (data?: WebSocketData | Blob | SendCallback, mask?: boolean | SendCallback, callback?: SendCallback): void {
    this._sendControl(Opcode.PING, data, mask, callback)
  }

  pong (data?: WebSocketData | Blob | SendCallback, mask?: boolean | SendCallback, callback?: SendCallback): void {
    this._sendControl(Opcode.PONG, data, mask, callback)
  }

  /** The `mask` of `ws` is accepted and has no effect: RFC 6455 §5.1 says which side masks. */
  private _sendControl (opcode: number, data?: WebSocketData | Blob | SendCallback, mask?: boolean | SendCallback, callback?: SendCallback): void {
    if (typeof data === 'function') return this._sendControl(opcode, undefined, undefined, data)
    if (typeof mask === 'function') return this._sendControl(opcode, data, undefined, mask)
    const payload = toControlPayload(data)
    if (this._readyState !== OPEN) {
      this._refuseToSend(callback)
      return
    }
    if (Buffer.isBuffer(payload)) this._writer.writeBytes(opcode, payload, true, callback)
    else this._writeBlob(opcode, payload, true, callback, false)
    if (this._writer.isSaturated) this._limitQueue(Buffer.isBuffer(payload) ? payload.length : payload.size)
  }

  /** A Blob is read asynchronously, and what is sent behind it has to wait: few connections need a writer that can. */
  private _writeBlob (opcode: number, blob: BlobLike, fin: boolean, callback: SendCallback | undefined, compress: boolean): void {
    if (!(this._writer instanceof OrderedWriter)) {
      this._writer.write()
      this._writer = new OrderedWriter(this._socket, this._settings.role === 'client', this)
    }
    (this._writer as OrderedWriter).writeBlob(opcode, blob, fin, callback, compress)
  }

  /** @internal */
  onUnsendable (error: Error): void {
    // A Close frame that was to follow the message was dropped with everything else.
    this._closeFrameSent = false
    this._sendClose(CloseCode.INTERNAL_ERROR, EMPTY)
    this._reportThrown(error)
  }

  /** @internal A Ping of our own, which does not wait for others. */
  _sendHeartbeat (ping: HeartbeatPing): void {
    this._hasHeard = false
    this._awaitedPing = ping
    this._writer.hold()
    this._writer.writeBytes(Opcode.PING, ping.payload, true, undefined)
    this._writer.release()
  }

  private _refuseToSend (callback: SendCallback | undefined): false {
    if (callback !== undefined) {
      process.nextTick(() => this.callBack(callback, createError('FST_WS_ERR_NOT_OPEN', `WebSocket is not open: readyState is ${this._readyState}`)))
    }
    return false
  }

  /** @param added bytes of the payload that was queued last */
  private _mayGoOn (added: number): boolean {
    if (!this._writer.isSaturated) return true
    this._needsDrain = true
    this._limitQueue(added)
    return false
  }

  /**
   * Ends a peer that does not read. What was queued last does not count: one message that is longer than the limit
   * says nothing about its receiver.
   */
  private _limitQueue (added: number): void {
    const waiting = this._writer.bufferedAmount - added - frameHeaderLength(added, false)
    if (waiting <= this._maxBufferedAmount) return this._chokeIfOverLimit()
    const error = createError('FST_WS_ERR_SLOW_READER', `${waiting} bytes wait for a peer that does not read`)
    // Its Close frame is still understood, and nothing else is asked for.
    this._decoder.skipToClose()
    this._startFailing(error)
    // Not within the caller's `send` or `broadcast`.
    process.nextTick(reportFailure, this, error)
  }

  /** @internal */
  onFlushed (): void {
    // The socket tells of its own drain only if it was filled; otherwise the batch alone, or what was to be compressed,
    // was too large.
    if ((this._needsDrain || this._isChoked || this._pendingPong !== null) && !this._writer.isSaturated) process.nextTick(drained, this)
  }

  /** @internal Calls a send callback. */
  callBack (callback: SendCallback, error?: Error | null): void {
    try {
      const returned = this._run(callback, error)
      if (returned !== undefined) catchRejection(returned, thrown => this._reportThrown(thrown))
    } catch (thrown) {
      this._reportThrown(thrown)
    }
  }

  // --- closing

  close (code?: number, reason?: string | Uint8Array): void {
    if (this._readyState !== OPEN) return
    const reasonBytes = checkClose(code, reason)
    this._sendClose(code, reasonBytes)
    // The peer's Close frame may be behind messages. Those that wait for the handler go on waiting, and so does what is
    // behind them, or there would be a gap: `closeTimeout` is what bounds it.
    if (this._isPausedByUser) this.resume()
    // The client of `injectWS` has no handler that might still listen.
    if (this._settings.role === 'client' && !this._isHeard) this._deliverNothingMore()
  }

  terminate (): void {
    if (this._readyState === CLOSED) return
    this._readyState = CLOSING
    // Whoever does this asks for no more messages.
    this._decoder.end()
    this._dropHeld()
    this._writer.flush()
    this._socket.destroy()
  }

  /** Sends the Close frame behind everything else; then the peer has `closeTimeout` to answer (RFC 6455 §7.1.2). */
  private _sendClose (code: number | undefined, reason: Uint8Array): void {
    this._readyState = CLOSING
    if (!this._closeFrameSent) {
      this._closeFrameSent = true
      this._writer.writeBytes(Opcode.CLOSE, encodeClosePayload(code, reason), true, undefined)
      this._writer.flush()
    }
    this._startCloseTimer()
  }

  private _startCloseTimer (): void {
    this._closeTimer ??= setTimeout(destroySocket, this._settings.closeTimeout, this._socket)
  }

  /** RFC 6455 §7.1.1: the server closes TCP first, the client waits for it. */
  private _endSocket (): void {
    this._readyState = CLOSING
    if (this._settings.role === 'server') this._writer.end()
    else this._writer.flush()
    this._startCloseTimer()
    // Whatever still comes is ignored (RFC 6455 §5.5.1), but has to be read for the end to be seen.
    this._socket.resume()
  }

  /** Fails the connection (RFC 6455 §7.1.7). */
  private _fail (error: WebSocketError): void {
    this._startFailing(error)
    this._reportFailure(error)
  }

  private _startFailing (error: WebSocketError): void {
    this._failure = error
    this._sendClose(error.closeCode, truncateReason(error.message))
    // While the peer is still understood, its Close frame is waited for: a proxy that has our FIN while it is sending
    // would break off both ways, and with them our Close frame.
    if (this._decoder.isEnded) this._endSocket()
    else this._updateReading()
  }

  /** @internal The error follows the messages that came before it, and no message follows the error. */
  _reportFailure (error: WebSocketError): void {
    if (this._held !== null) {
      this._isFailureWaiting = true
      return
    }
    this._isFailureWaiting = false
    if (this.listenerCount('error') > 0) this._emit('error', error)
    this._reportToHost(error)
  }

  // --- what the decoder finds

  /** @internal */
  onMessage (data: Buffer, isBinary: boolean): void {
    this._counts.messagesReceived++
    this._counts.bytesReceived += data.length
    if (this._held === null && this._mayDeliver) {
      this._emitMessage(data, isBinary)
      return
    }
    this._held ??= []
    const message = holdMessage(data, isBinary, this._held.at(-1))
    this._held.push(message)
    this._heldBytes += message.cost
    if (this._heldBytes > MAX_HELD) this._updateReading()
  }

  /** @internal RFC 7692 §7.2.2. What takes long is done on another thread, and what follows waits unread. */
  onCompressedMessage (data: Buffer, isBinary: boolean): void {
    const inflater = this._inflater ??= new MessageInflater(this._deflate!.receiving)
    if (data.length < INFLATE_ASYNC_FROM) {
      let message: Buffer | null
      try {
        message = inflater.inflate(data, INFLATE_SYNC_LIMIT)
      } catch (error) {
        return this._failToInflate(error as WebSocketError)
      }
      if (message !== null) return this._onInflated(message, isBinary)
    }
    this._isInflating = true
    this._updateReading()
    inflater.inflateAsync(data, (error, message) => {
      this._isInflating = false
      if (this._decoder.isEnded) return
      this._writer.hold()
      // The connection may have failed meanwhile, as that of a peer that does not read: then nothing is delivered any more.
      if (!this._decoder.isFailed) {
        if (error !== null) this._failToInflate(error)
        else this._onInflated(message, isBinary)
      }
      this._writer.release()
      this._updateReading()
    })
  }

  private _onInflated (message: Buffer, isBinary: boolean): void {
    if (isBinary || isValidUtf8(message, 0, message.length)) this.onMessage(message, isBinary)
    else this._failToInflate(createError('FST_WS_ERR_INVALID_PAYLOAD'))
  }

  private _failToInflate (error: WebSocketError): void {
    if (error instanceof MessageTooBigError) this._decoder.skipToClose()
    else this._decoder.end()
    this._fail(error)
  }

  /** @internal */
  onPing (data: Buffer): void {
    if (this._readyState === OPEN) {
      // RFC 6455 §5.5.3 lets us answer only the latest Ping: a peer that does not read cannot make us queue more than one
      // Pong, and the answer to an earlier Ping never follows that to a later one.
      this._pendingPong = null
      if (this._writer.isSaturated) this._pendingPong = Buffer.from(data)
      else this._writer.writeBytes(Opcode.PONG, data, true, undefined)
    }
    this._emit('ping', data)
  }

  /** @internal */
  onPong (data: Buffer): void {
    if (this._awaitedPing !== null && data.equals(this._awaitedPing.payload)) {
      this._latency = performance.now() - this._awaitedPing.sentAt
      this._awaitedPing = null
    } else if (!isHeartbeatPong(data)) {
      this._emit('pong', data)
    }
  }

  /** @internal */
  onClose (code: number, reason: Buffer): void {
    this._closeFrameReceived = true
    this._closeCode = code
    this._closeReason = reason
    // RFC 6455 §5.5.1 asks for the status code back. The reason goes with it, as with `ws`: it is what the `close` event
    // of a browser shows.
    this._sendClose(code === CloseCode.NO_STATUS_RECEIVED ? undefined : code, reason)
    this._endSocket()
  }

  /** @internal */
  onError (error: WebSocketError): void {
    this._fail(error)
  }

  // --- delivering

  /**
   * @internal Reads from now on.
   *
   * @param early what was read from the socket before there was a connection
   */
  _begin (early: Buffer): void {
    if (early.length > 0) this._decode(early)
    if (this._readyState === CLOSED) return
    this._socket.on('data', onSocketData)
    lendReads(this._socket as ConnectionSocket, onSocketRead)
    this._updateReading()
    // `end` may have been emitted before there was a connection to hear it.
    if (this._socket.readableEnded) this._onEnd()
  }

  /** Whether a message would be heard, or there is nobody any more to wait for. */
  private get _isHeard (): boolean {
    return !this._waitsForListener || this.listenerCount('message') > 0 || this.listenerCount('json') > 0
  }

  /** @internal The handler has settled: from now on messages wait for nobody. */
  _startDelivery (): void {
    this._waitsForListener = false
    this._deliverHeld()
  }

  /** @internal Delivers the messages that wait, as far as somebody hears them, and behind them `error` and `close`. */
  _deliverHeld (): void {
    // A listener that is called from here may lead here again, by a handler that settles.
    if (this._isDelivering) return
    if (this._closeEmitted) {
      // Behind `close` nothing is emitted: what a loop has left behind is for the next view, while the handler runs.
      if (!this._waitsForListener) this._dropHeld()
      return
    }
    if (this._held !== null) {
      this._isDelivering = true
      while (this._held !== null && this._mayDeliver) {
        const message: HeldMessage = this._held.shift()!
        this._heldBytes -= message.cost
        this._emitMessage(message.data, message.isBinary)
        if (this._held?.length === 0) this._held = null
      }
      this._isDelivering = false
      if (this._readyState !== CLOSED) this._updateReading()
    }
    if (this._held === null) this._concludeDelivery()
  }

  /** What is left in a connection that is closed is bounded: views take it, however much they have. */
  private get _mayDeliver (): boolean {
    return !this._isPausedByUser && this._isHeard && (this._fullViews === 0 || this._readyState === CLOSED)
  }

  /** No message waits any more. */
  private _concludeDelivery (): void {
    if (this._isFailureWaiting) this._reportFailure(this._failure!)
    if (this._readyState === CLOSED) this._emitCloseIfHeard()
  }

  /** @internal A view, an iterator or a stream, has more than it should keep: the peer is held back until it has not. */
  _viewIsFull (): void {
    if (this._fullViews++ === 0 && this._readyState !== CLOSED) this._updateReading()
  }

  /** @internal */
  _viewHasRoom (): void {
    if (--this._fullViews === 0) process.nextTick(resumeReading, this)
  }

  /** @internal Messages that an iterator took and nobody asked it for: they wait again, before all others. */
  _giveBack (messages: HeldMessage[]): void {
    if (messages.length === 0 || this._isHeard) return
    this._held = this._held === null ? messages : [...messages, ...this._held]
    for (const message of messages) this._heldBytes += message.cost
    if (this._readyState !== CLOSED) this._updateReading()
  }

  /** @internal For an iterator that is made when there are no more events. */
  _takeHeld (): HeldMessage[] {
    const held = this._held ?? []
    this._dropHeld()
    return held
  }

  private _emitMessage (data: Buffer, isBinary: boolean): void {
    if (!isBinary || this._binaryType === 'nodebuffer') this._emit('message', data, isBinary)
    else this._emitConverted(data, 'message', convertMessage(data, this._binaryType), isBinary)
    if (this._mayHearJson && this.listenerCount('json') > 0) this._run(this._emitJson, data, isBinary)
  }

  private _emitConverted (data: Buffer, event: 'message' | 'json', ...args: unknown[]): void {
    const outer = this._converted
    this._converted = data
    this._emit(event, ...args)
    this._converted = outer
  }

  /** Binary messages may be for others, if there are any. */
  private _emitJson (data: Buffer, isBinary: boolean): void {
    if (isBinary && this.listenerCount('message') > 0) return
    let read: Validation
    try {
      read = this._json.read(data, isBinary)
    } catch (error) {
      return this._reportThrown(error)
    }
    if ('value' in read) this._emitConverted(data, 'json', read.value)
    else this._refuseMessage(read.error, data)
  }

  private _refuseMessage (error: InvalidMessageError, data: Buffer): void {
    const { onInvalidMessage } = this._settings
    if (onInvalidMessage === null) {
      this._deliverNothingMore()
      if (this._readyState === OPEN) this._fail(error)
      return
    }
    if (this._readyState !== OPEN) return
    try {
      catchRejection(onInvalidMessage(error, this, data), thrown => this._reportThrown(thrown))
    } catch (thrown) {
      this._reportThrown(thrown)
    }
  }

  pause (): void {
    if (this._readyState === CLOSED || this._isPausedByUser) return
    this._isPausedByUser = true
    this._updateReading()
  }

  resume (): void {
    if (!this._isPausedByUser) return
    this._isPausedByUser = false
    process.nextTick(resumeReading, this)
  }

  /** @internal */
  _resumeReading (): void {
    this._deliverHeld()
    if (this._readyState !== CLOSED) this._updateReading()
  }

  /** @internal Whether the peer does not take what is sent to it, for now or for ever. */
  get _isStuck (): boolean {
    return this._isChoked || this._writer.isSaturated
  }

  /** @internal Whether it is we who do not read. */
  get _isHeldBack (): boolean {
    return this._decoder.isPaused
  }

  /** @internal */
  get _writeProgress (): WriteProgress {
    return writeProgressOf(this._socket)
  }

  /** @internal Lets TCP find out whether the peer is there, after so many milliseconds without a packet. */
  _keepAlive (delay: number): void {
    if (this._isKeptAlive || !('setKeepAlive' in this._socket)) return
    this._isKeptAlive = true
    ;(this._socket as Socket).setKeepAlive(true, delay)
  }

  /** Reads, or holds the peer back through TCP, as the reasons to stop have come or gone. */
  private _updateReading (): void {
    // After a failure nothing more is delivered, and the end has to be seen.
    const isHeldByApp = this._isPausedByUser || this._fullViews > 0 || this._heldBytes > MAX_HELD
    if (!this._decoder.isFailed && (isHeldByApp || this._isChoked || this._isInflating)) {
      this._decoder.pause()
      pauseReads(this._socket)
      this._rateLimit?.stop(isHeldByApp)
      if (this._hasPeerEnded) this._limitEnd()
      return
    }
    this._rateLimit?.resume()
    this._decode(null)
    if (this._decoder.isPaused) return
    if (this._hasPeerEnded) this._finishEnd()
    // What waits in the socket is emitted in the context in which it is resumed.
    else if (this._socket.isPaused()) runInContext(this._context, this._socket.resume, this._socket)
  }

  /**
   * @internal All frames sent meanwhile leave in one write.
   *
   * @param bytes a chunk, or how many there are in the kernel's; `null`: what the decoder kept when it was paused
   */
  _decode (bytes: Buffer | number | null): void {
    // A socket reads in its own context, which is as empty. But a stream in memory, as those of `injectWS`, is read in that of
    // whoever writes to it.
    if (this._context === NO_CONTEXT && bytes !== null && this._socket instanceof Socket) this._decodeInContext(bytes)
    else runInContext(this._context, this._decodeInContext, this, bytes)
    this._chokeIfOverLimit()
  }

  private _decodeInContext (bytes: Buffer | number | null): void {
    const outer = decoding
    decoding = this
    this._writer.hold()
    if (this._rateLimit !== null && bytes !== null) this._rateLimit.noteRead(typeof bytes === 'number' ? bytes : bytes.length)
    try {
      if (bytes === null) this._decoder.resume()
      else if (typeof bytes === 'number') this._decoder.decodeLent(bytes)
      else this._decoder.decode(bytes)
    } finally {
      decoding = outer
      this._writer.release()
    }
  }

  /** Only the server does: two sides that wait for each other to read would wait for ever. */
  private _chokeIfOverLimit (): void {
    if (this._isChoked || this._settings.role === 'client' || this._writer.queuedCost <= this._readStopsAbove) return
    this._isChoked = true
    this._updateReading()
  }

  // --- what the socket tells

  /** @internal What was gathered while the socket was full can go now. */
  _onSocketDrain (): void {
    this._writer.flush()
    this._onDrain()
  }

  /** @internal */
  _onDrain (): void {
    if (this._readyState === CLOSED) return
    if (this._pendingPong !== null) {
      if (this._readyState === OPEN) this._writer.writeBytes(Opcode.PONG, this._pendingPong, true, undefined)
      this._pendingPong = null
    }
    if (this._isChoked && this._writer.queuedCost <= this._readStopsAbove) {
      this._isChoked = false
      this._updateReading()
    }
    this._emitDrain()
  }

  private _emitDrain (): void {
    if (!this._needsDrain || this._writer.isSaturated || this._readyState !== OPEN) return
    this._needsDrain = false
    this._emit('drain')
  }

  /** @internal The peer sends no more. Without a Close frame that is an abnormal closure (RFC 6455 §7.1.5). */
  _onEnd (): void {
    this._hasPeerEnded = true
    // A paused socket tells of its end all the same, and what the decoder has kept came before that.
    if (!this._isInflating && !this._decoder.hasRest) this._finishEnd()
    else this._limitEnd()
  }

  /**
   * The peer has ended, and what came before is not delivered yet. It is kept for as long as the app likes that has paused,
   * or whose loop is busy; but not for a peer that does not read, nor for a handler that may never listen.
   */
  private _limitEnd (): void {
    if (this._readyState !== OPEN) return
    if (this._isChoked || (!this._isHeard && this._settings.role === 'server')) return this._startCloseTimer()
    if (this._closeTimer !== null) clearTimeout(this._closeTimer)
    this._closeTimer = null
  }

  private _finishEnd (): void {
    if (this._readyState === CLOSED) return
    this._endSocket()
    if (this._settings.role === 'client') this._socket.end()
  }

  /** @internal */
  _onClose (): void {
    if (this._readyState === CLOSED) return
    this._readyState = CLOSED
    if (this._closeTimer !== null) clearTimeout(this._closeTimer)
    this._closeTimer = null
    this._pendingPong = null
    this._decoder.end()
    this._inflater?.close()
    this._inflater = null
    this._writer.discard()
    if (this._abortController !== null) this._run(this._abortController.abort.bind(this._abortController))
    if (this._host !== null) this._run(this._host.onEnd.bind(this._host), this, this._closeCode)

    if (this._held !== null) {
      // Messages come before `close`. If nobody asks for them in time, they are dropped.
      this._closeTimer = setTimeout(giveUpDelivery, this._settings.closeTimeout, this).unref()
      if (this._fullViews > 0) process.nextTick(deliverHeld, this)
    } else {
      this._concludeDelivery()
    }
  }

  /** @internal Nobody has asked for the messages that wait. */
  _giveUpDelivery (): void {
    this._dropHeld()
    this._concludeDelivery()
  }

  /** Drops what waits, and from now on takes nothing but the peer's Close frame. */
  private _deliverNothingMore (): void {
    this._dropHeld()
    this._decoder.skipToClose()
    this._updateReading()
  }

  private _dropHeld (): void {
    this._held = null
    this._heldBytes = 0
  }

  /** `close` too waits, until the handler has settled or somebody listens. */
  private _emitCloseIfHeard (): void {
    if (this._closeEmitted || !(this._isHeard || this.listenerCount('close') > 0)) return
    this._closeEmitted = true
    if (this._closeTimer !== null) clearTimeout(this._closeTimer)
    this._emit('close', this._closeCode, this._closeReason)
  }

  /** @internal Whether nothing more will ever be emitted. */
  get _isOver (): boolean {
    return this._closeEmitted
  }

  /** @internal Whether both sides sent a Close frame (RFC 6455 §7.1.4). */
  get _wasClean (): boolean {
    return this._closeFrameReceived && this._closeFrameSent
  }

  // --- listeners

  /** Calls code of the app: in the context of the handshake, whatever called us. */
  private _run<Args extends unknown[]> (fn: (...args: Args) => unknown, ...args: Args): unknown {
    return decoding === this ? Reflect.apply(fn, this, args) : runInContext(this._context, fn, this, ...args)
  }

  /** Emits, and reports what a listener throws: no listener can end the process. */
  private _emit (event: keyof WebSocketConnectionEvents, ...args: unknown[]): void {
    try {
      this._run(this.emit as (event: string, ...args: unknown[]) => boolean, event, ...args)
    } catch (error) {
      this._reportThrown(error)
    }
  }

  /** What an async listener rejects with (`captureRejections`). */
  [Symbol.for('nodejs.rejection')] (error: unknown): void {
    this._reportThrown(error)
  }

  /** @internal What the handler, a listener or a callback threw or rejected with. */
  _reportThrown (thrown: unknown): void {
    // A loop or a listener that throws on what the peer did wrong tells nothing new.
    if (thrown === this._failure && thrown !== null) return
    if (this._host !== null) this._reportToHost(toError(thrown))
    // The client of `injectWS` belongs to a test, which shall notice.
    else process.nextTick(rethrow, thrown)
  }

  private _reportToHost (error: Error): void {
    if (this._host !== null) this._run(this._host.onError.bind(this._host), this, error)
  }

  override on (event: never, listener: never): this {
    super.on(event, listener)
    return this._listenerAdded(event)
  }

  override addListener (event: never, listener: never): this {
    super.addListener(event, listener)
    return this._listenerAdded(event)
  }

  override prependListener (event: never, listener: never): this {
    super.prependListener(event, listener)
    return this._listenerAdded(event)
  }

  /** Delivery starts when a listener is there, in the next tick: those added beside it hear everything too. */
  private _listenerAdded (event: string | symbol): this {
    // Nothing follows `close`.
    if (this._closeEmitted) return this
    if (event === 'message' || event === 'json') {
      if (event === 'json') this._mayHearJson = true
      if (this._held !== null || this._readyState === CLOSED) process.nextTick(deliverHeld, this)
    } else if (event === 'close' && this._readyState === CLOSED && this._held === null) {
      process.nextTick(deliverHeld, this)
    }
    return this
  }

  addEventListener<K extends keyof WebSocketEventMap> (type: K, listener: WebSocketEventListener<WebSocketEventMap[K]>, options?: { once?: boolean }): void {
    if (this._findDomListener(type, false, listener) !== undefined) return
    const wrapper = toDomListener(type, listener as WebSocketEventListener<never>, false, wasClean)
    if (options?.once === true) this.once(type, wrapper as never)
    else this.on(type as never, wrapper as never)
  }

  removeEventListener<K extends keyof WebSocketEventMap> (type: K, listener: WebSocketEventListener<WebSocketEventMap[K]>): void {
    const wrapper = this._findDomListener(type, false, listener)
    if (wrapper !== undefined) this.removeListener(type, wrapper as never)
  }

  private _findDomListener (type: DomEventType, isProperty: boolean, listener?: unknown): DomListener | undefined {
    return (this.listeners(type) as unknown as DomListener[]).find(candidate =>
      candidate.domListener !== undefined && candidate.isProperty === isProperty && (isProperty || candidate.domListener === listener))
  }

  private _getHandler<K extends DomEventType> (type: K): DomHandler<K> {
    return (this._findDomListener(type, true)?.domListener as DomHandler<K> | undefined) ?? null
  }

  private _setHandler<K extends DomEventType> (type: K, handler: DomHandler<K>): void {
    const previous = this._findDomListener(type, true)
    if (previous !== undefined) this.removeListener(type, previous as never)
    if (typeof handler === 'function') this.on(type as never, toDomListener(type, handler as WebSocketEventListener<never>, true, wasClean) as never)
  }

  get onopen (): DomHandler<'open'> { return this._getHandler('open') }
  set onopen (handler: DomHandler<'open'>) { this._setHandler('open', handler) }
  get onmessage (): DomHandler<'message'> { return this._getHandler('message') }
  set onmessage (handler: DomHandler<'message'>) { this._setHandler('message', handler) }
  get onclose (): DomHandler<'close'> { return this._getHandler('close') }
  set onclose (handler: DomHandler<'close'>) { this._setHandler('close', handler) }
  get onerror (): DomHandler<'error'> { return this._getHandler('error') }
  set onerror (handler: DomHandler<'error'>) { this._setHandler('error', handler) }

  // --- other views

  [Symbol.asyncIterator] (): AsyncIterableIterator<string | Buffer> {
    return new MessageIterator(this, 'message')
  }

  json (): AsyncIterableIterator<unknown> {
    return new MessageIterator(this, 'json')
  }

  stream (options?: DuplexOptions): Duplex {
    return createMessageStream(this, options)
  }
}

for (const [name, value] of Object.entries({ CONNECTING, OPEN, CLOSING, CLOSED })) {
  const constant = { value, enumerable: true }
  Object.defineProperty(Connection, name, constant)
  Object.defineProperty(Connection.prototype, name, constant)
}

function onSocketData (this: ConnectionSocket, chunk: Buffer): void {
  const connection = this[kConnection]
  connection._hasHeard = true
  connection._decode(chunk)
}

function onSocketRead (this: ConnectionSocket, length: number): void {
  const connection = this[kConnection]
  connection._hasHeard = true
  connection._decode(length)
}

function onSocketEnd (this: ConnectionSocket): void {
  this[kConnection]._onEnd()
}

function onSocketDrain (this: ConnectionSocket): void {
  this[kConnection]._onSocketDrain()
}

function onSocketClose (this: ConnectionSocket): void {
  this[kConnection]._onClose()
}

/** A broken transport is an ending, not an error of the connection: `close` tells 1006 (RFC 6455 §7.1.5). */
function onSocketError (this: ConnectionSocket): void {
  this.destroy()
}

function destroySocket (socket: Duplex): void {
  socket.destroy()
}

function deliverHeld (connection: Connection): void {
  connection._deliverHeld()
}

function resumeReading (connection: Connection): void {
  connection._resumeReading()
}

function drained (connection: Connection): void {
  connection._onDrain()
}

function reportFailure (connection: Connection, error: WebSocketError): void {
  connection._reportFailure(error)
}

function giveUpDelivery (connection: Connection): void {
  connection._giveUpDelivery()
}

function rethrow (thrown: unknown): never {
  throw thrown
}

function wasClean (connection: WebSocketConnection): boolean {
  return (connection as Connection)._wasClean
}

function toError (thrown: unknown): Error {
  return thrown instanceof Error ? thrown : createError('FST_WS_ERR_THROWN_VALUE', `the handler or a listener threw ${String(thrown)}`, { cause: thrown })
}

function convertMessage (data: Buffer, type: BinaryType): unknown {
  if (type === 'fragments') return [data]
  if (type === 'blob') return new Blob([data])
  return data.buffer.slice(data.byteOffset, data.byteOffset + data.length)
}
