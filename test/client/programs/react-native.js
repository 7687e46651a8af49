// Makes the globals of this process those that the client finds in React Native, as its 0.7x have them: a WebSocket with
// properties for its listeners, which says why it failed in the reason of its close event, or has none; a URL that has no
// setters, and ends with a slash; no crypto, no location, no document.

import { WebSocket as Ws } from 'ws'

class ReactNativeWebSocket {
  readyState = 0
  onopen = null
  onmessage = null
  onerror = null
  onclose = null
  #socket

  constructor (url, protocols, options) {
    const { headers = {}, ...unrecognized } = options || {}
    if (Object.keys(unrecognized).length > 0) throw new Error('React Native warns of these options')
    if (typeof protocols === 'string') protocols = [protocols]
    this.#socket = new Ws(url, Array.isArray(protocols) ? protocols : [], { headers })
    let failure = null
    this.#socket.on('open', () => {
      this.readyState = 1
      this.onopen?.({ type: 'open' })
    })
    this.#socket.on('message', (data, isBinary) => this.onmessage?.({ type: 'message', data: isBinary ? data.buffer : data.toString() }))
    this.#socket.on('error', error => { failure = error.message })
    this.#socket.on('close', (code, reason) => {
      this.readyState = 3
      if (failure !== null || code === 1006) {
        this.onerror?.({ type: 'error', message: failure })
        // iOS has a text, Android none if its socket has none.
        this.onclose?.({ type: 'close', code: 1006, reason: failure ?? undefined })
      } else {
        this.onclose?.({ type: 'close', code, reason: reason.toString() })
      }
    })
  }

  send (data) {
    if (this.readyState === 0) throw new Error('INVALID_STATE_ERR')
    this.#socket.send(data)
  }

  close (code, reason) {
    if (this.readyState >= 2) return
    this.readyState = 2
    this.#socket.close(typeof code === 'number' ? code : 1000, typeof reason === 'string' ? reason : '')
  }
}

const NodeURL = URL

class ReactNativeURL {
  #url

  constructor (url) {
    this.#url = String(url).endsWith('/') ? String(url) : `${url}/`
    if (!NodeURL.canParse(this.#url)) throw new TypeError('no URL')
  }

  get href () { return this.#url }
  get protocol () { return new NodeURL(this.#url).protocol }
  get hash () { return new NodeURL(this.#url).hash }
  toString () { return this.#url }
}

Object.assign(globalThis, { WebSocket: ReactNativeWebSocket })
for (const [name, value] of Object.entries({ URL: ReactNativeURL, crypto: undefined, location: undefined, navigator: { product: 'ReactNative' } })) {
  Object.defineProperty(globalThis, name, { value, configurable: true, writable: true })
}
