/** Bytes of different messages, so that compression with context takeover finds none again in its window. */
const TOTAL = 256 * 1024

/** Makes different messages of exactly `bytes` bytes. */
export function makeJsonMessages (bytes: number): Buffer[] {
  return Array.from({ length: Math.max(4, Math.ceil(TOTAL / bytes)) }, () => makeJson(bytes))
}

/** Makes a list of orders as an API would send it, cut off at `bytes` bytes. */
function makeJson (bytes: number): Buffer {
  return Buffer.from(JSON.stringify(makeOrders(bytes))).subarray(0, bytes)
}

/** Makes different complete messages, each slightly longer than `bytes` bytes, that satisfy the schema below. */
export function makeOrderMessages (bytes: number): Buffer[] {
  return Array.from({ length: 64 }, (_, id) => Buffer.from(JSON.stringify({ type: 'orders', id, orders: makeOrders(bytes) })))
}

const orderSchema = {
  type: 'object',
  properties: {
    id: { type: 'integer' },
    customer: { type: 'string', minLength: 1 },
    status: { enum: ['open', 'paid', 'shipped', 'returned'], type: 'string' },
    total: { type: 'number', minimum: 0 },
    createdAt: { type: 'string', maxLength: 30 }
  },
  required: ['id', 'customer', 'status', 'total', 'createdAt'],
  additionalProperties: false
}

export const orderMessageSchema = {
  type: 'object',
  properties: { type: { const: 'orders', type: 'string' }, id: { type: 'integer' }, orders: { type: 'array', items: orderSchema } },
  required: ['type', 'id', 'orders'],
  additionalProperties: false
}

function makeOrders (bytes: number): object[] {
  const orders = []
  let length = 0
  while (length < bytes) {
    const order = {
      id: Math.floor(Math.random() * 1e9),
      customer: `customer-${Math.floor(Math.random() * 5000)}`,
      status: ['open', 'paid', 'shipped', 'returned'][Math.floor(Math.random() * 4)],
      total: Math.floor(Math.random() * 100000) / 100,
      createdAt: new Date(1.7e12 + Math.floor(Math.random() * 1e11)).toISOString()
    }
    orders.push(order)
    length += JSON.stringify(order).length + 1
  }
  return orders
}
