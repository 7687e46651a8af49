/* global location, WebSocket */

const FIRST_DELAY = 500 // ms
const LONGEST_DELAY = 15_000 // ms
const GROWTH = 1.6 // of the delay, from one try to the next
const LONGEST_HANDSHAKE = 15_000 // ms
// The server says something every 2 s. A network that is gone says nothing.
const LONGEST_SILENCE = 5_000 // ms

/** A WebSocket to a room that comes back when it is lost. */
export class RoomConnection {
  #address
  #onState
  #onMessage
  #socket = null
  #delay = FIRST_DELAY
  #retry = 0
  #silence = 0

  /**
   * @param address returns path and query, which may be others each time
   * @param onState is called with `'connecting'`, `'open'`, or `'waiting'` with the time of the next try, and why
   * @param onMessage is called with what the server says
   */
  constructor ({ address, onState, onMessage }) {
    this.#address = address
    this.#onState = onState
    this.#onMessage = onMessage
  }

  get isWaiting () {
    return this.#retry !== 0
  }

  /** Connects now, whatever was before. */
  connect () {
    this.#drop()
    const url = new URL(this.#address(), location.href)
    url.protocol = location.protocol === 'https:' ? 'wss:' : 'ws:'
    const socket = this.#socket = new WebSocket(url)
    socket.onmessage = ({ data }) => this.#receive(JSON.parse(data))
    socket.onclose = ({ code, reason }) => this.#lose(code === 1008 ? reason : '')
    this.#silence = setTimeout(() => this.#lose(''), LONGEST_HANDSHAKE)
    this.#onState('connecting')
  }

  /** The network says that it is gone, before the connection notices. */
  lose () {
    if (this.#socket !== null) this.#lose('')
  }

  send (message) {
    this.#socket?.send(JSON.stringify(message))
  }

  #receive (message) {
    clearTimeout(this.#silence)
    this.#silence = setTimeout(() => this.#lose(''), LONGEST_SILENCE)
    // The first message, not the handshake, shows that we are in.
    if (message.type === 'welcome') {
      this.#delay = FIRST_DELAY
      this.#onState('open')
    }
    this.#onMessage(message)
  }

  #lose (reason) {
    this.#drop()
    // With all pages waiting for the same time, a server that comes back would be run over.
    const wait = this.#delay * (0.5 + Math.random())
    this.#delay = Math.min(this.#delay * GROWTH, LONGEST_DELAY)
    this.#retry = setTimeout(() => this.connect(), wait)
    this.#onState('waiting', Date.now() + wait, reason)
  }

  #drop () {
    clearTimeout(this.#retry)
    clearTimeout(this.#silence)
    this.#retry = 0
    if (this.#socket === null) return
    // Without a network it would take its time to tell that it is closed.
    this.#socket.onmessage = this.#socket.onclose = null
    this.#socket.close()
    this.#socket = null
  }
}
