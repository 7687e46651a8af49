import type { FastifyInstance, FastifyRequest } from 'fastify'
import { checkData } from '../connection/extras.js'

interface Holder {
  data: object
}

/** Maps Node's request to the data that hooks have set before the 101, and then to the connection. */
const holders = new WeakMap<FastifyRequest['raw'], Holder>()

/** `request.connectionData`: the object that becomes `connection.data`. */
export function decorateWithData (fastify: FastifyInstance): void {
  fastify.decorateRequest('connectionData', {
    getter () {
      let holder = holders.get(this.raw)
      if (holder === undefined) holders.set(this.raw, holder = { data: {} })
      return holder.data
    },
    setter (data: unknown) {
      const checked = checkData(data, 'connectionData')
      const holder = holders.get(this.raw)
      if (holder === undefined) holders.set(this.raw, { data: checked })
      else holder.data = checked
    }
  })
}

/** Hands over what the hooks have collected; from now on the request shows what the connection has. */
export function passData ({ raw }: FastifyRequest, connection: Holder): void {
  const collected = holders.get(raw)
  if (collected !== undefined) connection.data = collected.data
  holders.set(raw, connection)
}
