import type { Duplex } from 'node:stream'
import type { WebSocketError } from '../errors.js'
import type { Mailbox } from './mailbox.js'

// Timers and ticks call these functions. All sessions share them, where closures would cost each of them memory.

export function destroySocket (socket: Duplex): void {
  socket.destroy()
}

export function giveUp (mailbox: Mailbox): void {
  mailbox.giveUp()
}

export function reportFailure (mailbox: Mailbox, error: WebSocketError): void {
  mailbox.fail(error)
}

export function rethrow (thrown: unknown): never {
  throw thrown
}
