import type { FastifyInstance, FastifyRequest } from 'fastify'
import { checkData } from '../connection/extras.js'

interface Holder {
  data: object
}

/** On Node's request: the data that hooks have set before the 101, and then the connection. A `WeakMap` costs each collection time. */
const kHolder = Symbol('fastify-ws-routes.data')

type HoldingRequest = FastifyRequest['raw'] & { [kHolder]?: Holder }

/** `request.connectionData`: the object that becomes `connection.data`. */
export function decorateWithData (fastify: FastifyInstance): void {
  fastify.decorateRequest('connectionData', {
    getter () {
      return ((this.raw as HoldingRequest)[kHolder] ??= { data: {} }).data
    },
    setter (data: unknown) {
      const checked = checkData(data, 'connectionData')
      const raw = this.raw as HoldingRequest
      if (raw[kHolder] === undefined) raw[kHolder] = { data: checked }
      else raw[kHolder].data = checked
    }
  })
}

/** Hands over what the hooks have collected; from now on the request shows what the connection has. */
export function passData ({ raw }: FastifyRequest, connection: Holder): void {
  const holding = raw as HoldingRequest
  if (holding[kHolder] !== undefined) connection.data = holding[kHolder].data
  holding[kHolder] = connection
}
