// Runs in the browser's page, and is driven from chromium.ts through two globals.

const connections = new Map()

globalThis.interop = {
  open (id, url, protocols) {
    const connection = { socket: new globalThis.WebSocket(url, protocols), events: [], wake: () => {} }
    const push = event => {
      connection.events.push(event)
      connection.wake()
    }
    connections.set(id, connection)
    connection.socket.binaryType = 'arraybuffer'
    connection.socket.onopen = () => push({ type: 'open', protocol: connection.socket.protocol })
    connection.socket.onerror = () => push({ type: 'error' })
    connection.socket.onmessage = ({ data }) => {
      push(typeof data === 'string' ? { type: 'text', data } : { type: 'binary', data: toBase64(new Uint8Array(data)) })
    }
    connection.socket.onclose = ({ code, reason }) => push({ type: 'close', code, reason })
  },

  /** Returns the events since the last call, and waits until there is at least one. */
  async take (id) {
    const connection = connections.get(id)
    if (connection.events.length === 0) await new Promise(resolve => { connection.wake = resolve })
    return connection.events.splice(0)
  },

  send (id, messages) {
    const { socket } = connections.get(id)
    for (const { text, base64 } of messages) {
      socket.send(base64 === undefined ? text : fromBase64(base64))
    }
  },

  close (id, args) {
    connections.get(id).socket.close(...args)
  }
}

function fromBase64 (base64) {
  const binary = globalThis.atob(base64)
  const bytes = new Uint8Array(binary.length)
  for (let i = 0; i < bytes.length; i++) bytes[i] = binary.charCodeAt(i)
  return bytes
}

function toBase64 (bytes) {
  let binary = ''
  for (let i = 0; i < bytes.length; i += 8192) binary += String.fromCharCode(...bytes.subarray(i, i + 8192))
  return globalThis.btoa(binary)
}
