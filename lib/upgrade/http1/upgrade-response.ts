import { ServerResponse } from 'node:http'

/** Any answer but 101 ends the connection, and says so (RFC 9112 §9.6), whatever else it has in `Connection`. */
export class UpgradeResponse extends ServerResponse {
  override shouldKeepAlive = false

  override writeHead (statusCode: number, ...rest: unknown[]): this {
    if (statusCode === 101) {
      // RFC 9112 §6.1: Deno would send its chunks, and the last of them is no frame.
      this.removeHeader('Transfer-Encoding')
    } else {
      // Node leaves it out where a hook has removed it.
      if (!this.hasHeader('connection')) this.setHeader('Connection', 'close')
      addClose(this.getHeaders(), value => this.setHeader('connection', value))
      // Fastify gives all that is set on the reply here.
      const headers = rest.at(-1)
      if (typeof headers === 'object' && headers !== null) addClose(headers, (value, name) => Reflect.set(headers, name, value))
    }
    return Reflect.apply(super.writeHead, this, [statusCode, ...rest])
  }
}

function addClose (headers: object, set: (value: string, name: string) => void): void {
  const name = Object.keys(headers).find(key => key.toLowerCase() === 'connection')
  if (name === undefined) return
  const options = String(Reflect.get(headers, name)).split(',').map(option => option.trim())
  set([...options.filter(option => !/^(?:close|keep-alive)$/i.test(option)), 'close'].join(', '), name)
}
