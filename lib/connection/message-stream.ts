import { Duplex, type DuplexOptions } from 'node:stream'
import type { WebSocketConnection } from '../../types/connection.js'
import type { HeldMessage } from './held-message.js'

/** A connection that tells whether it has already emitted its last event. */
interface EndingConnection extends WebSocketConnection {
  readonly _isOver: boolean
  /** The bytes of the message, if `binaryType` has given it another form. */
  readonly _converted: Buffer | null
  _takeHeld (): HeldMessage[]
  _viewIsFull (): void
  _viewHasRoom (): void
  _reportThrown (error: unknown): void
}

/** A Duplex over the messages of a connection; see `stream` in `types/connection.ts`. */
export function createMessageStream (connection: EndingConnection, options?: DuplexOptions): Duplex {
  let isFull = false
  const makeRoom = (): void => {
    if (!isFull) return
    isFull = false
    connection._viewHasRoom()
  }
  const stream = new Duplex({
    ...options,
    autoDestroy: false,
    emitClose: false,
    read: makeRoom,
    write (chunk: Buffer | string, _encoding, callback) {
      connection.send(chunk, callback)
    },
    final (callback) {
      if (connection._isOver) return callback()
      connection.prependOnceListener('close', () => callback())
      connection.close()
    },
    destroy (error, callback) {
      makeRoom()
      if (connection._isOver) {
        finishDestroy()
      } else {
        connection.prependOnceListener('close', finishDestroy)
        connection.terminate()
      }
      function finishDestroy (): void {
        callback(error)
        process.nextTick(() => stream.emit('close'))
      }
    }
  })

  // A peer shall not be able to end the process through a stream whose errors nobody watches.
  stream.on('error', error => {
    if (stream.listenerCount('error') === 1) connection._reportThrown(error)
    // A write that has failed does not do that by itself.
    stream.destroy()
  })
  const push = (data: Buffer, isBinary: boolean): boolean => stream.push(stream.readableObjectMode && !isBinary ? String(data) : data)
  const end = (): void => {
    if (stream.destroyed) return
    stream.push(null)
    // Like a socket, the stream is over when both sides are.
    if (stream.readableEnded) stream.destroy()
    else stream.once('end', () => stream.destroy())
  }
  if (connection._isOver) {
    // What a loop has left behind.
    for (const { data, isBinary } of connection._takeHeld()) push(data, isBinary)
    end()
    return stream
  }
  // First of all listeners: one that throws keeps the event from those behind it.
  connection.prependListener('message', (data, isBinary) => {
    if (push(connection._converted ?? data, isBinary) || isFull) return
    isFull = true
    connection._viewIsFull()
  })
  connection.prependOnceListener('error', error => stream.destroy(error))
  connection.prependOnceListener('close', end)
  return stream
}
