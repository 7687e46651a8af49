import { createInterface } from 'node:readline'

// Loaded before a program that dates things: from the first time on that comes in over its standard input, in a line
// of its own, it is that time. The same line goes out when it is.

createInterface({ input: process.stdin })
  .on('line', line => {
    const time = Date.parse(line)
    Date.now = () => time
    console.log(line)
  })
  // Whoever has started the program is gone, however it ended.
  .on('close', () => process.exit())

// The program ends when it wants to. A pipe is a socket, and can let go.
if ('unref' in process.stdin) process.stdin.unref()
