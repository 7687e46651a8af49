import { Buffer } from 'node:buffer'
import type { Duplex } from 'node:stream'
import type { SendCallback, SendOptions, WebSocketData } from '../../types/messages.js'
import { createError, type WebSocketError } from '../errors.js'
import { encodeClosePayload } from '../protocol/close-payload.js'
import { frameHeaderLength } from '../protocol/frame-encoder.js'
import { Opcode } from '../protocol/opcodes.js'
import { DeflatingWriter } from './deflating-writer.js'
import { FrameWriter, type FrameWriterOwner } from './frame-writer.js'
import { checkMessageOptions } from './message-options.js'
import { OrderedWriter } from './ordered-writer.js'
import { toBytesOrBlob, toControlPayload, type BlobLike } from './payload.js'
import { PauseReason } from './pause-reason.js'
import type { Agreement, ConnectionCounts, ConnectionSettings } from './settings.js'
import type { SharedMessage } from './shared-message.js'

/**
 * Stop reading from a peer once this many bytes are queued for it, so that it cannot make the queue grow. Less where
 * `maxBufferedAmount` is small: a peer that only receives replies is throttled before it is disconnected.
 */
const READ_STOPS_ABOVE = 1024 * 1024

/** The connection that an outbox belongs to. */
export interface OutboxOwner extends Pick<ConnectionCounts, 'messagesSent' | 'bytesSent'> {
  readonly socket: Duplex
  readonly settings: ConnectionSettings
  readonly readyState: number
  /** Whether data may be sent. */
  readonly maySend: boolean
  /** Bits of `PauseReason`. */
  readonly pauseReasons: number
  setPaused (reason: number, isPaused: boolean): void
  /** More may be sent, after `send` has returned `false`. */
  onDrained (): void
  callBack (callback: SendCallback, error?: Error | null): void
  /** The peer does not read, and too much is queued to it. */
  onSlowReader (error: WebSocketError): void
  /** A message cannot be sent, and nothing that was to follow it was. */
  onUnsendable (error: Error): void
}

/** Sends what a connection has to send, messages and control frames in their order, and limits how much is queued to a peer. */
export class Outbox implements FrameWriterOwner {
  private readonly owner: OutboxOwner
  private writer: FrameWriter
  /** Whether a message is begun whose last fragment is still to come. */
  private isFragmenting = false
  /** Whether `send` has returned `false`, and `drain` is due. */
  private needsDrain = false
  private pendingPong: Buffer | null = null
  /** Callbacks of the batches that the socket has not written yet, oldest batch first. */
  private inFlight: SendCallback[][] | null = null

  constructor (owner: OutboxOwner, deflate: Agreement['deflate']) {
    this.owner = owner
    const { socket, settings } = owner
    const isClient = settings.role === 'client'
    this.writer = deflate === null ? new FrameWriter(socket, isClient, this) : new DeflatingWriter(socket, isClient, this, deflate.sending)
  }

  get bufferedAmount (): number { return this.writer.bufferedAmount }
  /** Whether the peer takes nothing more now. */
  get isSaturated (): boolean { return this.writer.isSaturated }

  send (data: WebSocketData | Blob, options: SendOptions | undefined, callback: SendCallback | undefined): boolean {
    const isText = typeof data === 'string'
    const payload = isText ? null : toBytesOrBlob(data)
    // Code for ws passes null for none.
    if (options !== undefined && options !== null) checkMessageOptions('send', options)
    const { owner } = this
    if (!owner.maySend) return this.refuse(callback)

    const fin = options?.fin !== false
    const isBinary = options?.binary ?? !isText
    const opcode = this.isFragmenting ? Opcode.CONTINUATION : isBinary ? Opcode.BINARY : Opcode.TEXT
    const compress = options?.compress !== false
    this.isFragmenting = !fin
    if (fin) owner.messagesSent++
    const length = payload === null
      ? this.writer.writeText(opcode, data as string, fin, callback, compress)
      : this.write(opcode, payload, fin, callback, compress)
    owner.bytesSent += length
    if (!this.writer.isSaturated) return true
    this.needsDrain = true
    this.limit(length)
    return false
  }

  /** Queues a message that is made once for many. @returns whether it was */
  sendShared (message: SharedMessage): boolean {
    const { owner } = this
    // A fragmented message cannot be interrupted by another (RFC 6455 §5.4).
    if (!owner.maySend || this.isFragmenting) return false
    owner.messagesSent++
    owner.bytesSent += message.length
    this.writer.writeShared(message)
    if (this.writer.isSaturated) this.limit(message.length)
    return true
  }

  /** Queues a message that only shows that the server is there: it counts as none, and a peer that does not read gets none. */
  sendBeat (message: SharedMessage): void {
    if (this.owner.maySend && !this.isFragmenting && !this.writer.isSaturated) this.writer.writeShared(message)
  }

  /** Sends a Ping or Pong of the app. */
  sendControl (opcode: number, data: unknown, callback: SendCallback | undefined): void {
    const payload = toControlPayload(data)
    if (!this.owner.maySend) {
      this.refuse(callback)
      return
    }
    const length = this.write(opcode, payload, true, callback, false)
    if (this.writer.isSaturated) this.limit(length)
  }

  /** Sends a Ping of the server's own, at once. */
  sendPing (payload: Buffer): void {
    this.writer.hold()
    this.writer.writeBytes(Opcode.PING, payload, true, undefined)
    this.writer.release()
  }

  /**
   * Answers a Ping. RFC 6455 §5.5.3 lets us answer only the latest: a peer that does not read cannot make us queue more than
   * one Pong, and the answer to an earlier Ping never follows that to a later one.
   */
  answer (ping: Buffer): void {
    this.pendingPong = null
    if (this.writer.isSaturated) this.pendingPong = Buffer.from(ping)
    else this.writer.writeBytes(Opcode.PONG, ping, true, undefined)
  }

