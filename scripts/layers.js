// The layers of lib/, from the top to the bottom, and what a module in each may use besides the layers below it: modules of
// Node, packages (types of Fastify included), and globals that are not free for all. `npm run lint` enforces this table
// (scripts/layer-rules.js), and docs/architecture.md explains it.
//
// A layer is a folder of lib/, or a file in it; `types` is the folder beside it, which every layer may use.

/** Globals that tie code to the event loop, to the process, or to the garbage collector. */
const EVENT_LOOP = ['setTimeout', 'setInterval', 'setImmediate', 'clearTimeout', 'clearInterval', 'clearImmediate', 'queueMicrotask']
const PROCESS = ['process', 'performance']
const COLLECTOR = ['WeakRef', 'FinalizationRegistry', 'gc']

export const LAYERS = [
  { name: 'index.ts' },
  { name: 'plugin.ts', packages: ['fastify', 'fastify-plugin'] },
  { name: 'asyncapi', packages: ['fastify'] },
  { name: 'declared-topics', packages: ['fastify'] },
  { name: 'shutdown.ts', node: ['http'], packages: ['fastify'] },
  { name: 'membership.ts', node: ['http'], packages: ['fastify'] },
  { name: 'inject', node: ['http', 'http2', 'stream', 'stream/consumers'], packages: ['fastify'] },
  { name: 'routes', node: ['diagnostics_channel', 'tls'], packages: ['fastify'] },
  { name: 'upgrade', node: ['diagnostics_channel', 'events', 'http', 'http2', 'net', 'stream', 'tls'], packages: ['fastify', 'find-my-way'] },
  { name: 'fastify-internals.ts', node: ['http'], packages: ['fastify'] },
  { name: 'topics-protocol', node: ['buffer', 'crypto'], packages: ['fastify'] },
  { name: 'server', node: ['crypto', 'diagnostics_channel', 'events'], packages: ['fastify'] },
  { name: 'topics', node: ['buffer', 'crypto'] },
  { name: 'connection', node: ['buffer', 'events', 'net', 'stream', 'tls', 'util/types', 'v8', 'worker_threads'], packages: ['secure-json-parse'] },
  { name: 'socket', node: ['events', 'net', 'stream', 'tls'] },
  { name: 'compression', node: ['buffer', 'zlib'] },
  { name: 'options', node: ['http', 'https'], without: [...EVENT_LOOP, ...PROCESS, ...COLLECTOR] },
  { name: 'async-context.ts', node: ['async_hooks'] },
  { name: 'protocol', node: ['buffer', 'crypto'], without: [...EVENT_LOOP, ...PROCESS, ...COLLECTOR] },
  { name: 'within.ts', without: [...PROCESS, ...COLLECTOR] },
  { name: 'thenable.ts', without: [...EVENT_LOOP, ...PROCESS] },
  { name: 'optimizations.ts', env: true },
  { name: 'common.ts', without: [...EVENT_LOOP, ...COLLECTOR] },
  // Entries of their own, of which the plugin loads nothing.
  { name: 'client', without: PROCESS },
  { name: 'broker-tests', node: ['assert/strict', 'crypto'] },
  { name: 'redis', node: ['crypto'] },
  { name: 'nats', node: ['crypto'] },
  { name: 'pauses.ts', without: [...EVENT_LOOP, ...PROCESS, ...COLLECTOR] },
  { name: 'errors.ts', without: [...EVENT_LOOP, ...PROCESS, ...COLLECTOR] },
  { name: 'types', node: ['events', 'http', 'https', 'stream'], packages: ['fastify'] }
]

/** @param {string} file below the root, with slashes */
export function layerOf (file) {
  const [root, first] = file.split('/')
  return root === 'types' ? 'types' : first
}
