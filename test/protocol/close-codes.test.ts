import t from 'tap'
import { CloseCode, isReceivableCloseCode } from '../../lib/protocol/close-codes.js'

t.test('C10: exactly the codes of RFC 6455 §7.4 and the IANA registry may be received', async t => {
  const ranges: ReadonlyArray<readonly [from: number, to: number]> = [[1000, 1003], [1007, 1014], [3000, 4999]]
  const wrong: number[] = []
  for (let code = 0; code <= 0xffff; code++) {
    const expected = ranges.some(([from, to]) => code >= from && code <= to)
    if (isReceivableCloseCode(code) !== expected) wrong.push(code)
  }
  t.same(wrong, [])
})

t.test('C10: what is no code at all may not be received', async t => {
  for (const code of [NaN, Infinity, -Infinity, -1000, 1000.5, 2 ** 32 + 1000]) {
    t.notOk(isReceivableCloseCode(code), String(code))
  }
})

t.test('every named code but those for local use may be received', async t => {
  const localOnly: number[] = [CloseCode.NO_STATUS_RECEIVED, CloseCode.ABNORMAL_CLOSURE, CloseCode.TLS_HANDSHAKE]
  for (const [name, code] of Object.entries(CloseCode)) {
    t.equal(isReceivableCloseCode(code), !localOnly.includes(code), `${name} ${code}`)
  }
})

t.test('the names have the numbers of the registry', async t => {
  t.same(CloseCode, {
    NORMAL_CLOSURE: 1000,
    GOING_AWAY: 1001,
    PROTOCOL_ERROR: 1002,
    UNSUPPORTED_DATA: 1003,
    NO_STATUS_RECEIVED: 1005,
    ABNORMAL_CLOSURE: 1006,
    INVALID_FRAME_PAYLOAD_DATA: 1007,
    POLICY_VIOLATION: 1008,
    MESSAGE_TOO_BIG: 1009,
    MANDATORY_EXTENSION: 1010,
    INTERNAL_ERROR: 1011,
    SERVICE_RESTART: 1012,
    TRY_AGAIN_LATER: 1013,
    BAD_GATEWAY: 1014,
    TLS_HANDSHAKE: 1015
  })
  t.ok(Object.isFrozen(CloseCode))
})
