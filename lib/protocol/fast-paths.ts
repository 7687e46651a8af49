/** The ways that only save time: everything works without any of them. */
export type FastPath =
  /** Unmasking in WebAssembly. */
  | 'simd'
  /** Finding and unmasking all small frames of a chunk in one call. */
  | 'scan'
  /** Frames gathered into one write; without it, each is written at once. */
  | 'batches'
  /** Frames of broadcasts that wait for the end of the turn of the loop, not only of the tick. */
  | 'turns'
  /** Plain TCP sockets that read into the chunk of the scanner. */
  | 'lent-reads'
  /** One async context for all connections whose handshake had none. */
  | 'empty-contexts'
  /** Young buffers that V8 collects before they make it collect everything. */
  | 'early-scavenges'
  /** Text converted by way of UTF-16. */
  | 'transcode'
  /** Native zlib contexts that are kept between messages. */
  | 'zlib-contexts'
  /** Dictionaries of zlib's raw streams; without them, what they contain is inflated anew for each message. */
  | 'dictionaries'
  /** Schemas of messages compiled when the app gets ready, and not with the first handshake. */
  | 'early-compilers'

const disabled = new Set(process.env.FASTIFY_WS_ROUTES_WITHOUT?.split(','))

/** Whether a fast path is wanted: for tests and benchmarks the environment can name those that are not, or `all`. */
export function isWanted (path: FastPath): boolean {
  return !disabled.has(path) && !disabled.has('all')
}
