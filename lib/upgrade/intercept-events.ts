import type { EventEmitter } from 'node:events'

/**
 * Called with each event before any listener. `emitNext` passes it to the listeners. @returns the value that `emit` returns
 */
export type Interceptor = (event: string | symbol, args: unknown[], emitNext: () => boolean) => boolean

/**
 * Looks at the events of a server before its listeners do. All listeners of an event are called, and nothing but the
 * emitter can keep one of them from what belongs to another.
 *
 * @returns a function that ends it
 */
export function interceptEvents (server: EventEmitter, intercept: Interceptor): () => void {
  const replaced = Object.hasOwn(server, 'emit') ? server.emit : null
  const emit = (event: string | symbol, ...args: unknown[]): boolean => intercept(event, args, () =>
    // Diagnostics may replace the prototype's at any time.
    Reflect.apply(replaced ?? Object.getPrototypeOf(server).emit, server, [event, ...args]) as boolean)
  server.emit = emit
  return () => {
    // Code that has replaced our `emit` goes on calling it.
    if (server.emit !== emit) return
    if (replaced === null) Reflect.deleteProperty(server, 'emit')
    else server.emit = replaced
  }
}
