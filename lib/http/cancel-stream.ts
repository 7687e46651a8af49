import { constants, type Http2Stream } from 'node:http2'

/**
 * Makes `destroy` of a stream reset it with CANCEL, which is to HTTP/2 what destroying a socket is to TCP (RFC 8441 §4).
 * Node's own says NO_ERROR, and sends that from within the reading of a chunk: there nghttp2 is not reentrant, and
 * has corrupted memory (seen on Node 20). With CANCEL Node waits until it is done.
 */
export function cancelWhenDestroyed (stream: Http2Stream): void {
  stream.destroy = cancel
}

function cancel (this: Http2Stream, error?: Error): Http2Stream {
  if (!this.closed) this.close(constants.NGHTTP2_CANCEL)
  return Reflect.apply(Object.getPrototypeOf(this).destroy, this, [error])
}
