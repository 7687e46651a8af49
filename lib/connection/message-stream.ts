import { Duplex, type DuplexOptions } from 'node:stream'
import type { WebSocketConnection } from '../../types/connection.js'
import type { Mailbox, Subscriber } from './mailbox.js'

/**
 * A Duplex over the messages of a connection; see `stream` in `types/connection.ts`.
 *
 * @param reportThrown gets an error of the stream that nobody else handles
 */
export function createMessageStream (connection: WebSocketConnection, mailbox: Mailbox, reportThrown: (error: unknown) => void, options?: DuplexOptions): Duplex {
  let isFull = false
  let isOver = false
  /** Called when the connection is over. */
  let onOver: (() => void) | null = null
  const stream = new Duplex({
    ...options,
    autoDestroy: false,
    emitClose: false,
    read: makeRoom,
    write (chunk: Buffer | string, _encoding, callback) {
      connection.send(chunk, callback)
    },
    final (callback) {
      if (isOver) return callback()
      onOver = callback
      connection.close()
    },
    destroy (error, callback) {
      const finish = (): void => {
        callback(error)
        process.nextTick(() => stream.emit('close'))
      }
      makeRoom()
      if (isOver) return finish()
      // `final`, if it waits, waits for nothing any more: a stream that is destroyed does not finish.
      onOver = finish
      connection.terminate()
    }
  })

  function makeRoom (): void {
    if (!isFull) return
    isFull = false
    mailbox.viewHasRoom()
  }

  const view: Subscriber = {
    kind: 'message',
    receive (data, isBinary) {
      if (stream.push(stream.readableObjectMode && !isBinary ? String(data) : data) || isFull) return
      isFull = true
      mailbox.viewIsFull()
    },
    onError (error) {
      stream.destroy(error)
    },
    onClose () {
      isOver = true
      onOver?.()
      if (stream.destroyed) return
      stream.push(null)
      // Like a socket, the stream is over when both sides are.
      if (stream.readableEnded) stream.destroy()
      else stream.once('end', () => stream.destroy())
    }
  }

  // A peer must not be able to end the process through a stream whose errors nobody handles.
  stream.on('error', error => {
    if (stream.listenerCount('error') === 1) reportThrown(error)
    // A write that has failed does not do that by itself.
    stream.destroy()
  })
  mailbox.subscribe(view)
  return stream
}
