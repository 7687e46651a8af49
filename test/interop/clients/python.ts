import { createInterface } from 'node:readline'
import { fileURLToPath } from 'node:url'
import { startProgram, type ProcessTest } from '../../support/child-process.js'
import { PYTHON } from '../../support/system-packages.js'
import { Inbox, Refused, type Client, type OpenClient, type OpenOptions } from './client.js'

type PythonEvent = { id: number } & (
  | { event: 'open', protocol: string }
  | { event: 'refused', status: number }
  | { event: 'failed', message: string }
  | { event: 'text' | 'binary' | 'pong', data: string }
  | { event: 'closed', code: number, reason: string }
)

/** The client of Python's `websockets`: one interpreter for all connections of a test. */
export function startPythonClient (t: ProcessTest): Client {
  const python = startProgram(t, PYTHON, [fileURLToPath(new URL('client.py', import.meta.url))])
  const listeners: ((event: PythonEvent) => void)[] = []
  createInterface({ input: python.stdout! }).on('line', line => {
    const event = JSON.parse(line) as PythonEvent
    listeners[event.id]!(event)
  })
  const command = (id: number, what: string, options: Record<string, unknown>): void => {
    python.stdin!.write(JSON.stringify({ id, do: what, ...options }) + '\n')
  }
  return {
    name: 'Python websockets',
    canPing: true,
    isLikeBrowsers: false,
    canCloseWithoutCode: false,
    readsRefusals: false,

    async open (url: string, options: OpenOptions = {}): Promise<OpenClient> {
      const id = listeners.length
      const inbox = new Inbox()
      const pongs = new Inbox()
      const { ca, ...rest } = options
      const protocol = await new Promise<string>((resolve, reject) => {
        listeners.push(event => {
          switch (event.event) {
            case 'open': return resolve(event.protocol)
            // Version 10 keeps the body to itself.
            case 'refused': return reject(new Refused(event.status, null))
            case 'failed': return reject(new Error(event.message))
            case 'text': return inbox.push(event.data)
            case 'binary': return inbox.push(Buffer.from(event.data, 'base64'))
            case 'pong': return pongs.push(event.data)
            case 'closed': return inbox.end(event.code, event.reason)
          }
        })
        command(id, 'open', { options: { url, ...rest, ...(ca === undefined ? {} : { ca: ca.certFile }) } })
      })
      return {
        protocol,
        send (data) {
          if (typeof data === 'string') command(id, 'text', { data })
          else command(id, 'binary', { data: data.toString('base64') })
        },
        next: () => inbox.next(),
        close: (code = 1000, reason = '') => command(id, 'close', { code, reason }),
        closed: inbox.closed,
        async ping (data) {
          command(id, 'ping', { data })
          return await pongs.next() as string
        }
      }
    }
  }
}
