import type { EventEmitter } from 'node:events'
import { isWanted } from '../optimizations.js'

// Node keeps the listeners of an emitter in an object without a prototype, which V8 stores as a hash table of 184 bytes. An
// object of a class, whose prototype has nothing either, takes 40 with one listener. Node's own streams have theirs so.

const isAvailable = isWanted('lean-listeners')

const Listeners = function () {} as unknown as new () => object
Listeners.prototype = Object.create(null)

interface Emitter extends EventEmitter {
  _events?: object
}

/** Lets a new emitter keep its listeners in less memory, if they are where Node has them. */
export function shrinkListeners (emitter: EventEmitter): void {
  const { _events: events } = emitter as Emitter
  if (!isAvailable || events === undefined || Object.getPrototypeOf(events) !== null || Reflect.ownKeys(events).length > 0) return
  ;(emitter as Emitter)._events = new Listeners()
}
