import { constants, type Http2Stream } from 'node:http2'

/**
 * Makes `destroy` of a stream reset it with CANCEL, which is to HTTP/2 what destroying a socket is to TCP (RFC 8441 §4);
 * Node's own says NO_ERROR. And makes it wait until nothing is being read: to reset a stream Node sends what is
 * pending at once, and from within a chunk that nghttp2 is reading, where it is not reentrant, that corrupts memory
 * (seen on Node 20, as crashes).
 */
export function cancelWhenDestroyed (stream: Http2Stream): void {
  stream.destroy = cancel
}

function cancel (this: Http2Stream, error?: Error): Http2Stream {
  // It is Node that destroys what is reset already, or what has lost its session.
  if (this.closed || this.session === undefined || this.session.destroyed) return destroy(this, error)
  // As of one that is destroyed, nothing is read any more.
  this.pause()
  setImmediate(closeAndDestroy, this, error)
  return this
}

function closeAndDestroy (stream: Http2Stream, error: Error | undefined): void {
  if (stream.destroyed) return
  stream.close(constants.NGHTTP2_CANCEL)
  destroy(stream, error)
}

function destroy (stream: Http2Stream, error: Error | undefined): Http2Stream {
  return Reflect.apply(Object.getPrototypeOf(stream).destroy, stream, [error])
}
