import { isDeepStrictEqual } from 'node:util'
import { WebSocketError } from '../../lib/index.js'
import { HIJACKED } from './contents.js'
import type { Closing, ConversationLog, WireEvent } from './conversation-log.js'
import type { RunLog } from './run-log.js'

/** Checks the invariants after the run has ended. */
export async function checkRun (run: RunLog): Promise<void> {
  for (const log of run.conversations) {
    if (log.connection === null) checkRefused(log)
    else checkConversation(log)
  }
  checkErrors(run)
  for (const { data, expected, what } of run.kept) {
    const bytes = data instanceof Blob ? Buffer.from(await data.arrayBuffer()) : data instanceof ArrayBuffer ? Buffer.from(data) : data
    if (!expected.some(one => one.equals(bytes))) run.fault('kept', `${what} has changed`)
  }
}

/** There was no connection: the client has left before, the app was closing, or a hook has taken the socket. */
function checkRefused (log: ConversationLog): void {
  if (log.plan.isHijacked) {
    if (log.left === null && log.refusal !== HIJACKED && !log.run.isClosing) log.fault(`the hook's answer came as ${JSON.stringify(log.refusal)}`)
  } else if (log.left === null && !log.run.isClosing && !(log.plan.isEarly && log.plan.ending.how === 'close')) {
    log.fault(`there was no connection; answered ${log.status}`)
  }
}

function checkConversation (log: ConversationLog): void {
  if (log.plan.isHijacked) log.fault('there was a connection, though a hook had taken the socket')
  checkReceived(log)
  checkSent(log)
  checkPongs(log)
  checkClose(log)
  checkCallbacks(log)
  if (log.errorEvents.length > 0) log.fault(`error: ${log.errorEvents.map(({ message }) => message).join(', ')}`)
}

/** Each message came once and in order; what came was checked as it came. */
function checkReceived (log: ConversationLog): void {
  const { delivery, sent, written, streamed } = log
  const mustBeAll = !log.tailMayMiss && log.left !== 'reset'
  if (streamed !== null) return checkStreamed(log, Buffer.concat(streamed), mustBeAll)
  if (mustBeAll && log.pingsHeard !== log.pings.length) log.fault(`${log.pingsHeard} pings of ${log.pings.length} came`)
  if (mustBeAll && !delivery.mayBeAt(written)) log.fault(`the last messages are missing: ${delivery.place} of ${written}, ${sent.length} begun`)
}

function checkStreamed (log: ConversationLog, bytes: Buffer, mustBeAll: boolean): void {
  const { delivery, sent, written } = log
  for (let place = 0; place <= sent.length; place++) {
    if (!delivery.mayBeAt(place)) continue
    const rest = Buffer.concat(sent.slice(place).map(message => message.bytes))
    const whole = Buffer.concat(sent.slice(place, written).map(message => message.bytes))
    if (rest.subarray(0, bytes.length).equals(bytes) && (!mustBeAll || bytes.length >= whole.length)) return
  }
  log.fault(`the stream's ${bytes.length} bytes are not those from message ${delivery.place} on`)
}

/** Checks that the app's frames arrived once and in order, and without a gap at the end if a Close frame followed. */
function checkSent (log: ConversationLog): void {
  const expected = log.outgoing!.events
  // Answers of our own, and Pings of the heartbeat, come between.
  const got = log.got.filter(({ type, bytes }) => type === 'message' || /^app /.test(bytes.toString('latin1')))
  for (const [i, event] of got.entries()) {
    if (isDeepStrictEqual(event, expected[i])) continue
    return log.fault(`the client got ${describe(event)} instead of what was sent as ${i}., ${expected[i] === undefined ? 'nothing' : describe(expected[i])}`)
  }
  const isComplete = log.gotClose !== null
  if (isComplete && got.length < expected.length) log.fault(`the client got ${got.length} of ${expected.length} that were sent, and then the Close frame`)
}

function describe ({ type, bytes, ...event }: WireEvent): string {
  return `${'isBinary' in event ? event.isBinary ? 'binary' : 'text' : type} of ${bytes.length} bytes ${JSON.stringify(bytes.subarray(0, 30).toString('latin1'))}`
}

