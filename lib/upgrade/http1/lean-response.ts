import { channel } from 'node:diagnostics_channel'
import { EventEmitter } from 'node:events'
import { IncomingMessage, ServerResponse, STATUS_CODES } from 'node:http'
import { Socket } from 'node:net'
import { Writable, type Duplex } from 'node:stream'
import { IS_KNOWN_NODE } from '../../common.js'
import { isWanted } from '../../optimizations.js'
import { formatAcceptance } from './acceptance.js'
import { UpgradeResponse } from './upgrade-response.js'

// A `ServerResponse` has some fifty fields, listens to its socket, and takes several ticks to end: for a 101, of which Fastify
// uses the status, `writeHead`, `end` and two events. So an upgrade begins with an object that has only these. Whatever else
// anybody reads, sets or calls makes it the response of Node that it says it is, in place and with all that was done to it.

/** Subscribers get each response when it is created. */
const created = channel('http.server.response.created')

/** `waiting` for the header section, which is `formatted` until it is sent; `complete` as a response of Node. */
type Stage = 'waiting' | 'formatted' | 'sent' | 'complete'

type Listener = (...args: unknown[]) => void

const { on, emit } = EventEmitter.prototype

/** Called by name: a hook may have put a method of its own before that of the object, which calls the one that it has found. */
const { writeHead, end, getHeader, hasHeader, getHeaders, detachSocket } = UpgradeResponse.prototype

/** Its prototype inherits from that of `UpgradeResponse`. */
class LeanResponse {
  readonly req: IncomingMessage
  statusCode = 200
  statusMessage: string | undefined = undefined
  #socket: Duplex | null
  #stage: Stage = 'waiting'
  #headers: object | null = null
  #text = ''

  constructor (request: IncomingMessage, socket: Duplex) {
    this.req = request
    this.#socket = socket
  }

