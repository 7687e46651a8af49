import { once } from 'node:events'
import type { WebSocketConnection } from '../../types/connection.js'
import { contentOf, controlOf } from './contents.js'
import type { ConversationLog } from './conversation-log.js'
import type { ClientMessage, ClientStep } from './plan.js'
import { later, wait } from './wait.js'

/** The client of a conversation in memory: the other side of `injectWS`. */
export class InjectClient {
  private readonly log: ConversationLog
  private connection!: WebSocketConnection
  private isOver = false

  constructor (log: ConversationLog) {
    this.log = log
  }

  async run (): Promise<void> {
    const { log } = this
    const { plan } = log
    const onInit = (connection: WebSocketConnection): void => this.listen(connection)
    try {
      this.connection = await log.run.app.injectWS(`/${plan.id % 2 === 0 ? 'even' : 'odd'}?id=${plan.id}`, {}, { onInit })
    } catch (error) {
      log.status = (error as { statusCode?: number }).statusCode ?? null
      log.clientIsOver = true
      log.tell(`client: ${(error as Error).message}`)
      return
    }
    log.status = 101
    for (const step of plan.steps) {
      if (this.isOver || (this.connection.readyState !== this.connection.OPEN && plan.answer !== 'behind its steps')) break
      await this.step(step)
    }
    if (!this.isOver) this.end()
    if (!this.isOver) await once(this.connection, 'close')
    log.clientIsOver = true
  }

  private listen (connection: WebSocketConnection): void {
    const { log } = this
    connection.on('message', (data, isBinary) => {
      log.got.push({ type: 'message', bytes: data, isBinary })
    })
    connection.on('ping', data => { log.got.push({ type: 'ping', bytes: data }) })
    connection.on('pong', data => { log.got.push({ type: 'pong', bytes: data }) })
    connection.on('error', error => log.fault(`the client's error: ${error.message}`))
    connection.on('close', (code, reason) => {
      this.isOver = true
      log.tell(`client: closed with ${code}`)
      if (code === 1006) return
      log.isCleanEnd = true
      log.gotClose = { code, reason: reason.toString() }
      // It answers by itself.
      log.clientClose ??= { code, reason: '', isAutomatic: true }
    })
  }

  private async step (step: ClientStep): Promise<void> {
    const { log, connection } = this
    switch (step.do) {
      case 'message':
        return this.message(step)
      case 'ping':
        return this.ping(controlOf('client', step.id, step.size).subarray(0, step.size))
      case 'pong':
        return connection.pong(controlOf('client', step.id, step.size))
      case 'wait':
        return await wait(step.turns)
      case 'stop reading':
        log.tell(`client: reads nothing for ${step.turns} turns`)
        connection.pause()
        later(step.turns, () => connection.resume())
    }
  }

  private message ({ id, size, isBinary, fragments, pings }: ClientMessage): void {
    const { log, connection } = this
    if (connection.readyState !== connection.OPEN) return
    const bytes = contentOf(id, size, isBinary, log.plan.isJson)
    const each = Math.ceil(bytes.length / fragments)
    log.sent.push({ bytes, isBinary })
    log.tell(`client: ${isBinary ? 'binary' : 'text'} ${log.sent.length - 1}, ${bytes.length} bytes${fragments > 1 ? ` in ${fragments} fragments` : ''}`)
    for (let i = 0; i < fragments; i++) {
      const part = Buffer.from(bytes.subarray(i * each, (i + 1) * each))
      connection.send(part, { binary: isBinary, fin: i === fragments - 1 })
      // A client masks its frames in a copy, so the app may overwrite the buffer.
      part.fill(0)
      if (pings && i < fragments - 1) this.ping(controlOf('client', id * 10 + i, 0))
    }
    log.written = log.sent.length
  }

  private ping (payload: Buffer): void {
    const { log, connection } = this
    if (connection.readyState !== connection.OPEN) return
    log.pings.push(payload)
    connection.ping(payload)
  }

  private end (): void {
    const { log, connection } = this
    const { ending } = log.plan
    if (ending.how === 'reset') {
      log.left = 'reset'
      log.noteClosing()
      log.allowMissingTail('the client has terminated the connection')
      log.tell('client: terminates')
      connection.terminate()
    } else if (ending.how === 'close' && connection.readyState === connection.OPEN) {
      log.clientClose = { code: ending.code, reason: ending.reason }
      log.noteClosing()
      log.tell(`client: close ${ending.code} ${ending.reason}`)
      if (ending.code === 1005) connection.close()
      else connection.close(ending.code, ending.reason)
    }
  }
}