/** Pings are answered in their order, the last of them in any case (RFC 6455 §5.5.3). */
function checkPongs (log: ConversationLog): void {
  const answers = log.got.filter(({ type, bytes }) => type === 'pong' && !/^app /.test(bytes.toString('latin1')))
  let next = 0
  for (const { bytes } of answers) {
    const place = log.pings.findIndex((ping, i) => i >= next && ping.equals(bytes))
    if (place === -1) return log.fault(`a Pong for ${JSON.stringify(bytes.toString('latin1'))}, which was answered before, or by a later one`)
    next = place + 1
  }
  const isAnswered = log.clientClose !== null && log.gotClose !== null && !log.tailMayMiss && log.hasClientBegun
  if (isAnswered && next < log.pings.length) log.fault(`the last Ping was not answered: ${next} of ${log.pings.length}`)
}

function checkClose (log: ConversationLog): void {
  const { closeEvents, clientClose, gotClose, appClose, run } = log
  if (closeEvents.length === 0 && log.mustEmitClose) log.fault('no close')
  if (closeEvents.length > 1) log.fault(`close ${closeEvents.length} times`)
  const [event] = closeEvents
  if (event !== undefined) {
    const abnormal = { code: 1006, reason: '' }
    const expected = clientClose === null ? [abnormal] : log.tailMayMiss ? [clientClose, abnormal] : [clientClose]
    checkOneOf(log, 'close', event, expected, clientClose?.isAutomatic)
  }
  if (gotClose !== null) {
    const echo = clientClose === null ? [] : [clientClose, { code: clientClose.code, reason: '' }]
    const others = [...log.otherCloses, ...(run.isClosing ? [{ code: 1001, reason: '' }] : []), ...(run.thrown.length > 0 ? [{ code: 1011, reason: '' }] : [])]
    checkOneOf(log, 'the client\'s close', gotClose, appClose === null ? [...echo, ...others] : [appClose])
  } else if (clientClose !== null && !log.tailMayMiss) {
    log.fault('the Close frame was not answered')
  }
  if (gotClose !== null && clientClose !== null && !log.tailMayMiss && !log.isCleanEnd) log.fault('broken off behind the close handshake')
  if (log.leftover > 0 && !log.tailMayMiss) log.fault(`${log.leftover} bytes behind the last whole frame`)
}

function checkOneOf (log: ConversationLog, what: string, got: Closing, expected: readonly Closing[], anyReason = false): void {
  if (expected.some(({ code, reason }) => code === got.code && (anyReason || reason === got.reason))) return
  log.fault(`${what} with ${got.code} ${JSON.stringify(got.reason)} instead of ${expected.map(({ code, reason }) => `${code} ${JSON.stringify(reason)}`).join(' or ')}`)
}

function checkCallbacks (log: ConversationLog): void {
  for (const { what, isRefused, calls } of log.callbacks) {
    if (calls.length !== 1) log.fault(`the callback of ${what} was called ${calls.length} times`)
    else if (isRefused && !(calls[0] instanceof Error)) log.fault(`the callback of ${what}, which was refused, got no error`)
  }
}

/** Checks that each error the app threw was reported once, and that nothing else was reported. */
function checkErrors (run: RunLog): void {
  const reported = [...run.reported]
  for (const thrown of run.thrown) {
    const places = [...reported.entries()].filter(([, error]) => error === thrown || error.cause === thrown)
    if (places.length !== 1) run.fault('errors', `${String(thrown)} was told ${places.length} times`)
    for (const [place] of places.reverse()) reported.splice(place, 1)
  }
  for (const error of reported) {
    // A handshake whose hook ends while the app closes is refused, and Fastify logs a 503, also for a client that has left.
    if (run.isClosing && 'code' in error && error.code === 'FST_WS_ERR_CLOSING') continue
    run.fault('errors', `${error instanceof WebSocketError ? 'the client has done nothing wrong' : 'nobody threw'}: ${error.stack}`)
  }
}
