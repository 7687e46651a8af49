// The WebSocket that a runtime has as a global, against the app of `server.js`, whose URL it gets. It prints what came.

const [url] = process.argv.slice(2)
const lines = []
const socket = new WebSocket(url)
socket.binaryType = 'arraybuffer'
socket.onopen = () => {
  lines.push('open')
  socket.send('text: é€😀')
  socket.send('')
  socket.send(new Uint8Array([1, 2, 3]))
  socket.send('x'.repeat(300_000))
}
socket.onmessage = ({ data }) => {
  lines.push(typeof data === 'string' ? data.slice(0, 20) + (data.length > 20 ? ` … ${data.length}` : '') : [...new Uint8Array(data)].join())
  if (lines.length === 5) socket.close(3000, 'bye')
}
socket.onerror = () => lines.push('error')
socket.onclose = ({ code, reason, wasClean }) => {
  lines.push(`close ${code} ${reason} ${wasClean}`)
  console.log(JSON.stringify(lines))
  process.exit()
}
