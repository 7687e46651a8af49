// The server's part of the protocol of y-websocket, written as for a socket of `ws`: what its packages publish as
// `setupWSConnection(conn, req)` can stand here as it is.

import * as decoding from 'lib0/decoding'
import * as encoding from 'lib0/encoding'
import type { IncomingMessage } from 'node:http'
import * as awarenessProtocol from 'y-protocols/awareness'
import * as syncProtocol from 'y-protocols/sync'
import * as Y from 'yjs'
import type { WebSocketConnection } from 'fastify-ws-routes'

const MESSAGE_SYNC = 0
const MESSAGE_AWARENESS = 1
const PING_INTERVAL = 30_000

interface AwarenessChanges {
  added: number[]
  updated: number[]
  removed: number[]
}

/** A document, and who has it open. It lives as long as somebody has: store it where `conns` becomes empty to keep it. */
class SharedDoc extends Y.Doc {
  readonly name: string
  /** With the ids of the clients whose presence came by the connection. */
  readonly conns = new Map<WebSocketConnection, Set<number>>()
  readonly awareness = new awarenessProtocol.Awareness(this)

  constructor (name: string) {
    super()
    this.name = name
    this.awareness.setLocalState(null)
    this.awareness.on('update', ({ added, updated, removed }: AwarenessChanges, origin: unknown) => {
      const ids = this.conns.get(origin as WebSocketConnection)
      for (const id of added) ids?.add(id)
      for (const id of removed) ids?.delete(id)
      this.sendToAll(encodeAwareness(this, [...added, ...updated, ...removed]))
    })
    this.on('update', (update: Uint8Array) => {
      const encoder = encoding.createEncoder()
      encoding.writeVarUint(encoder, MESSAGE_SYNC)
      syncProtocol.writeUpdate(encoder, update)
      this.sendToAll(encoding.toUint8Array(encoder))
    })
  }

  private sendToAll (message: Uint8Array): void {
    for (const conn of this.conns.keys()) send(this, conn, message)
  }
}

/** The documents that are open, by name. */
export const docs = new Map<string, SharedDoc>()

export function setupWSConnection (conn: WebSocketConnection, req: IncomingMessage, { docName = req.url!.slice(1).split('?')[0]! } = {}): void {
  conn.binaryType = 'arraybuffer'
  const doc = docs.get(docName) ?? new SharedDoc(docName)
  docs.set(docName, doc)
  doc.conns.set(conn, new Set())
  conn.on('message', message => receive(doc, conn, new Uint8Array(message)))

  let isAlive = true
  const timer = setInterval(() => {
    if (!isAlive) return closeConn(doc, conn)
    isAlive = false
    conn.ping()
  }, PING_INTERVAL)
  conn.on('pong', () => { isAlive = true })
  conn.on('close', () => {
    clearInterval(timer)
    closeConn(doc, conn)
  })

  const encoder = encoding.createEncoder()
  encoding.writeVarUint(encoder, MESSAGE_SYNC)
  syncProtocol.writeSyncStep1(encoder, doc)
  send(doc, conn, encoding.toUint8Array(encoder))
  const present = [...doc.awareness.getStates().keys()]
  if (present.length > 0) send(doc, conn, encodeAwareness(doc, present))
}

function receive (doc: SharedDoc, conn: WebSocketConnection, message: Uint8Array): void {
  try {
    const decoder = decoding.createDecoder(message)
    const type = decoding.readVarUint(decoder)
    if (type === MESSAGE_SYNC) {
      const encoder = encoding.createEncoder()
      encoding.writeVarUint(encoder, MESSAGE_SYNC)
      syncProtocol.readSyncMessage(decoder, encoder, doc, conn)
      // With nothing behind the type there is no answer.
      if (encoding.length(encoder) > 1) send(doc, conn, encoding.toUint8Array(encoder))
    } else if (type === MESSAGE_AWARENESS) {
      awarenessProtocol.applyAwarenessUpdate(doc.awareness, decoding.readVarUint8Array(decoder), conn)
    }
  } catch (error) {
    console.error(error)
    conn.close(1007)
  }
}

function send (doc: SharedDoc, conn: WebSocketConnection, message: Uint8Array): void {
  if (conn.readyState !== conn.CONNECTING && conn.readyState !== conn.OPEN) return closeConn(doc, conn)
  conn.send(message, {}, error => {
    if (error != null) closeConn(doc, conn)
  })
}

function closeConn (doc: SharedDoc, conn: WebSocketConnection): void {
  const ids = doc.conns.get(conn)
  if (ids !== undefined) {
    doc.conns.delete(conn)
    awarenessProtocol.removeAwarenessStates(doc.awareness, [...ids], null)
    if (doc.conns.size === 0) {
      docs.delete(doc.name)
      doc.destroy()
    }
  }
  conn.close()
}

function encodeAwareness (doc: SharedDoc, ids: number[]): Uint8Array {
  const encoder = encoding.createEncoder()
  encoding.writeVarUint(encoder, MESSAGE_AWARENESS)
  encoding.writeVarUint8Array(encoder, awarenessProtocol.encodeAwarenessUpdate(doc.awareness, ids))
  return encoding.toUint8Array(encoder)
}
