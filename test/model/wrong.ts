import { Connection } from '../../lib/connection/connection.js'

// Loaded before the worker: makes connections wrong in the way that the environment says, so that a test sees that it is found.

type Emit = (this: Connection, event: string, ...args: unknown[]) => boolean

const emit = Connection.prototype.emit as Emit
const { send, close } = Connection.prototype
let messages = 0
let last: Buffer | null = null

const ways: Record<string, () => void> = {
  'loses a message': () => onEmit(function (event, ...args) {
    return event === 'message' && ++messages % 20 === 0 ? false : emit.call(this, event, ...args)
  }),
  'repeats a message': () => onEmit(function (event, ...args) {
    if (event === 'message' && ++messages % 20 === 0) emit.call(this, event, ...args)
    return emit.call(this, event, ...args)
  }),
  'overwrites what it has given': () => onEmit(function (event, ...args) {
    if (event === 'message') {
      last?.fill(0)
      last = Buffer.isBuffer(args[0]) ? args[0] : null
    }
    return emit.call(this, event, ...args)
  }),
  'emits behind close': () => onEmit(function (event, ...args) {
    if (event === 'close') setImmediate(() => this.emit('drain'))
    return emit.call(this, event, ...args)
  }),
  'forgets a callback': () => {
    Connection.prototype.send = function (data, options) {
      return send.call(this, data, typeof options === 'function' ? undefined : options)
    }
  },
  'sends another close code': () => {
    Connection.prototype.close = function (code, reason) {
      close.call(this, code === undefined ? undefined : 1002, reason)
    }
  },
  'keeps a timer': () => onEmit(function (event, ...args) {
    if (event === 'close') setTimeout(() => {}, 20_000)
    return emit.call(this, event, ...args)
  })
}

function onEmit (wrong: Emit): void {
  Connection.prototype.emit = wrong as never
}

ways[process.env.WRONG!]!()