  get socket (): Duplex | null { return this.#socket }
  get headersSent (): boolean { return this.#stage !== 'waiting' }
  get writableEnded (): boolean { return this.#stage === 'sent' }
  get finished (): boolean { return this.#stage === 'sent' }

  // All that is set on a reply comes with `writeHead`: where nobody has called `setHeader`, there are no others.
  getHeader (name: string): unknown { return this.#stage === 'complete' ? Reflect.apply(getHeader, this, [name]) : undefined }
  hasHeader (name: string): boolean { return this.#stage === 'complete' && Reflect.apply(hasHeader, this, [name]) }
  getHeaders (): object { return this.#stage === 'complete' ? Reflect.apply(getHeaders, this, []) : Object.create(null) as object }

  on (event: string | symbol, listener: Listener): unknown {
    if (event !== 'finish' && event !== 'error') complete(this)
    return Reflect.apply(on, this, [event, listener])
  }

  writeHead (statusCode: number, ...rest: unknown[]): unknown {
    const [headers] = rest
    const isPlain = statusCode === 101 && this.#stage === 'waiting' && rest.length === 1 && typeof headers === 'object' && headers !== null
    const text = isPlain && this.statusMessage === undefined ? formatAcceptance(headers) : null
    if (text !== null) {
      this.statusCode = 101
      this.statusMessage = STATUS_CODES[101]
      this.#stage = 'formatted'
      this.#headers = headers as object
      this.#text = text
      return this
    }
    return Reflect.apply(writeHead, complete(this), [statusCode, ...rest])
  }

  end (...args: unknown[]): unknown {
    const socket = this.#socket
    if (this.#stage !== 'formatted' || socket?.writable !== true || !args.every(isNothing)) return Reflect.apply(end, complete(this), args)
    this.#stage = 'sent'
    socket.write(this.#text, 'latin1', error => {
      // Otherwise the socket is about to be closed.
      if (isNothing(error)) Reflect.apply(this.#stage === 'complete' ? Reflect.get(this, 'emit') as typeof emit : emit, this, ['finish'])
    })
    return this
  }

  detachSocket (socket: Socket): void {
    if (this.#stage === 'complete') return Reflect.apply(detachSocket, this, [socket])
    this.#socket = null
  }

  /** Makes it what Node makes of a request and a socket, and does to that what was done to this. */
  static complete (lean: LeanResponse): ServerResponse {
    const stage = lean.#stage
    const socket = lean.#socket
    const headers = lean.#headers
    if (stage === 'complete') return lean as unknown as ServerResponse
    lean.#stage = 'complete'
    const response = Object.setPrototypeOf(lean, UpgradeResponse.prototype) as UpgradeResponse
    initialize(response, lean.req)
    // The answer was reported without it.
    if (stage === 'sent') response.emit = () => false
    if (stage === 'sent') send(response, headers)
    if (socket !== null) assign(response, socket)
    if (stage === 'sent') Reflect.deleteProperty(response, 'emit')
    if (stage === 'formatted') Reflect.apply(writeHead, response, [101, headers])
    return response
  }

  static isLean (response: ServerResponse): response is ServerResponse & LeanResponse {
    return #stage in response
  }
}

const { complete, isLean } = LeanResponse

function initialize (response: UpgradeResponse, request: IncomingMessage): void {
  Reflect.apply(ServerResponse, response, [request])
  response.shouldKeepAlive = false
}

/** Gives it the socket. If that is closed already, the response hears it from here. */
function assign (response: UpgradeResponse, socket: Duplex): void {
  const before = socket.listenerCount('close')
  // The types know of sockets only; any Duplex does.
  response.assignSocket(socket as never)
  if (socket.closed) for (const listener of socket.listeners('close').slice(before)) Reflect.apply(listener, socket, [])
}

/** A socket that has written at once. */
class Nowhere extends Writable {
  override write (_data: unknown, _encoding?: unknown, callback?: (error: null) => void): boolean {
    callback?.(null)
    return true
  }
}

/** Brings it where it would be had it sent the answer. */
function send (response: UpgradeResponse, headers: object | null): void {
  const nowhere = new Nowhere() as unknown as Socket
  response.assignSocket(nowhere)
  Reflect.apply(writeHead, response, [101, headers])
  Reflect.apply(end, response, [])
  Reflect.apply(detachSocket, response, [nowhere])
}

function isNothing (value: unknown): boolean {
  return value === null || value === undefined
}

/** Lets every other member of a response, and each property that Node's constructor sets, complete the response first. */
function install (): void {
  const { prototype } = LeanResponse
  Object.setPrototypeOf(prototype, UpgradeResponse.prototype)
  const example = new UpgradeResponse(new IncomingMessage(new Socket()))
  // Members of events work without it, and so do the properties that are the same anyway.
  const left = new Set([...Object.getOwnPropertyNames(prototype), ...Object.getOwnPropertyNames(EventEmitter.prototype), 'req', 'statusCode', 'statusMessage'])
  for (const name of ['addListener', 'prependListener', 'once', 'prependOnceListener', 'emit']) left.delete(name)
  for (let object: object = example; object !== Object.prototype; object = Object.getPrototypeOf(object) as object) {
    for (const name of Object.getOwnPropertyNames(object)) {
      if (left.has(name)) continue
      left.add(name)
      Object.defineProperty(prototype, name, {
        get (this: LeanResponse) { return Reflect.get(complete(this), name) as unknown },
        set (this: LeanResponse, value: unknown) { Reflect.set(complete(this), name, value) },
        configurable: true
      })
    }
  }
}

/** Whether Node's constructor can be applied to an object that is there already, as it can for as long as it is no class. */
function canComplete (): boolean {
  try {
    initialize(Object.create(UpgradeResponse.prototype) as UpgradeResponse, new IncomingMessage(new Socket()))
    install()
    return true
  } catch {
    return false
  }
}

// Bun and Deno have classes of their own, and say that they are a version of Node.
const { versions } = process
const isAvailable = isWanted('lean-responses') && IS_KNOWN_NODE && !('bun' in versions) && !('deno' in versions) && canComplete()

/** @throws if another response has the socket */
export function createResponse (request: IncomingMessage, socket: Duplex): ServerResponse {
  if (isAvailable && !created.hasSubscribers) return new LeanResponse(request, socket) as unknown as ServerResponse
  const response = new UpgradeResponse(request)
  response.assignSocket(socket as never)
  return response
}

/** Makes it a response as Node has them, before somebody else gets its socket or closes it. */
export function completeResponse (response: ServerResponse): void {
  if (isLean(response)) complete(response)
}