  /** Sends a Close frame behind everything that was sent before. */
  sendClose (code: number | undefined, reason: Uint8Array): void {
    this.writer.writeBytes(Opcode.CLOSE, encodeClosePayload(code, reason), true, undefined)
    this.writer.flush()
  }

  /** Refuses to send on a connection that is not open. */
  refuse (callback: SendCallback | undefined): false {
    if (callback !== undefined) {
      process.nextTick(() => this.owner.callBack(callback, createError('FST_WS_ERR_NOT_OPEN', `WebSocket is not open: readyState is ${this.owner.readyState}`)))
    }
    return false
  }

  hold (): void { this.writer.hold() }
  release (): void { this.writer.release() }
  flush (): void { this.writer.flush() }
  /** Ends the socket behind everything that was sent. */
  end (): void { this.writer.end() }

  /** Reports it when more may be sent, as after a `send` that has returned `false`. */
  expectDrain (): void { this.needsDrain = true }
  /** Calls back when all that was sent before is written; with an error if it never is. */
  whenWritten (callback: SendCallback): void { this.writer.whenWritten(callback) }

  /** The socket is closed. */
  discard (): void {
    this.pendingPong = null
    // Node's streams of HTTP/2 can forget the callback of a write when they are destroyed.
    if (this.inFlight !== null) this.settle(this.inFlight.at(-1)!, createError('FST_WS_ERR_CLOSED'))
    this.writer.discard()
  }

  /** Stops reading from a peer for which too much is queued. Only the server does: two sides that wait for each other would wait for ever. */
  chokeIfOverLimit (): void {
    if (this.owner.settings.role === 'server' && this.isOverReadLimit()) this.owner.setPaused(PauseReason.QUEUE, true)
  }

  /** Some of what was queued was written. */
  drain (): void {
    const { owner } = this
    if (this.pendingPong !== null) {
      if (owner.maySend) this.writer.writeBytes(Opcode.PONG, this.pendingPong, true, undefined)
      this.pendingPong = null
    }
    if (!this.isOverReadLimit()) owner.setPaused(PauseReason.QUEUE, false)
    if (!this.needsDrain || this.writer.isSaturated || !owner.maySend) return
    this.needsDrain = false
    owner.onDrained()
  }

  private isOverReadLimit (): boolean {
    const queued = this.writer.queuedCost
    if (queued === 0) return false
    const { settings, socket } = this.owner
    return queued > Math.max(Math.min(READ_STOPS_ABOVE, settings.maxBufferedAmount / 2), socket.writableHighWaterMark)
  }

  /** @returns bytes of the payload */
  private write (opcode: number, payload: Buffer | BlobLike, fin: boolean, callback: SendCallback | undefined, compress: boolean): number {
    if (Buffer.isBuffer(payload)) {
      this.writer.writeBytes(opcode, payload, fin, callback, compress)
      return payload.length
    }
    // A Blob is read asynchronously, and what is sent behind it has to wait: few connections need a writer that can.
    if (!(this.writer instanceof OrderedWriter)) {
      this.writer.write()
      this.writer = new OrderedWriter(this.owner.socket, this.owner.settings.role === 'client', this)
    }
    (this.writer as OrderedWriter).writeBlob(opcode, payload, fin, callback, compress)
    return payload.size
  }

  /**
   * Disconnects a peer that does not read. The message queued last does not count: a single message that is longer than
   * the limit says nothing about its receiver.
   *
   * @param added bytes of the payload that was queued last
   */
  private limit (added: number): void {
    const waiting = this.writer.bufferedAmount - added - frameHeaderLength(added, false)
    // Below its high-water mark a socket is not full, and never emits `drain`.
    const { settings, socket } = this.owner
    if (waiting <= Math.max(settings.maxBufferedAmount, socket.writableHighWaterMark)) this.chokeIfOverLimit()
    else this.owner.onSlowReader(createError('FST_WS_ERR_SLOW_READER', `${waiting} bytes wait for a peer that does not read`))
  }

  /** Calls the callbacks of a batch, and of those before it: a socket that is destroyed fails the batches it has queued first. */
  private settle (batch: SendCallback[], error: Error | null | undefined): void {
    const { inFlight } = this
    const count = inFlight === null ? 0 : inFlight.indexOf(batch) + 1
    // Settled already.
    if (count === 0) return
    let settled = inFlight!
    // Connections that have nothing in flight keep no array.
    if (count === settled.length) this.inFlight = null
    else settled = settled.splice(0, count)
    for (const callbacks of settled) for (const callback of callbacks) this.owner.callBack(callback, error)
  }

  // --- what the writer reports

  follow (callbacks: SendCallback[]): SendCallback {
    if (this.inFlight === null) this.inFlight = [callbacks]
    else this.inFlight.push(callbacks)
    return error => this.settle(callbacks, error)
  }

  onFlushed (): void {
    // The socket emits `drain` only if it was filled; otherwise the batch alone, or what was to be compressed, was too large.
    const isAwaited = this.needsDrain || this.pendingPong !== null || (this.owner.pauseReasons & PauseReason.QUEUE) !== 0
    if (isAwaited && !this.writer.isSaturated) process.nextTick(drain, this)
  }

  afterCallbacks (callback: SendCallback): void {
    if (this.inFlight === null) this.callBack(callback)
    else this.inFlight.at(-1)!.push(callback)
  }

  onUnsendable (error: Error): void {
    this.owner.onUnsendable(error)
  }

  callBack (callback: SendCallback, error?: Error | null): void {
    this.owner.callBack(callback, error)
  }
}

function drain (outbox: Outbox): void {
  outbox.drain()
}
