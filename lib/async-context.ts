import { AsyncResource } from 'node:async_hooks'
import { IS_KNOWN_NODE, NODE_MAJOR } from './common.js'
import { isWanted } from './optimizations.js'

// Values that hooks put into an `AsyncLocalStorage` (request ids, traces, loggers) belong to the handshake. Sockets, timers and
// other connections call us in other contexts. So all code of the app is called through `runInContext`.

// Only whether there is any store is not public: see `isEmpty`. Everything works without it.

const readsResources = isWanted('empty-contexts') && IS_KNOWN_NODE

/** Before this version a resource carries the stores itself: `enterWith` changes them for good, and not only for the call. */
const RESTORES_STORES_FROM = 24
const restoresStores = NODE_MAJOR >= RESTORES_STORES_FROM

const RESOURCE_TYPE = 'FASTIFYWEBSOCKET'

/** The context of the code that captured it: a resource, as it is public in Node. */
export type AsyncContext = AsyncResource

/** The context without any store. All connections share it, so that it takes no memory per connection in apps without stores. */
export const NO_CONTEXT: AsyncContext = createEmptyContext()

/** The property that is no id: since Node 24, it has all stores. */
const kStores: unique symbol = Object.getOwnPropertySymbols(NO_CONTEXT).find(symbol => typeof Reflect.get(NO_CONTEXT, symbol) !== 'number') as never
const hasOneStoresSymbol = kStores !== undefined && Object.getOwnPropertySymbols(NO_CONTEXT).length === 3

/** @returns the current context; `NO_CONTEXT` if no store is in use */
export function captureContext (): AsyncContext {
  const context = createResource()
  return isEmpty(context) ? NO_CONTEXT : context
}

/** Calls a function in a context. A context that the function enters by `enterWith` ends with the call. */
export function runInContext<Args extends unknown[], Result> (context: AsyncContext, fn: (...args: Args) => Result, thisArg: unknown, ...args: Args): Result {
  const call = fn as (this: unknown, ...args: unknown[]) => Result
  if (restoresStores) return context.runInAsyncScope(call, thisArg, ...args)
  return context.runInAsyncScope(createResource).runInAsyncScope(call, thisArg, ...args)
}

function createResource (): AsyncResource {
  return new AsyncResource(RESOURCE_TYPE)
}

/** The module may be loaded within a context: this takes it off the resource. */
function createEmptyContext (): AsyncResource {
  const context = createResource()
  for (const symbol of Object.getOwnPropertySymbols(context)) {
    if (typeof Reflect.get(context, symbol) !== 'number') Reflect.set(context, symbol, undefined)
  }
  return context
}

/**
 * Whether no store is in use. Node does not say, but its resources have two ids as symbol properties, and beside them one
 * for each `AsyncLocalStorage` that is in use, or since Node 24 one for all of them. Any other shape counts as a context:
 * then a connection keeps its resource, which is all that this saves.
 */
function isEmpty (context: AsyncContext): boolean {
  if (!readsResources) return false
  if (!restoresStores) return Object.getOwnPropertySymbols(context).length === 2
  return hasOneStoresSymbol && (context as { readonly [kStores]?: unknown })[kStores] === undefined
}
