// The folder is the prefix: /rooms/:room
export default async function (fastify) {
  const rooms = new Map()

  fastify.get('/:room', {
    websocket: true,
    schema: { params: { type: 'object', properties: { room: { type: 'string', pattern: '^[a-z]+$' } } } }
  }, (connection, request) => {
    const { room } = request.params
    const people = rooms.get(room) ?? new Set()
    rooms.set(room, people.add(connection))

    connection.send(`welcome to ${room}, ${request.user}`)
    connection.on('message', data => {
      connection.route.broadcast(`${request.user}: ${data}`, { filter: other => people.has(other) })
    })
    connection.on('close', () => {
      people.delete(connection)
      if (people.size === 0) rooms.delete(room)
    })
  })

  fastify.get('/', async () => Object.fromEntries([...rooms].map(([room, people]) => [room, people.size])))
}
