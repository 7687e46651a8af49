/** Optional optimizations, and features of Node that are found out: behaviour is the same without any of them. */
export type Optimization =
  /** Unmasking in WebAssembly. */
  | 'simd'
  /** Finding and unmasking all small frames of a chunk in one call. */
  | 'scan'
  /** Frames gathered into one write; without it, each is written at once. */
  | 'batches'
  /** Frames of broadcasts that wait for the end of the turn of the loop, not only of the tick. */
  | 'turns'
  /** Plain TCP sockets that read into the buffer of the scanner. */
  | 'lent-reads'
  /** Short writes to plain TCP sockets that go past the Writable of the socket. */
  | 'direct-writes'
  /** One async context for all connections whose handshake had none. */
  | 'empty-contexts'
  /** Responses of upgrades that are Node's only once somebody uses them as such. */
  | 'lean-responses'
  /** Resets of clients that make no error where nobody listens to the socket. */
  | 'quiet-resets'
  /** Listeners of connections in an object that takes less memory than a hash table. */
  | 'lean-listeners'
  /** Short collections that free young buffers before these make V8 collect everything. */
  | 'early-scavenges'
  /** Free memory of large buffers that the C library keeps. */
  | 'kept-memory'
  /** Text converted by way of UTF-16. */
  | 'transcode'
  /** Native zlib contexts that are kept between messages. */
  | 'zlib-contexts'
  /** Dictionaries of zlib's raw streams; without them, their content is inflated anew for each message. */
  | 'dictionaries'
  /** Schemas of messages compiled when the app gets ready, and not with the first handshake. */
  | 'early-compilers'

const disabled = new Set(process.env.FASTIFY_WS_ROUTES_WITHOUT?.split(','))

/** Whether an optimization is wanted: for tests and benchmarks the environment names those that are not, or `all`. */
export function isWanted (optimization: Optimization): boolean {
  return !disabled.has(optimization) && !disabled.has('all')
}
