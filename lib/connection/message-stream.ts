import { Duplex, type DuplexOptions } from 'node:stream'
import type { WebSocketConnection } from '../../types/connection.js'

/** A connection that tells whether it has already emitted its last event. */
interface EndingConnection extends WebSocketConnection {
  readonly _isOver: boolean
  _reportThrown (error: unknown): void
}

/** A Duplex over the messages of a connection; see `stream` in `types/connection.ts`. */
export function createMessageStream (connection: EndingConnection, options?: DuplexOptions): Duplex {
  const stream = new Duplex({
    ...options,
    autoDestroy: false,
    emitClose: false,
    read () {
      connection.resume()
    },
    write (chunk: Buffer | string, _encoding, callback) {
      connection.send(chunk, callback)
    },
    final (callback) {
      if (connection._isOver) return callback()
      connection.once('close', () => callback())
      connection.close()
    },
    destroy (error, callback) {
      if (connection._isOver) {
        finishDestroy()
      } else {
        connection.once('close', finishDestroy)
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
  })
  connection.on('message', (data, isBinary) => {
    const chunk = stream.readableObjectMode && !isBinary ? String(data) : data
    if (!stream.push(chunk)) connection.pause()
  })
  connection.once('error', error => stream.destroy(error))
  connection.once('close', () => {
    if (stream.destroyed) return
    stream.push(null)
    // Like a socket, the stream is over when both sides are.
    if (stream.readableEnded) stream.destroy()
    else stream.once('end', () => stream.destroy())
  })
  if (connection._isOver) stream.push(null)
  return stream
}
